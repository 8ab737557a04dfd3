"""Many short runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from langgraph.graph import END, START, StateGraph

from benchmarks.langgraph_side.running import Counting, State, count, invoke, saver
from benchmarks.workload import NODES, elapsed, latency_figures


def throughput(*, runs: int, threads: int) -> dict[str, float]:
    with saver() as checkpointer:
        graph = _short_run(count).compile(checkpointer=checkpointer)
        invoke(graph, {"n": 0})
        with ThreadPoolExecutor(threads) as pool:
            start_ns = time.perf_counter_ns()
            list(pool.map(lambda _: invoke(graph, {"n": 0}), range(runs)))
            return {"runs_s": runs / elapsed(start_ns)}


def latency(*, submits: int, pause_s: float) -> dict[str, float]:
    seen: list[int] = []

    def first(state: State) -> State:
        seen.append(time.time_ns())
        return {"n": 1}

    with saver() as checkpointer:
        graph = _short_run(first).compile(checkpointer=checkpointer)
        invoke(graph, {"n": 0})
        waits = []
        for _ in range(submits):
            time.sleep(pause_s)
            seen.clear()
            submitted_ns = time.time_ns()
            invoke(graph, {"n": 0})
            waits.append((seen[0] - submitted_ns) / 1e9)
        return latency_figures(waits)


def _short_run(first: Callable[[State], State]) -> StateGraph:
    graph = StateGraph(Counting)
    names = [f"node_{number}" for number in range(NODES)]
    graph.add_node(names[0], first)
    for name in names[1:]:
        graph.add_node(name, count)
    for source, target in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(source, target)
    return graph
