"""Checkpointers, and calling a graph with one."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypedDict

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph.state import CompiledStateGraph

from benchmarks.workload import LINKS, elapsed

State = dict[str, Any]
Config = dict[str, Any]


class Counting(TypedDict):
    n: int
    turns: int


def count(state: State) -> State:
    return {"n": state["n"] + 1}


@contextmanager
def saver() -> Iterator[BaseCheckpointSaver]:
    """A checkpointer on the PostgreSQL database of DATABASE_URL, or else on a fresh SQLite file."""
    if url := os.environ.get("DATABASE_URL"):
        with PostgresSaver.from_conn_string(url) as on_postgres:
            on_postgres.setup()
            yield on_postgres
    else:
        with sqlite_file() as path, sqlite_saver(path) as on_sqlite:
            yield on_sqlite


@contextmanager
def sqlite_file() -> Iterator[Path]:
    """A place for a database on the working directory's disk."""
    with tempfile.TemporaryDirectory(dir=".") as directory:
        yield Path(directory, "langgraph.sqlite3")


@contextmanager
def sqlite_saver(path: Path) -> Iterator[SqliteSaver]:
    with closing(sqlite3.connect(path, check_same_thread=False)) as connection:
        on_sqlite = SqliteSaver(connection)
        on_sqlite.setup()
        yield on_sqlite


def new_config(turns: int) -> Config:
    """A thread of its own, and leave for so many turns."""
    return {"configurable": {"thread_id": uuid.uuid4().hex}, "recursion_limit": turns + 10}


def invoke(graph: CompiledStateGraph, state: State, durability: str = "sync") -> float:
    """Run to the end and return the seconds it took."""
    config = new_config(state.get("turns", LINKS))
    start_ns = time.perf_counter_ns()
    graph.invoke(state, config, durability=durability)
    return elapsed(start_ns)
