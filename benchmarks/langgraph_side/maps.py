"""Maps: a `Send` an item, and a join."""

from __future__ import annotations

import asyncio
import operator
import time
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from benchmarks.langgraph_side.running import State, invoke, new_config, saver, sqlite_file
from benchmarks.workload import burn, elapsed


class Fanning(TypedDict):
    items: list[int]
    results: Annotated[list[int], operator.add]


def fan_out(*, items: int, style: str, seconds: float = 0, warm_up: int = 10) -> dict[str, float]:
    """Items that do nothing, wait in a thread, wait on the event loop, or need a core in a thread, for so long."""
    if style == "async":
        took_s = asyncio.run(_fan_out_async(items, seconds, warm_up))
    else:
        took_s = _fan_out(items, {"none": _do_nothing, "sync": time.sleep, "cpu": burn}[style], seconds, warm_up)
    return {"took_ms": took_s * 1000}


def _do_nothing(seconds: float) -> None: ...


def _fan_out(items: int, act: Callable[[float], None], seconds: float, warm_up: int) -> float:
    def work(state: State) -> State:
        act(seconds)
        return {"results": [state["item"]]}

    with saver() as checkpointer:
        graph = _fanning(work).compile(checkpointer=checkpointer)
        invoke(graph, {"items": list(range(warm_up))})
        return invoke(graph, {"items": list(range(items))})


async def _fan_out_async(items: int, seconds: float, warm_up: int) -> float:
    async def work(state: State) -> State:
        await asyncio.sleep(seconds)
        return {"results": [state["item"]]}

    with sqlite_file() as path:
        async with AsyncSqliteSaver.from_conn_string(str(path)) as checkpointer:
            graph = _fanning(work).compile(checkpointer=checkpointer)
            await graph.ainvoke({"items": list(range(warm_up))}, new_config(5), durability="sync")
            start_ns = time.perf_counter_ns()
            await graph.ainvoke({"items": list(range(items))}, new_config(5), durability="sync")
            return elapsed(start_ns)


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
