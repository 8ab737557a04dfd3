"""The peer's side: the same work in LangGraph with its SQLite checkpointer, as it ships (WAL, synchronous FULL).

Runs in the venv of `requirements-peers.txt`: `python -m benchmarks.langgraph_side MEASURE '{"parameter": …}'` prints
one JSON object of figures. Nodes are plain functions and graphs are called with `invoke`, its faster way for short
steps; where waiting matters, `ainvoke` too.
"""

from __future__ import annotations

import asyncio
import json
import operator
import sqlite3
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Send

from benchmarks.workload import NODES, WARM_UP_TURNS, chunk, elapsed, latency_figures, size_bytes

State = dict[str, Any]


class Counting(TypedDict):
    n: int
    turns: int


class Appending(Counting):
    chunks: Annotated[list[str], operator.add]


def _extend(state: list[str], writes: list[list[str]]) -> list[str]:
    return [*state, *(text for write in writes for text in write)]


class AppendingDelta(Counting):
    chunks: Annotated[list[str], DeltaChannel(_extend)]


class Fanning(TypedDict):
    items: list[int]
    results: Annotated[list[int], operator.add]


def loop(*, steps: int, durability: str) -> dict[str, float]:
    with _saver() as (saver, _):
        graph = _looping(Counting, lambda state: {"n": state["n"] + 1}).compile(checkpointer=saver)
        _invoke(graph, {"n": 0, "turns": WARM_UP_TURNS}, durability)
        took_s = _invoke(graph, {"n": 0, "turns": steps}, durability)
        return {"us_step": took_s / steps * 1e6}


def append(*, steps: int, channel: str) -> dict[str, float]:
    schema = {"list": Appending, "delta": AppendingDelta}[channel]
    with _saver() as (saver, path):
        graph = _looping(schema, lambda state: {"n": state["n"] + 1, "chunks": [chunk(state["n"])]})
        compiled = graph.compile(checkpointer=saver)
        _invoke(compiled, {"n": 0, "turns": 10, "chunks": []}, "sync")
        before = _folded_bytes(saver, path)
        took_s = _invoke(compiled, {"n": 0, "turns": steps, "chunks": []}, "sync")
        stored = _folded_bytes(saver, path) - before
        return {
            "us_step": took_s / steps * 1e6,
            "took_ms": took_s * 1000,
            "stored_bytes": stored,
            "stored_ratio": stored / sum(len(chunk(number)) for number in range(steps)),
        }


def fan_out(*, items: int, wait_s: float, style: str) -> dict[str, float]:
    return {"took_ms": asyncio.run(_fan_out_async(items, wait_s)) if style == "async" else _fan_out(items, wait_s)}


def throughput(*, runs: int, threads: int) -> dict[str, float]:
    with _saver() as (saver, _):
        graph = _short_run(lambda state: {"n": state["n"] + 1}).compile(checkpointer=saver)
        _invoke(graph, {"n": 0}, "sync")
        with ThreadPoolExecutor(threads) as pool:
            start_ns = time.perf_counter_ns()
            list(pool.map(lambda _: _invoke(graph, {"n": 0}, "sync"), range(runs)))
            return {"runs_s": runs / elapsed(start_ns)}


def latency(*, submits: int, pause_s: float) -> dict[str, float]:
    seen: list[int] = []

    def first(state: State) -> State:
        seen.append(time.time_ns())
        return {"n": 1}

    with _saver() as (saver, _):
        graph = _short_run(first).compile(checkpointer=saver)
        _invoke(graph, {"n": 0}, "sync")
        waits = []
        for _ in range(submits):
            time.sleep(pause_s)
            seen.clear()
            submitted_ns = time.time_ns()
            _invoke(graph, {"n": 0}, "sync")
            waits.append((seen[0] - submitted_ns) / 1e9)
        return latency_figures(waits)


def versions() -> dict[str, str]:
    names = ("langgraph", "langgraph-checkpoint", "langgraph-checkpoint-sqlite")
    return {name: version(name) for name in names}


@contextmanager
def _saver() -> Iterator[tuple[SqliteSaver, Path]]:
    """A checkpointer on a fresh file in the working directory's disk, and the file."""
    with tempfile.TemporaryDirectory(dir=".") as directory:
        path = Path(directory, "langgraph.sqlite3")
        with closing(sqlite3.connect(path, check_same_thread=False)) as connection:
            saver = SqliteSaver(connection)
            saver.setup()
            yield saver, path


def _folded_bytes(saver: SqliteSaver, path: Path) -> int:
    saver.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return size_bytes(path)


def _config(recursion_limit: int) -> dict[str, Any]:
    return {"configurable": {"thread_id": uuid.uuid4().hex}, "recursion_limit": recursion_limit}


def _invoke(graph: CompiledStateGraph, state: State, durability: str) -> float:
    """Run to the end and return the seconds it took."""
    config = _config(state.get("turns", NODES) + 10)
    start_ns = time.perf_counter_ns()
    graph.invoke(state, config, durability=durability)
    return elapsed(start_ns)


def _looping(schema: type, work: Callable[[State], State]) -> StateGraph:
    graph = StateGraph(schema)
    graph.add_node("work", work)
    graph.add_edge(START, "work")
    graph.add_conditional_edges("work", lambda state: END if state["n"] >= state["turns"] else "work", ["work", END])
    return graph


def _short_run(first: Callable[[State], State]) -> StateGraph:
    graph = StateGraph(Counting)
    names = [f"node_{number}" for number in range(NODES)]
    graph.add_node(names[0], first)
    for name in names[1:]:
        graph.add_node(name, lambda state: {"n": state["n"] + 1})
    for source, target in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(source, target)
    return graph


def _fanning(work: Callable[[State], Any]) -> StateGraph:
    graph = StateGraph(Fanning)
    graph.add_node("fan", lambda state: {})
    graph.add_node("work", work)
    graph.add_node("gather", lambda state: {})
    graph.add_edge(START, "fan")
    graph.add_conditional_edges(
        "fan", lambda state: [Send("work", {"item": item}) for item in state["items"]], ["work"]
    )
    graph.add_edge("work", "gather")
    graph.add_edge("gather", END)
    return graph


def _fan_out(items: int, wait_s: float) -> float:
    def work(state: State) -> State:
        if wait_s:
            time.sleep(wait_s)
        return {"results": [state["item"]]}

    with _saver() as (saver, _):
        graph = _fanning(work).compile(checkpointer=saver)
        _invoke(graph, {"items": list(range(10))}, "sync")
        return _invoke(graph, {"items": list(range(items))}, "sync") * 1000


async def _fan_out_async(items: int, wait_s: float) -> float:
    async def work(state: State) -> State:
        if wait_s:
            await asyncio.sleep(wait_s)
        return {"results": [state["item"]]}

    with tempfile.TemporaryDirectory(dir=".") as directory:
        async with AsyncSqliteSaver.from_conn_string(str(Path(directory, "langgraph.sqlite3"))) as saver:
            graph = _fanning(work).compile(checkpointer=saver)
            await graph.ainvoke({"items": list(range(10))}, _config(20), durability="sync")
            start_ns = time.perf_counter_ns()
            await graph.ainvoke({"items": list(range(items))}, _config(20), durability="sync")
            return elapsed(start_ns) * 1000


MEASURES: dict[str, Callable[..., dict[str, Any]]] = {
    measure.__name__: measure for measure in (loop, append, fan_out, throughput, latency, versions)
}

if __name__ == "__main__":
    name, parameters = sys.argv[1:]
    print(json.dumps(MEASURES[name](**json.loads(parameters))))
