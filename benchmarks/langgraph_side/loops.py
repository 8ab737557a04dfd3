"""Loops of short steps, and of steps that make the state grow."""

from __future__ import annotations

import operator
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph

from benchmarks.langgraph_side.running import (
    Counting,
    State,
    count,
    invoke,
    new_config,
    saver,
    sqlite_file,
    sqlite_saver,
)
from benchmarks.workload import WARM_UP_TURNS, chunk, elapsed, reading_figures, sample, size_bytes


class Appending(Counting):
    chunks: Annotated[list[str], operator.add]


def _extend(state: list[str], writes: list[list[str]]) -> list[str]:
    return [*state, *(text for write in writes for text in write)]


class AppendingDelta(Counting):
    chunks: Annotated[list[str], DeltaChannel(_extend)]


def loop(*, steps: int, durability: str) -> dict[str, float]:
    with saver() as checkpointer:
        graph = looping(Counting, count).compile(checkpointer=checkpointer)
        invoke(graph, {"n": 0, "turns": WARM_UP_TURNS}, durability)
        took_s = invoke(graph, {"n": 0, "turns": steps}, durability)
        return {"us_step": took_s / steps * 1e6}


def append(*, steps: int, characters: int, channel: str) -> dict[str, float]:
    schema = {"list": Appending, "delta": AppendingDelta}[channel]

    def work(state: State) -> State:
        return {"n": state["n"] + 1, "chunks": [chunk(state["n"], characters)]}

    with sqlite_file() as path, sqlite_saver(path) as checkpointer:
        graph = looping(schema, work).compile(checkpointer=checkpointer)
        invoke(graph, {"n": 0, "turns": 10, "chunks": []})
        before = _folded_bytes(checkpointer, path)
        config = new_config(steps)
        start_ns = time.perf_counter_ns()
        graph.invoke({"n": 0, "turns": steps, "chunks": []}, config, durability="sync")
        took_s = elapsed(start_ns)
        stored = _folded_bytes(checkpointer, path) - before
        checkpoints = _checkpoints(checkpointer, config["configurable"]["thread_id"])
        return {
            "us_step": took_s / steps * 1e6,
            "took_ms": took_s * 1000,
            "stored_bytes": stored,
            "stored_bytes_step": stored / steps,
            "stored_ratio": stored / (steps * characters),
            **reading_figures(
                lambda checkpoint: graph.get_state({"configurable": checkpoint}).values, sample(checkpoints)
            ),
        }


def looping(schema: type, work: Callable[[State], State]) -> StateGraph:
    graph = StateGraph(schema)
    graph.add_node("work", work)
    graph.add_edge(START, "work")
    graph.add_conditional_edges("work", lambda state: END if state["n"] >= state["turns"] else "work", ["work", END])
    return graph


def _folded_bytes(checkpointer: SqliteSaver, path: Path) -> int:
    checkpointer.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return size_bytes(path)


def _checkpoints(checkpointer: SqliteSaver, thread_id: str) -> list[dict[str, str]]:
    """What names each checkpoint of a thread, without reading them: together they are larger than memory."""
    query = "SELECT checkpoint_id FROM checkpoints WHERE thread_id = ? AND checkpoint_ns = '' ORDER BY checkpoint_id"
    rows = checkpointer.conn.execute(query, (thread_id,))
    return [{"thread_id": thread_id, "checkpoint_ns": "", "checkpoint_id": row[0]} for row in rows]
