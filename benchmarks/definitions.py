"""The measured graphs, in the published format."""

from __future__ import annotations

from typing import Any

from benchmarks.workload import LINKS, NODES

Definition = dict[str, Any]
MANY = 1_000_000


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
    """`loop` whose turns each append a text of `characters` to the list `chunks`, as often as one likes."""
    definition = loop("bench_append", reducers={"chunks": "append"})
    definition["state"]["defaults"]["chunks"] = []
    return {**definition, "limits": {"max_steps": MANY, "max_iterations": MANY}}


def short_run() -> Definition:
    """Five nodes, one after the other; the first notes the time."""
    nodes = _chain([f"node_{number}" for number in range(NODES)])
    nodes["node_0"]["tool"] = "bench_stamp"
    return {"name": "short run", "start_node": "node_0", "nodes": nodes, "state": {"defaults": {"n": 0}}}


def chain(*, straggler: bool) -> Definition:
    """Short steps one after the other, of which the last notes the time; `straggler` waits beside them.

    ```
    fork ──► link_0 ──► … ──► link_19
      └────► straggler
    ```
    """
    nodes = _chain([f"link_{number}" for number in range(LINKS)])
    nodes[f"link_{LINKS - 1}"]["tool"] = "bench_stamp"
    nodes["fork"] = {"next": ["link_0", "straggler"] if straggler else ["link_0"]}
    if straggler:
        nodes["straggler"] = {"tool": "sleep", "inputs": {"seconds": 1}}
    return {"name": "chain", "start_node": "fork", "nodes": nodes, "state": {"defaults": {"n": 0}}}


def _chain(names: list[str]) -> dict[str, dict[str, Any]]:
    return {
        name: {"tool": "bench_count", "next": following}
        for name, following in zip(names, [*names[1:], "end"], strict=True)
    }


def fan_out(tool: str, inputs: dict[str, Any], executor: str | None = None) -> Definition:
    """A map over the state key `items` that calls `tool` once an item, and a join.

    ```
    fan ──► work (an item each) ──► gather
    ```
    """
    spread = {"map": "= items", "as": "item", "to": "work", "join": "gather", "collect": {"results": "= index"}}
    work = {"tool": tool, "inputs": inputs, "next": "gather"} | ({"executor": executor} if executor else {})
    return {
        "name": f"map of {tool}",
        "start_node": "fan",
        "nodes": {"fan": {"next": spread}, "work": work, "gather": {}},
    }


def waiting_loop() -> Definition:
    """`loop` whose turns each wait for the state key `seconds`."""
    definition = loop("sleep")
    definition["nodes"]["work"]["outputs"] = {"n": "= n + 1"}
    return definition


def gated_loop() -> Definition:
    """`waiting_loop` that begins when the file named by the state key `gate` is there.

    ```
    gate ──► work ──► n >= turns? ──► end
              ▲           │
              └───────────┘
    ```
    """
    definition = waiting_loop()
    definition["nodes"]["gate"] = {"tool": "bench_wait_for_file", "next": "work"}
    return {**definition, "start_node": "gate"}
