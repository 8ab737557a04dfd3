"""One run of a sample in one order of outcomes, with everything that goes wrong between a driver and an engine."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from graphs.plan import Plan
from runs.engine import (
    RunState,
    advance,
    codec,
    collect,
    dump_state,
    failures_of,
    in_flight,
    learn_plan_of,
    load_state,
    open_children,
    parts_of,
    view,
    wait_of,
)
from runs.engine.decisions import AwaitStep, CancelStep, CollectItem, FinishChild, StartStep
from runs.engine.events import (
    AttemptFailed,
    BranchFrozen,
    BreakpointHit,
    BreakpointsSet,
    ChildStarted,
    Event,
    Failure,
    MapLimited,
    Outcome,
    PartRecorded,
    RunCancelled,
    RunFailed,
    RunMigrated,
    RunPaused,
    RunReopened,
    RunResumed,
    RunStarted,
    RunTimedOut,
    StateEdited,
    StepCompleted,
    StepFailed,
    StepId,
    StepReleased,
    StepRescheduled,
    StepWaiting,
)
from tests.unit.engine.randomized.reference import Reference
from tests.unit.engine.randomized.samples import CHILD, DEPTH_OF_CHILDREN, END, START_STATE, Sample, fingerprint

Json = Any
MAX_STEPS = 120
MAX_EDITS = 3
PREFIXES = ("", "a_", "m.", "zz-")
BROKEN = Failure(type="Broken", message="It broke.")


class TooLong(Exception):
    """The sample runs for so many steps that it shows nothing new."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """All of a run that must not depend on the order of outcomes."""

    status: str
    final: Json
    errors: list[tuple[str, str, str, tuple[str, ...]]]
    steps: list[tuple[str, str, int]]
    """Each call: the step, its node, and a hash of what it saw."""


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """What happens besides the outcomes themselves."""

    failing_first: str | None = None
    """`retried`: some steps fail at first and are retried at any time. `edited`: the same steps fail at first in every
    order; when nothing can run, the state is edited and everything is retried."""
    timeouts: bool = False
    pauses: bool = False
    """The run is paused, stepped, broken at breakpoints and resumed all the time."""
    migrates: bool = False
    """The run is moved to versions that mean the same and have other names. For samples without handlers."""
    undoing: bool = False
    """Half of the steps can be undone, and some runs are cancelled."""
    compared: bool = False
    """With the reference, after every outcome."""


class Play:
    """Plays a sample to its end."""

    def __init__(self, sample: Sample, seed: int, trouble: Trouble) -> None:
        self.sample, self.trouble = sample, trouble
        self.rng = random.Random(seed)
        self.pick = self.rng.choice(["random", "first", "last", "starve", "by id"])
        self.starved = self.rng.choice(sample.plan.names)
        self.seed = seed
        self.prefix = ""
        """Of the names of the root's nodes, in the version that the run has come to."""
        self.state: RunState | None = None
        self.versions: dict[str, Plan] = {}
        self.journal: list[tuple[str, str]] = []
        self.running: dict[StepId, StartStep | AwaitStep] = {}
        self.failures: Counter[StepId] = Counter()
        self.parts: dict[StepId, dict[str, Json]] = {}
        self.collecting: list[CollectItem] = []
        self.finishing: list[FinishChild] = []
        self.opening: list[StartStep] = []
        self.late: list[StepCompleted] = []
        self.past: list[Outcome] = []
        self.steps: list[tuple[str, str, int]] = []
        self.undoable: list[StepId] = []
        self.edits = 0
        self.tried: set[StepId] = set()
        self.last_errors: tuple[tuple[StepId, str, Failure], ...] = ()
        self.reference = Reference(sample.definition) if trouble.compared else None

    def to_the_end(self) -> Ending:
        self.feed(RunStarted(state=START_STATE))
        while self.state.status == "running" or self.try_again():
            if self.state.status == "running":
                self.take_a_turn()
        failed = self.last_errors if self.state.status == "failed" else ()
        errors = [(step.hex(), original(node), error.type, error.keys) for step, node, error in failed]
        assert self.state.status == "completed" or not self.undoable, "something was not undone"
        return Ending(status=self.state.status, final=self.state.final, errors=errors, steps=sorted(self.steps))

    def take_a_turn(self) -> None:
        if not self.running and not self.collecting and not self.finishing and self.state.is_paused:
            self.feed(self.rng.choice([RunResumed(), StepReleased(), StepReleased(mode="over")]))
            return
        assert self.running or self.collecting or self.finishing, "stuck: the run goes on but nothing is in flight"
        if self.finishing and (not self.running or self.rng.random() < 0.5):
            self.finish(self.rng.choice(self.finishing))
        elif self.collecting and (not self.running or self.rng.random() < 0.5):
            decision = self.collecting.pop(self.rng.randrange(len(self.collecting)))
            self.feed(collect(self.state, decision))
        else:
            self.run_a_step(self.choose())
        self.disturb()

    # ------------------------------------------------------------------ steps

    def choose(self) -> StartStep | AwaitStep:
        starts = list(self.running.values())
        match self.pick:
            case "first":
                return starts[0]
            case "last":
                return starts[-1]
            case "starve":
                return self.rng.choice([s for s in starts if s.node != self.starved] or starts)
            case "by id":
                return (min if self.rng.random() < 0.8 else max)(starts, key=lambda start: start.step)
            case _:
                return self.rng.choice(starts)

    def run_a_step(self, start: StartStep | AwaitStep) -> None:
        undoes = self.state.branches[start.step].undoes
        if undoes is not None:
            self.undo(start, undoes)
            return
        seen = self.seen(start.step)
        if self.fails_first(start):
            if self.trouble.failing_first == "edited":
                self.steps.append((start.step.hex(), start.node + " failed", fingerprint(seen)))
            self.feed(self.graph_of(start.step).failure(original(start.node), start.step, start.attempt, "First"))
            if self.trouble.failing_first == "retried" and self.rng.random() < 0.5:
                self.feed(RunReopened(steps=(start.step,)))
            return
        self.end_step(start.step, start.attempt, seen)

    def end_step(self, step: StepId, attempt: int, seen: dict[str, Json]) -> None:
        branch = self.state.branches[step]
        node = original(branch.node_plan.name)
        self.steps.append((step.hex(), node, fingerprint(seen)))
        if len(self.steps) > MAX_STEPS:
            raise TooLong
        outcome = self.graph_of(step).call(node, step, attempt, seen)
        if self.trouble.undoing and isinstance(outcome, StepCompleted) and outcome.step[0] % 2:
            outcome = replace(outcome, compensation={"step": step.hex()})
            self.undoable.append(step)
        if isinstance(outcome, StepCompleted) and branch.scope.home is self.state.root:
            outcome = replace(outcome, route=tuple(t if t == END else self.prefix + t for t in outcome.route))
        self.feed(outcome)

    def graph_of(self, step: StepId) -> Sample:
        child = self.sample.child
        return child if child and self.state.branches[step].scope.graph is child.plan else self.sample

    def calls_a_graph(self, step: StepId) -> bool:
        branch = self.state.branches.get(step)  # None: started and cancelled in one turn
        return branch is not None and branch.node_plan.graph is not None

    def open_child(self, start: StartStep) -> None:
        """At once, since the steps in a subgraph have other names in another attempt of its step."""
        state = {"x": fingerprint(self.seen(start.step)), "depth": DEPTH_OF_CHILDREN}
        self.feed(ChildStarted(step=start.step, attempt=start.attempt, graph=CHILD, digest=CHILD, state=state))

    def finish(self, decision: FinishChild) -> None:
        """What the step of a subgraph that is over does depends on all that is around it and inside."""
        branch = self.state.branches[decision.step]
        inner = branch.child.scope
        if inner.is_stuck:
            failure = self.graph_of(branch.id).failure(
                original(branch.node_plan.name), branch.id, branch.attempt, "Stuck"
            )
            self.feed(failure)
        else:
            result = {f"result.{key}": value for key, value in inner.state({}).items()}
            self.end_step(branch.id, branch.attempt, {**self.seen(branch.id), **result})

    def undo(self, start: StartStep | AwaitStep, undone: StepId) -> None:
        phase = self.state.compensating
        assert undone == phase.current.step == self.undoable.pop(), "not the last one is undone"
        assert phase.current.inputs == {"step": undone.hex()}
        if start.step[0] % 3:
            self.feed(StepCompleted(step=start.step, attempt=start.attempt))
        else:
            error = Failure(type="CannotUndo", message="as arranged")
            self.feed(StepFailed(step=start.step, attempt=start.attempt, error=error))

    def seen(self, step: StepId) -> dict[str, Json]:
        names = dict(view(self.state, step))
        assert names.pop("state").keys() <= names.keys()
        return names

    def fails_first(self, start: StartStep | AwaitStep) -> bool:
        if start.step in self.tried or self.trouble.failing_first is None:
            return False
        self.tried.add(start.step)
        salt = self.seed if self.trouble.failing_first == "retried" else 0
        return fingerprint(salt, start.step) % 5 == 0

    def try_again(self) -> bool:
        """Open a failed run again, if there is something to do about it."""
        if self.state.status != "failed" or self.trouble.failing_first is None or self.edits >= MAX_EDITS:
            return False
        self.edits += 1
        if self.trouble.failing_first == "edited":
            values = {"weird": 1000 + self.edits, "r": self.edits, "sum": self.edits}
            self.feed(StateEdited(values=values, delete=("log",) if self.edits == 2 else ()))
            return self.feed(RunReopened())
        self.edits = 0
        chosen = self.rng.choice([step for step, _, _ in self.last_errors])
        return (self.rng.random() < 0.5 and self.feed(RunReopened(steps=(chosen,)))) or self.feed(RunReopened())

    # ------------------------------------------------------------------ trouble

    def disturb(self) -> None:
        if self.past and self.rng.random() < 0.1:
            self.must_be_dropped(self.rng.choice(self.past[-3:]))
        if self.late and self.rng.random() < 0.5:
            self.must_be_dropped(self.late.pop())
        if self.running and self.rng.random() < 0.05:
            self.try_again_as_the_next_attempt(self.rng.choice(list(self.running.values())))
        if self.running and self.rng.random() < 0.15:
            self.keep_something(self.rng.choice(list(self.running.values())))
        if self.trouble.timeouts and self.state.status == "running" and self.rng.random() < 0.03:
            self.feed(RunTimedOut(limit_s=1))
        if self.trouble.pauses and self.rng.random() < 0.4:
            self.control()
        if self.trouble.migrates and self.rng.random() < 0.2:
            self.migrate()
        if self.trouble.undoing and self.rng.random() < 0.05:
            self.feed(RunCancelled(graceful=self.rng.random() < 0.7))
        if self.trouble.undoing and self.rng.random() < 0.05:
            for step, attempt, _ in [*open_children(self.state)][:1]:
                self.feed(AttemptFailed(step=step, attempt=attempt, error=BROKEN, retry_at=""))
        if self.rng.random() < 0.05:
            self.recover_from_the_journal()
        if self.rng.random() < 0.05:
            self.recover_from_a_snapshot()

    def migrate(self) -> None:
        before, self.prefix = self.prefix, self.rng.choice(PREFIXES)
        mapping = {before + node: self.prefix + node for node in self.sample.definition["nodes"]}
        moved = self.feed(RunMigrated(version="sample@2", digest=f"version {self.prefix}", mapping=mapping))
        assert moved == (self.state.status in ("running", "failed"))
        steps = {decision.step: decision for decision in in_flight(self.state)}
        self.running = {step: steps[step] for step in self.running}

    def control(self) -> None:
        """Pause, step or resume the run, or change how it is watched."""
        branches = list(self.state.branches)
        some = tuple(self.rng.sample(branches, self.rng.randint(0, len(branches))))
        step = self.rng.choice([*branches, b"0123456789"])
        mode = self.rng.choice(["into", "over", "out"])
        stops = self.rng.random() < 0.5
        self.feed(
            self.rng.choice(
                [
                    RunPaused(held=some),
                    RunPaused(held=some),
                    RunResumed(),
                    StepReleased(steps=some, mode=mode),
                    StepReleased(steps=some, mode=mode),
                    BreakpointsSet(breakpoints=({"id": self.rng.choice("ab")},)),
                    BreakpointHit(step=step, breakpoint=self.rng.choice("ab"), stops=stops, held=some),
                    MapLimited(step=step, max_parallel=self.rng.choice([None, 1, 2])),
                ]
            )
        )

    def must_be_dropped(self, outcome: Outcome) -> None:
        before = dump_state(self.state)
        transition = advance(self.sample.plan, self.state, outcome)
        assert transition.events == transition.decisions == (), "a stale outcome had an effect"
        assert dump_state(self.state) == before

    def try_again_as_the_next_attempt(self, start: StartStep | AwaitStep) -> None:
        if "on_error" in self.graph_of(start.step).definition["nodes"][original(start.node)]:
            return  # its handler would see the number of the attempt
        step, attempt = start.step, start.attempt
        failed = AttemptFailed(step=step, attempt=attempt, error=BROKEN, retry_at=f"after {attempt}", heartbeat=attempt)
        died = StepRescheduled(step=step, attempt=attempt + 1, reason="its worker died")
        self.feed(self.rng.choice([failed, died]))
        late = StepCompleted(step=step, attempt=attempt, update={"late": 1})
        part = PartRecorded(step=step, attempt=attempt, name="late", value=1)
        for outcome in (failed, died, late, part, StepWaiting(step=step, attempt=attempt, wait={})):
            self.must_be_dropped(outcome)

    def keep_something(self, start: StartStep | AwaitStep) -> None:
        """A part of the step gives a value, or the step waits: for the first thing, or for another."""
        step, attempt = start.step, start.attempt
        if self.rng.random() < 0.5:
            self.feed(StepWaiting(step=step, attempt=attempt, wait={"number": self.rng.randrange(3)}))
            return
        part = PartRecorded(step=step, attempt=attempt, name=self.rng.choice("pq"), value=self.rng.randrange(9))
        if part.name in self.parts.get(step, {}):
            self.must_be_dropped(part)
        else:
            self.feed(part)

    def recover_from_the_journal(self) -> None:
        """Fold everything from nothing: the outcomes must give the same consequences and the same state."""
        state, journal = None, []
        for type_, text in self.journal:
            event = codec.from_data(type_, codec.VERSION, json.loads(text))
            if isinstance(event, Outcome):
                if state is not None:
                    learn_plan_of(state, event, self.find_plan)
                transition = advance(self.sample.plan, state, event)
                state = transition.state
                journal += map(written, transition.events)
        assert journal == self.journal, "the replayed journal differs"
        self.go_on_with(state)

    def recover_from_a_snapshot(self) -> None:
        self.go_on_with(load_state(self.sample.plan, json.loads(json.dumps(dump_state(self.state))), self.find_plan))

    def find_plan(self, digest: str, _: Json) -> Plan:
        if digest == CHILD:
            return self.sample.child.plan
        if digest not in self.versions:
            self.versions[digest] = self.sample.renamed(digest.removeprefix("version ")).plan
        return self.versions[digest]

    def go_on_with(self, state: RunState) -> None:
        assert dump_state(state) == dump_state(self.state), "the recovered state differs"
        awaited = set(in_flight(state))
        assert awaited == {*self.running.values(), *self.collecting, *self.finishing}, "the steps in flight differ"
        assert (state.pending, state.waiting) == (self.state.pending, self.state.waiting)
        self.state = state

    # ------------------------------------------------------------------ the engine

    def feed(self, outcome: Outcome) -> bool:
        if self.state is not None:
            learn_plan_of(self.state, outcome, self.find_plan)
        transition = advance(self.sample.plan, self.state, outcome)
        self.state = transition.state
        if not transition.events:
            return False
        assert transition.events[0] == outcome
        if isinstance(outcome, StepCompleted | StepFailed):
            if self.running.pop(outcome.step, None):  # a step that froze with its subgraph goes on as the same attempt
                self.past.append(outcome)
            if any(isinstance(e, BranchFrozen) and e.step == outcome.step for e in transition.events):
                self.undoable = [step for step in self.undoable if step != outcome.step]  # its write was refused
        if isinstance(outcome, AttemptFailed | StepRescheduled):
            self.running.pop(outcome.step, None)  # given out anew, unless the run is paused or cancelled
        if isinstance(outcome, RunPaused | BreakpointHit):
            awaited = set(in_flight(self.state))
            self.running = {step: start for step, start in self.running.items() if start in awaited}
        for event in transition.events:
            self.remember(event)
        self.last_errors = next((e.errors for e in transition.events if isinstance(e, RunFailed)), self.last_errors)
        self.journal += map(written, transition.events)
        for decision in transition.decisions:
            match decision:
                case StartStep(compensates=None) if self.calls_a_graph(decision.step):
                    assert self.may_start(decision.step, outcome)
                    self.opening.append(decision)
                case StartStep():
                    assert decision.step not in self.running
                    assert self.may_start(decision.step, outcome)
                    self.running[decision.step] = decision
                case AwaitStep():
                    assert decision.step in self.running
                    self.running[decision.step] = decision
                case CollectItem():
                    self.collecting.append(decision)
                case FinishChild():
                    self.finishing.append(decision)
                case CancelStep():
                    self.late.append(StepCompleted(step=decision.step, update={"log": "LATE"}))
                    self.running.pop(decision.step, None)
        awaited = set(in_flight(self.state)) if self.finishing else ()
        self.finishing = [decision for decision in self.finishing if decision in awaited]
        self.collecting = [c for c in self.collecting if self.state.collecting(c.step, c.index)]
        if self.state.status == "running":
            in_hand = (self.running, self.collecting, self.finishing, self.opening)
            assert self.state.pending == sum(map(len, in_hand))
        self.compare_what_is_kept()
        if self.reference:
            self.compare(outcome)
        while self.opening:
            self.open_child(self.opening.pop())
        return True

    def may_start(self, step: StepId, outcome: Outcome) -> bool:
        """Whether nothing but a release starts a step that a pause is to hold."""
        branch = self.state.branches.get(step)
        is_held = self.state.is_paused and branch is not None and not branch.scope.is_free
        return not is_held or isinstance(outcome, StepReleased)

    def remember(self, event: Event) -> None:
        match event:
            case AttemptFailed():
                self.failures[event.step] += 1
                self.past.append(event)
            case PartRecorded():
                self.parts.setdefault(event.step, {})[event.name] = event.value
            case StepFailed() | BranchFrozen():
                self.failures[event.step] = 0  # it has all its tries before it again when it is opened

    def compare_what_is_kept(self) -> None:
        waits = {step: decision.wait for step, decision in self.running.items() if isinstance(decision, AwaitStep)}
        assert self.state.waiting == len(waits), "other steps wait than those that were told of"
        for step in self.running:
            assert wait_of(self.state, step) == waits.get(step)
            assert failures_of(self.state, step) == self.failures[step], "a failure was lost, or counted twice"
            assert parts_of(self.state, step) == self.parts.get(step, {}), "a part was lost, or recorded twice"

    def compare(self, outcome: Outcome) -> None:
        reference = self.reference
        reference.apply(outcome)
        tokens = reference.running()
        assert self.state.status == reference.status
        assert {s.step: (s.node, s.attempt) for s in self.running.values()} == {
            t.id: (t.node, t.attempt) for t in tokens.values()
        }, "other steps run than in the reference"
        assert {(c.step, c.index) for c in self.collecting} == reference.collecting()
        for step, token in tokens.items():
            assert is_view(self.seen(step), reference.view(token)), "a step sees something else than in the reference"
        assert self.state.final == reference.final
        if self.state.status == "failed" and not isinstance(outcome, StateEdited):
            assert [(s, n, e.type, e.keys) for s, n, e in self.last_errors] == reference.errors()


def is_view(seen: dict[str, Json], expected: dict[str, Json]) -> bool:
    """Whether they are equal. Of why an item of a map failed the reference knows the place, but not the words."""
    error = seen.get("error")
    if isinstance(error, dict) and error.get("type") == "MapFailed":
        length = len(expected["error"]["message"])
        seen = {**seen, "error": {**error, "message": error["message"][:length]}}
    return seen == expected


def original(node: str) -> str:
    """The name that the node has in the sample."""
    return next((node.removeprefix(prefix) for prefix in PREFIXES[1:] if node.startswith(prefix)), node)


def written(event: Event) -> tuple[str, str]:
    data = json.dumps(codec.to_data(event), sort_keys=True)
    assert codec.from_data(type(event).__name__, codec.VERSION, json.loads(data)) == event
    return type(event).__name__, data


def play(sample: Sample, seed: int, trouble: Trouble) -> Ending:
    return Play(sample, seed, trouble).to_the_end()
