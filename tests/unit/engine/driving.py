"""Runs driven by hand: what a driver does, without tools, threads and a database."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from typing import Any

from graphs.plan import Plan, compile_plan
from graphs.spec import parse_definition
from runs.engine import (
    Raised,
    Returned,
    RunState,
    View,
    advance,
    child_result,
    codec,
    collect,
    depth_breach,
    dump_state,
    in_flight,
    load_state,
    replay,
    resolve,
    view,
)
from runs.engine.decisions import AwaitStep, CancelStep, CollectItem, Decision, FinishChild, StartStep
from runs.engine.events import (
    AttemptFailed,
    BreakpointHit,
    ChildStarted,
    Event,
    Failure,
    Outcome,
    RunFailed,
    RunPaused,
    RunReopened,
    RunStarted,
    StepCompleted,
    StepFailed,
    StepRescheduled,
    StepWaiting,
)
from runs.engine.resolving import Check

Json = Any
Tools = Mapping[str, Callable[[View], Json]]
LOG = {"log": "append"}
_ENDS_OF_ATTEMPTS = (StepCompleted, StepFailed, StepRescheduled, AttemptFailed, StepWaiting, ChildStarted)
"""What a step in flight is given out anew after, if it goes on."""


def compiled(nodes: dict[str, Json], *, start: str = "s", **definition: Json) -> Plan:
    """The plan of a graph whose nodes call some tool or other, unless they say what they do."""
    kinds = {"tool", "graph", "human", "wait"}
    nodes = {name: node if kinds & node.keys() else {"tool": "t", **node} for name, node in nodes.items()}
    return compile_plan(parse_definition({"name": "graph", "start_node": start, "nodes": nodes, **definition}))


class Run:
    """A run; `give` and `fail` say what the tools of its steps do, `collect` is evaluated at once.

    `children` are the graphs that its nodes call, by name; they start and end at once.
    """

    def __init__(
        self,
        nodes: dict[str, Json],
        *,
        state: dict[str, Json] | None = None,
        reducers: dict[str, str] | None = None,
        children: Mapping[str, Plan] | None = None,
        max_state_bytes: int | None = None,
        schema: dict[str, Json] | None = None,
        checks_schema: bool = True,
        matches_inside: bool = True,
        **definition: Json,
    ) -> None:
        self.children = children or {}
        about_state = {"reducers": LOG if reducers is None else reducers, "schema": schema}
        self.plan = compiled(nodes, state=about_state, **definition)
        self.events: list[Event] = []
        self.running: dict[bytes, StartStep | AwaitStep] = {}
        self.calls: list[tuple[str, dict[str, Json]]] = []
        self._state: RunState | None = None
        started = RunStarted(
            state=state or {},
            max_state_bytes=max_state_bytes,
            checks_schema=checks_schema,
            matches_inside=matches_inside,
        )
        self.feed(started)

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

    def start(self, place: str) -> StartStep | AwaitStep:
        """The step in flight at a node, named with the map items around it."""
        found = [s for s in self.running.values() if f"{s.path}.{s.node}".lstrip(".") == place]
        assert found, f"no step in flight at {place}, only at {self.nodes}"
        return found[0]

    def seen(self, place: str) -> dict[str, Json]:
        names = dict(view(self.state, self.start(place).step))
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
        return self.feed(resolve(self.state, start.step, start.attempt, result, check=check))

    def reopen(self, *steps: bytes) -> tuple[Event, ...]:
        return self.feed(RunReopened(steps=steps))

    def feed(self, outcome: Outcome) -> tuple[Event, ...]:
        """The events that come of an outcome, those of the items that it completes among them."""
        transition = advance(self.plan, self._state, outcome)
        self._state = transition.state
        events = list(transition.events)
        if isinstance(outcome, _ENDS_OF_ATTEMPTS) and events:
            self.running.pop(outcome.step, None)
        if isinstance(outcome, RunPaused | BreakpointHit):
            self.running = {step: start for step, start in self.running.items() if start in in_flight(self.state)}
        self.events += events
        for decision in transition.decisions:
            events += self.take_up(decision)
        return tuple(events)

    def take_up(self, decision: Decision) -> tuple[Event, ...]:
        """Do what the engine decided; only steps wait until the test says what they do."""
        match decision:
            case StartStep(step=step, compensates=None) if self.calls_a_graph(step):
                return self.feed(self.call_graph(decision))
            case StartStep() | AwaitStep():
                self.running[decision.step] = decision
            case CancelStep():
                self.running.pop(decision.step, None)
            case FinishChild():
                result = child_result(self.state, decision.step)
                return self.feed(resolve(self.state, decision.step, decision.attempt, result))
            case CollectItem():
                return self.feed(collect(self.state, decision))
        return ()

    def calls_a_graph(self, step: bytes) -> bool:
        branch = self.state.branches.get(step)
        return branch is not None and branch.node_plan.graph is not None

    def call_graph(self, start: StartStep) -> Outcome:
        """What a driver makes of a step that calls a graph."""
        if breach := depth_breach(self.state, start.step):
            return resolve(self.state, start.step, start.attempt, Raised(error=breach))
        node, seen = self.state.branches[start.step].node_plan, view(self.state, start.step)
        name = node.graph(seen)
        plan = self.state.plans[name] = self.children[name]
        inputs = {key: value(seen) for key, value in node.inputs.items()}
        state = {**plan.spec.state.defaults, **inputs}
        return ChildStarted(step=start.step, attempt=start.attempt, graph=name, digest=name, state=state)

    def play(self, tools: Tools, order: int = 0) -> Run:
        """To the end, in a random order; a node without a tool here writes its name to the log."""
        rng = random.Random(order)
        while self.running:
            start = self.running[rng.choice(list(self.running))]
            place = f"{start.path}.{start.node}".lstrip(".")
            self.calls.append((start.node, self.seen(place)))
            tool = tools.get(start.node, lambda _: {"log": start.node})  # noqa: B023 - called at once
            self.give(place, tool(view(self.state, start.step)))
        return self

    def saw(self, node: str) -> list[dict[str, Json]]:
        """What the calls of a node saw, in order of time."""
        return [seen for called, seen in self.calls if called == node]


def assert_recovers_at_every_cut(run: Run) -> None:
    """The journal, read back, gives the same state, also when it goes on from a snapshot of the state at any place."""

    def find_plan(digest: str, _: Json) -> Plan:
        return run.children[digest]

    end = dump_state(run.state)
    events = [codec.from_data(type(e).__name__, codec.VERSION, codec.to_data(e)) for e in run.events]
    assert events == run.events
    for cut in range(1, len(events) + 1):
        before = replay(run.plan, None, events[:cut], find_plan)
        assert before is not None
        text = json.dumps(dump_state(before))
        loaded = load_state(run.plan, json.loads(text), find_plan)
        assert json.dumps(dump_state(loaded)) == text
        assert (loaded.pending, loaded.waiting) == (before.pending, before.waiting)
        assert in_flight(loaded) == in_flight(before)
        assert dump_state(replay(run.plan, loaded, events[cut:], find_plan) or loaded) == end


FORK = {
    # s ──<  a | b ── c  >── j(all)
    "s": {"next": ["a", "b"]},
    "a": {"next": "j"},
    "b": {"next": "c"},
    "c": {"next": "j"},
    "j": {"join": "all"},
}


def forked(nodes: dict[str, Json] = FORK, **options: Json) -> Run:
    """A run of `FORK`, or of `nodes` that begin like it, whose branches are at a and b."""
    run = Run(nodes, **options)
    run.give("s", {"log": "s"})
    return run
