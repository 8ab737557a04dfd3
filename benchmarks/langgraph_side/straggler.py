"""A branch that takes its time beside one that does not."""

from __future__ import annotations

import time
from statistics import median

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph

from benchmarks.langgraph_side.running import Counting, State, count, invoke, saver
from benchmarks.workload import LINKS


def straggler(*, times: int) -> dict[str, float]:
    with saver() as checkpointer:
        alone_ms = _chain_ms(checkpointer, times, has_straggler=False)
        chain_ms = _chain_ms(checkpointer, times, has_straggler=True)
    return {"chain_ms": chain_ms, "alone_ms": alone_ms, "against_alone": chain_ms / alone_ms}


def _chain_ms(checkpointer: BaseCheckpointSaver, times: int, *, has_straggler: bool) -> float:
    """Until the last step of the chain runs, in a graph that has run before."""
    stamps_ns: list[int] = []

    def stamp(state: State) -> State:
        stamps_ns.append(time.perf_counter_ns())
        return {}

    graph = StateGraph(Counting)
    names = [f"link_{number}" for number in range(LINKS)]
    for name in names[:-1]:
        graph.add_node(name, count)
    graph.add_node(names[-1], stamp)
    for source, target in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(source, target)
    if has_straggler:
        graph.add_node("straggler", lambda state: time.sleep(1))
        graph.add_edge(START, "straggler")
    compiled = graph.compile(checkpointer=checkpointer)
    took_ms = []
    for _ in range(1 + times):
        start_ns = time.perf_counter_ns()
        invoke(compiled, {"n": 0})
        took_ms.append((stamps_ns[-1] - start_ns) / 1e6)
    return median(took_ms[1:])
