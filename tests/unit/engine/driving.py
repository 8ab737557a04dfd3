"""Runs driven by hand: what a driver does, without tools, threads and a database."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from graphs.plan import Plan, compile_plan
from graphs.spec import parse_definition
from runs.engine import Raised, Returned, RunState, View, advance, collect, resolve, view
from runs.engine.decisions import CancelStep, CollectItem, StartStep
from runs.engine.events import Event, Failure, Outcome, RunFailed, RunReopened, RunStarted
from runs.engine.resolving import Check

Json = Any
Tools = Mapping[str, Callable[[View], Json]]
LOG = {"log": "append"}


def compiled(nodes: dict[str, Json], *, start: str = "s", **definition: Json) -> Plan:
    """The plan of a graph whose nodes call some tool or other, unless they say what they do."""
    kinds = {"tool", "graph", "human", "wait"}
    nodes = {name: node if kinds & node.keys() else {"tool": "t", **node} for name, node in nodes.items()}
    return compile_plan(parse_definition({"name": "graph", "start_node": start, "nodes": nodes, **definition}))


class Run:
    """A run; `give` and `fail` say what the tools of its steps do, `collect` is evaluated at once."""

    def __init__(
        self,
        nodes: dict[str, Json],
        *,
        state: dict[str, Json] | None = None,
        reducers: dict[str, str] | None = None,
        **definition: Json,
    ) -> None:
        self.plan = compiled(nodes, state={"reducers": LOG if reducers is None else reducers}, **definition)
        self.events: list[Event] = []
        self.running: dict[bytes, StartStep] = {}
        self.calls: list[tuple[str, dict[str, Json]]] = []
        self._state: RunState | None = None
        self.feed(RunStarted(state=state or {}))

    @property
    def state(self) -> RunState:
        assert self._state is not None
        return self._state

    @property
    def status(self) -> str:
        return self.state.status

    @property
    def final(self) -> dict[str, Json] | None:
        return self.state.final

    @property
    def nodes(self) -> list[str]:
        """Where steps are in flight, with the map items around them."""
        return sorted(f"{start.path}.{start.node}".lstrip(".") for start in self.running.values())

    @property
    def errors(self) -> list[tuple[str, str]]:
        """Node and type of each error of the last failure of the run."""
        failed = [event for event in self.events if isinstance(event, RunFailed)]
        return sorted((node, error.type) for _, node, error in failed[-1].errors)

    def start(self, place: str) -> StartStep:
        """The step in flight at a node, named with the map items around it."""
        found = [s for s in self.running.values() if f"{s.path}.{s.node}".lstrip(".") == place]
        assert found, f"no step in flight at {place}, only at {self.nodes}"
        return found[0]

    def seen(self, place: str) -> dict[str, Json]:
        names = dict(view(self.plan, self.state, self.start(place).step))
        del names["state"]
        return names

    def give(self, place: str, value: Json = None, check: Check | None = None, **command: Json) -> tuple[Event, ...]:
        """The step's tool returns."""
        return self.end(place, Returned(value=value, **command), check)

    def fail(self, place: str, type_: str = "ValueError", names: tuple[str, ...] = ()) -> tuple[Event, ...]:
        """The step's tool fails for good."""
        return self.end(place, Raised(error=Failure(type=type_, message="It broke."), names=names))

    def end(self, place: str, result: Returned | Raised, check: Check | None = None) -> tuple[Event, ...]:
        start = self.start(place)
        return self.feed(resolve(self.plan, self.state, start.step, start.attempt, result, check=check))

    def reopen(self, *steps: bytes) -> tuple[Event, ...]:
        return self.feed(RunReopened(steps=steps))

    def feed(self, outcome: Outcome) -> tuple[Event, ...]:
        """The events that come of an outcome, those of the items that it completes among them."""
        transition = advance(self.plan, self._state, outcome)
        self._state = transition.state
        events = list(transition.events)
        if events and (step := getattr(outcome, "step", None)) and not isinstance(outcome, RunReopened):
            self.running.pop(step, None)
        self.events += events
        for decision in transition.decisions:
            match decision:
                case StartStep():
                    self.running[decision.step] = decision
                case CancelStep():
                    del self.running[decision.step]
                case CollectItem():
                    events += self.feed(collect(self.plan, self.state, decision))
        return tuple(events)

    def play(self, tools: Tools, order: int = 0) -> Run:
        """To the end, in a random order; a node without a tool here writes its name to the log."""
        rng = random.Random(order)
        while self.running:
            start = self.running[rng.choice(list(self.running))]
            place = f"{start.path}.{start.node}".lstrip(".")
            self.calls.append((start.node, self.seen(place)))
            tool = tools.get(start.node, lambda _: {"log": start.node})  # noqa: B023 - called at once
            self.give(place, tool(view(self.plan, self.state, start.step)))
        return self

    def saw(self, node: str) -> list[dict[str, Json]]:
        """What the calls of a node saw, in order of time."""
        return [seen for called, seen in self.calls if called == node]
