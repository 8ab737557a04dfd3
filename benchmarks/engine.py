"""Microseconds that the engine itself needs a step: `advance` alone, no tools, no database.

Run it with `.venv/bin/python -m benchmarks.engine`. The shapes are those whose cost could grow with the length of a
run: loops, branches that end or wait beside a loop, crossing joins, large maps.
"""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from graphs.plan import Plan, compile_plan
from graphs.spec import parse_definition
from runs.engine import RunState, advance, collect, resolve, view
from runs.engine.decisions import CollectItem, StartStep
from runs.engine.events import Outcome, RunStarted, StepCompleted
from runs.engine.resolving import Returned

STEPS = 10_000
REPEATS = 3
"""The best counts: whatever else the machine does can only add."""

Json = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A definition, and what its nodes do: `turn` counts the calls of a node."""

    name: str
    nodes: dict[str, Json]
    start: str
    behave: Callable[[str, int], dict[str, Json]]
    reducers: dict[str, str]


def loop() -> Shape:
    return Shape(
        name=f"loop of {STEPS:,} steps",
        nodes={"a": {"tool": "t", "next": {"each": [{"when": "true", "to": "a"}]}}},
        start="a",
        behave=lambda node, turn: {"update": {"n": 1, "last": turn}, "route": ("a",) if turn < STEPS else ()},
        reducers={"n": "add"},
    )


def appending() -> Shape:
    return Shape(
        name=f"loop appending to a list {STEPS:,} times",
        nodes={"a": {"tool": "t", "next": "a"}},
        start="a",
        behave=lambda node, turn: {"update": {"log": "x"}, "route": ("a",) if turn < STEPS else ()},
        reducers={"log": "append"},
    )


def forking_loop() -> Shape:
    routes = {"f": ("a", "b"), "a": ("j",), "b": ("j",)}
    return Shape(
        name="loop with a fork and join inside",
        nodes={
            "f": {"tool": "t", "next": ["a", "b"]},
            "a": {"tool": "t", "next": "j"},
            "b": {"tool": "t", "next": "j"},
            "j": {"tool": "t", "join": "all", "next": ["f", "end"]},
        },
        start="f",
        behave=lambda node, turn: {
            "update": {"n": 1},
            "route": routes.get(node) or (("f",) if turn < STEPS // 4 else ()),
        },
        reducers={"n": "add"},
    )


def fire_and_forget() -> Shape:
    return Shape(
        name="loop that leaves a branch behind each turn",
        nodes={"f": {"tool": "t", "next": ["log", "f"]}, "log": {"tool": "t"}},
        start="f",
        behave=lambda node, turn: {
            "update": {"n": 1},
            "route": ("log", "f") if node == "f" and turn < STEPS // 2 else (),
        },
        reducers={"n": "add"},
    )


def beside_a_waiting_branch(*, tail_ends: bool) -> Shape:
    """The scope is never quiet, so every write of the loop is kept until the end."""
    routes: dict[str, tuple[str, ...]] = {"s": ("f", "z"), "z": ("e",), "f": ("a", "b"), "a": ("j",)}
    routes["b"] = () if tail_ends else ("j",)
    turns = STEPS // 4
    return Shape(
        name="the same, the branch that goes on ends each turn"
        if tail_ends
        else "fork and join beside a waiting branch",
        nodes={
            "s": {"tool": "t", "next": ["f", "z"]},
            "z": {"tool": "t", "next": "e"},
            "f": {"tool": "t", "next": ["a", "b"]},
            "a": {"tool": "t", "next": "j"},
            "b": {"tool": "t", "next": ["j", "x"]},
            "x": {"tool": "t"},
            "j": {"tool": "t", "join": "all", "next": ["f", "e"]},
            "e": {"tool": "t", "join": "all"},
        },
        start="s",
        behave=lambda node, turn: {
            "update": {"n": 1, f"own_{node}": turn} if node in "fj" and not tail_ends else {"n": 1},
            "route": routes.get(node) or ((("f",) if turn < turns else ("e",)) if node == "j" else ()),
        },
        reducers={"n": "add"},
    )


def wide_map() -> Shape:
    return Shape(
        name=f"map of {STEPS:,} items",
        nodes={
            "m": {"tool": "t", "next": {"map": "= xs", "to": "w", "join": "j", "collect": {"out": "= n"}}},
            "w": {"tool": "t", "next": "j"},
            "j": {"tool": "t"},
        },
        start="m",
        behave=lambda node, turn: {"items": tuple(range(STEPS))} if node == "m" else {"update": {"n": 1}},
        reducers={"n": "add"},
    )


def wide_join() -> Shape:
    width = 1_000
    nodes: dict[str, Json] = {"s": {"tool": "t", "next": [f"p{i}" for i in range(width)]}}
    nodes |= {f"p{i}": {"tool": "t", "next": "j"} for i in range(width)}
    nodes |= {"j": {"tool": "t", "join": "all", "next": "q0"}}
    nodes |= {f"q{i}": {"tool": "t", "next": f"q{i + 1}" if i < width - 3 else "end"} for i in range(width - 2)}
    return _static(f"2,000 nodes, a join of {width:,} branches", nodes, "s", lambda name: {"n": 1, f"k_{name}": 1})


def crossing(name: str, update: Callable[[str], dict[str, Json]]) -> Shape:
    layers, width = 100, 20
    nodes: dict[str, Json] = {"s": {"tool": "t", "next": [f"n0_{w}" for w in range(width)]}}
    for layer in range(layers):
        for w in range(width):
            onward = [f"n{layer + 1}_{(w + d) % width}" for d in range(2)] if layer < layers - 1 else "e"
            nodes[f"n{layer}_{w}"] = {"tool": "t", "join": "all", "next": onward}
    nodes["e"] = {"tool": "t", "join": "all"}
    return _static(f"crossing joins, 100 × 20, {name}", nodes, "s", update)


def _static(name: str, nodes: dict[str, Json], start: str, update: Callable[[str], dict[str, Json]]) -> Shape:
    targets = {
        node: tuple(spec["next"]) if isinstance(spec.get("next"), list) else (spec.get("next", "end"),)
        for node, spec in nodes.items()
    }
    return Shape(
        name=name,
        nodes=nodes,
        start=start,
        behave=lambda node, turn: {"update": update(node), "route": targets[node]},
        reducers={"n": "add"},
    )


def shapes() -> Iterator[Shape]:
    yield loop()
    yield appending()
    yield forking_loop()
    yield fire_and_forget()
    yield beside_a_waiting_branch(tail_ends=False)
    yield beside_a_waiting_branch(tail_ends=True)
    yield wide_map()
    yield wide_join()
    yield crossing("one counter", lambda node: {"n": 1})
    yield crossing("a key for each node", lambda node: {f"k_{node}": 1})


class Measured:
    """A run of a shape to its end, with the time spent in `advance`."""

    def __init__(self, plan: Plan, shape: Shape) -> None:
        self.steps = 0
        self.seconds = 0.0
        self.writes = 0
        self._plan = plan
        self._turns: dict[str, int] = {}
        self._queue: deque[StartStep | CollectItem] = deque()
        self.state: RunState | None = None
        self._feed(RunStarted(state={"n": 0, "log": [], "xs": []}))
        while self._queue:
            self._feed(self._outcome(self._queue.popleft(), shape))

    def _outcome(self, decision: StartStep | CollectItem, shape: Shape) -> Outcome:
        if isinstance(decision, CollectItem):
            assert self.state is not None
            return collect(self.state, decision)
        self.steps += 1
        turn = self._turns[decision.node] = self._turns.get(decision.node, 0) + 1
        return StepCompleted(step=decision.step, **shape.behave(decision.node, turn))

    def _feed(self, outcome: Outcome) -> None:
        begun = time.perf_counter()
        transition = advance(self._plan, self.state, outcome)
        self.seconds += time.perf_counter() - begun
        self.state = transition.state
        ledger = self.state.root.ledger
        self.writes = max(self.writes, len(ledger.writes) if ledger else 0)
        self._queue.extend(d for d in transition.decisions if isinstance(d, StartStep | CollectItem))


def measure(shape: Shape) -> str:
    definition = {
        "name": "benchmark",
        "start_node": shape.start,
        "nodes": shape.nodes,
        "state": {"reducers": shape.reducers},
        "limits": {"max_iterations": 10 * STEPS},
    }
    spec = parse_definition(definition)
    begun = time.perf_counter()
    plan = compile_plan(spec)
    compile_ms = (time.perf_counter() - begun) * 1000
    gc.collect()
    run = min((Measured(plan, shape) for _ in range(REPEATS)), key=lambda run: run.seconds)
    assert run.state is not None and run.state.status == "completed", shape.name
    return f"{shape.name:<52} {run.steps:>7,} {run.seconds / run.steps * 1e6:>9.1f} {run.writes:>8,} {compile_ms:>9.1f}"


def whole_step() -> str:
    """View, resolve with one condition, and advance: what the driver calls for one turn of a loop."""
    node = {"tool": "t", "next": {"condition": f"n < {STEPS}", "if_true": "a", "if_false": "end"}}
    plan = compile_plan(
        parse_definition(
            {"name": "benchmark", "start_node": "a", "nodes": {"a": node}, "limits": {"max_iterations": 2 * STEPS}}
        )
    )
    begun = time.perf_counter()
    transition = advance(plan, None, RunStarted(state={"n": 0}))
    while transition.decisions:
        (start,) = transition.decisions
        assert isinstance(start, StartStep)
        n = view(transition.state, start.step)["n"]
        outcome = resolve(transition.state, start.step, start.attempt, Returned(value={"n": n + 1}))
        transition = advance(plan, transition.state, outcome)
    return f"{'loop: view, condition and advance':<52} {STEPS:>7,} {(time.perf_counter() - begun) / STEPS * 1e6:>9.1f}"


def main() -> None:
    print(f"{'shape':<52} {'steps':>7} {'µs/step':>9} {'writes':>8} {'compile ms':>10}")
    for shape in shapes():
        print(measure(shape), flush=True)
    print(whole_step())


if __name__ == "__main__":
    main()
