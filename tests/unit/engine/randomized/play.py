"""One run of a sample in one order of outcomes, with everything that goes wrong between a driver and an engine."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

from runs.engine import RunState, advance, codec, collect, dump_state, in_flight, load_state, view
from runs.engine.decisions import CancelStep, CollectItem, StartStep
from runs.engine.events import (
    Event,
    Failure,
    Outcome,
    RunFailed,
    RunReopened,
    RunStarted,
    RunTimedOut,
    StateEdited,
    StepCompleted,
    StepFailed,
    StepId,
    StepRescheduled,
)
from tests.unit.engine.randomized.reference import Reference
from tests.unit.engine.randomized.samples import START_STATE, Sample, fingerprint

Json = Any
MAX_STEPS = 120
MAX_EDITS = 3


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
        self.state: RunState | None = None
        self.journal: list[tuple[str, str]] = []
        self.running: dict[StepId, StartStep] = {}
        self.collecting: list[CollectItem] = []
        self.late: list[StepCompleted] = []
        self.past: list[Outcome] = []
        self.steps: list[tuple[str, str, int]] = []
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
        errors = [(step.hex(), node, error.type, error.keys) for step, node, error in failed]
        return Ending(status=self.state.status, final=self.state.final, errors=errors, steps=sorted(self.steps))

    def take_a_turn(self) -> None:
        assert self.running or self.collecting, "stuck: the run goes on but nothing is in flight"
        if self.collecting and (not self.running or self.rng.random() < 0.5):
            decision = self.collecting.pop(self.rng.randrange(len(self.collecting)))
            self.feed(collect(self.sample.plan, self.state, decision))
        else:
            self.run_a_step(self.choose())
        self.disturb()

    # ------------------------------------------------------------------ steps

    def choose(self) -> StartStep:
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

    def run_a_step(self, start: StartStep) -> None:
        seen = self.seen(start.step)
        if self.fails_first(start):
            if self.trouble.failing_first == "edited":
                self.steps.append((start.step.hex(), start.node + " failed", fingerprint(seen)))
            self.feed(self.sample.failure(start.node, start.step, start.attempt, "First"))
            if self.trouble.failing_first == "retried" and self.rng.random() < 0.5:
                self.feed(RunReopened(steps=(start.step,)))
            return
        self.steps.append((start.step.hex(), start.node, fingerprint(seen)))
        if len(self.steps) > MAX_STEPS:
            raise TooLong
        self.feed(self.sample.call(start.node, start.step, start.attempt, seen))

    def seen(self, step: StepId) -> dict[str, Json]:
        names = dict(view(self.sample.plan, self.state, step))
        assert names.pop("state").keys() <= names.keys()
        return names

    def fails_first(self, start: StartStep) -> bool:
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
            self.reschedule(self.rng.choice(list(self.running.values())))
        if self.trouble.timeouts and self.state.status == "running" and self.rng.random() < 0.03:
            self.feed(RunTimedOut(limit_s=1))
        if self.rng.random() < 0.05:
            self.recover_from_the_journal()
        if self.rng.random() < 0.05:
            self.recover_from_a_snapshot()

    def must_be_dropped(self, outcome: Outcome) -> None:
        before = dump_state(self.state)
        transition = advance(self.sample.plan, self.state, outcome)
        assert transition.events == transition.decisions == (), "a stale outcome had an effect"
        assert dump_state(self.state) == before

    def reschedule(self, start: StartStep) -> None:
        if "on_error" in self.sample.definition["nodes"][start.node]:
            return  # its handler would see the number of the attempt
        self.feed(StepRescheduled(step=start.step, attempt=start.attempt + 1, reason="its worker died"))
        self.must_be_dropped(StepCompleted(step=start.step, attempt=start.attempt, update={"late": 1}))

    def recover_from_the_journal(self) -> None:
        """Fold everything from nothing: the outcomes must give the same consequences and the same state."""
        state, journal = None, []
        for type_, text in self.journal:
            event = codec.from_data(type_, codec.VERSION, json.loads(text))
            if isinstance(event, Outcome):
                transition = advance(self.sample.plan, state, event)
                state = transition.state
                journal += map(written, transition.events)
        assert journal == self.journal, "the replayed journal differs"
        self.go_on_with(state)

    def recover_from_a_snapshot(self) -> None:
        self.go_on_with(load_state(self.sample.plan, json.loads(json.dumps(dump_state(self.state)))))

    def go_on_with(self, state: RunState) -> None:
        assert dump_state(state) == dump_state(self.state), "the recovered state differs"
        awaited = set(in_flight(state))
        assert awaited == {*self.running.values(), *self.collecting}, "the steps in flight differ"
        self.state = state

    # ------------------------------------------------------------------ the engine

    def feed(self, outcome: Outcome) -> bool:
        transition = advance(self.sample.plan, self.state, outcome)
        self.state = transition.state
        if not transition.events:
            return False
        assert transition.events[0] == outcome
        if isinstance(outcome, StepCompleted | StepFailed):
            self.running.pop(outcome.step)
            self.past.append(outcome)
        self.last_errors = next((e.errors for e in transition.events if isinstance(e, RunFailed)), self.last_errors)
        self.journal += map(written, transition.events)
        for decision in transition.decisions:
            match decision:
                case StartStep():
                    assert decision.step not in self.running or isinstance(outcome, StepRescheduled)
                    self.running[decision.step] = decision
                case CollectItem():
                    self.collecting.append(decision)
                case CancelStep():
                    self.late.append(StepCompleted(step=decision.step, update={"log": "LATE"}))
                    self.running.pop(decision.step)
        self.collecting = [c for c in self.collecting if self.state.collecting(c.step, c.index)]
        if self.reference:
            self.compare(outcome)
        return True

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
            assert self.seen(step) == reference.view(token), "a step sees something else than in the reference"
        assert self.state.final == reference.final
        if self.state.status == "failed" and not isinstance(outcome, StateEdited):
            assert [(s, n, e.type, e.keys) for s, n, e in self.last_errors] == reference.errors()


def written(event: Event) -> tuple[str, str]:
    data = json.dumps(codec.to_data(event), sort_keys=True)
    assert codec.from_data(type(event).__name__, codec.VERSION, json.loads(data)) == event
    return type(event).__name__, data


def play(sample: Sample, seed: int, trouble: Trouble) -> Ending:
    return Play(sample, seed, trouble).to_the_end()
