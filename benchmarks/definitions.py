"""The measured graphs, in the published format."""

from __future__ import annotations

from typing import Any

from benchmarks.workload import NODES

Definition = dict[str, Any]


def loop(tool: str, **state: Any) -> Definition:
    """One node that goes back to itself until the state key `n` has reached `turns`.

    ```
    work ──► n >= turns? ──► end
      ▲          │
      └──────────┘
    ```
    """
    again = {"condition": "n >= turns", "if_true": "end", "if_false": "work"}
    return {
        "name": f"loop of {tool}",
        "start_node": "work",
        "nodes": {"work": {"tool": tool, "next": again}},
        "state": {"defaults": {"n": 0}, **state},
    }


def appending_loop() -> Definition:
    """`loop` whose turns each append 1 KiB to the list `chunks`."""
    definition = loop("bench_append", reducers={"chunks": "append"})
    definition["state"]["defaults"]["chunks"] = []
    return definition


def short_run() -> Definition:
    """Five nodes, one after the other; the first notes the time."""
    names = [f"node_{number}" for number in range(NODES)]
    nodes = {
        name: {"tool": "bench_count", "next": following}
        for name, following in zip(names, [*names[1:], "end"], strict=True)
    }
    nodes[names[0]]["tool"] = "bench_stamp"
    return {"name": "short run", "start_node": names[0], "nodes": nodes, "state": {"defaults": {"n": 0}}}


def fan_out(tool: str, inputs: dict[str, Any]) -> Definition:
    """A map over the state key `items` that calls `tool` once an item, and a join.

    ```
    fan ──► work (an item each) ──► gather
    ```
    """
    spread = {"map": "= items", "as": "item", "to": "work", "join": "gather", "collect": {"results": "= index"}}
    nodes = {"fan": {"next": spread}, "work": {"tool": tool, "inputs": inputs, "next": "gather"}, "gather": {}}
    return {"name": f"map of {tool}", "start_node": "fan", "nodes": nodes, "limits": {"max_parallel": 1000}}
