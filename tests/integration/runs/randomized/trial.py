"""One random graph as a run of the real system, and what must have come of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from accounts.actor import Actor
from graphs.models import GraphVersion
from graphs.services import create_draft, create_graph, publish_version
from runs.engine.events import Event as EngineEvent
from runs.engine.events import Failure, RunFailed, StepCompleted, StepFailed, StepId
from runs.models import Event, Run, Step
from runs.recovery import event_of
from runs.selectors import current_state
from runs.services import start_run
from runs.store.writes import EventRow
from tests.integration.runs.randomized.predicted import Ending, predicted, told_by
from tests.integration.runs.randomized.published import played, published, seen_by
from tests.support.verifying import assert_as_journaled
from tests.unit.engine.randomized.campaign import sample_of
from tests.unit.engine.randomized.play import Trouble, play
from tests.unit.engine.randomized.reference import name_of
from tests.unit.engine.randomized.samples import START_STATE

IN_ANY_ORDER = ("plain", "dag", "map", "retry", "call")
"""Kinds whose end does not depend on timing."""
IN_THE_ORDER_OF_THE_JOURNAL = ("any", "edit")
"""Kinds whose end depends on the order of outcomes, or on when somebody edits."""
UNPREDICTED = ("race", "undo")
"""Kinds that the model does not know, and of which only the journal can be held against the rows."""

FOR_PEOPLE = ("LogWritten", "MailRefused")
DURABILITIES = (Run.Durability.SYNC, Run.Durability.SYNC, Run.Durability.ASYNC, Run.Durability.EXIT)


class Trial:
    """Raises TooLong for a sample that shows nothing new."""

    def __init__(self, kind: str, seed: int) -> None:
        self.kind = kind
        self.name = f"{kind} {seed}"
        self.durability = DURABILITIES[seed % len(DURABILITIES)]
        self.sample = sample_of(kind, seed)
        self.forks: list[Run] = []
        self.expected: Ending | None = None
        if kind in IN_ANY_ORDER:
            self.expected = predicted(self.sample)
        else:
            play(self.sample, 0, Trouble())

    def start(self, actor: Actor) -> None:
        child = self._publish_child(actor).graph.slug if self.sample.child else ""
        definition = published(self.kind, self.name, self.sample, child=child)
        version = create_graph(definition=definition, actor=actor)
        reworded = {**definition, "description": "Says and does the same."}
        draft = create_draft(graph=version.graph, definition=reworded, actor=actor)
        self.versions = (version, publish_version(version=draft, actor=actor))
        self.run = start_run(version=version, state=START_STATE, actor=actor, durability=self.durability)

    def _publish_child(self, actor: Actor) -> GraphVersion:
        return create_graph(definition=published(self.kind, self._name_of_child, self.sample.child), actor=actor)

    @property
    def _name_of_child(self) -> str:
        return f"{self.name} called"

    @property
    def runs(self) -> tuple[Run, ...]:
        """The run and its forks."""
        return self.run, *self.forks

    # ------------------------------------------------------------------ what came of it

    def check(self) -> None:
        assert_as_journaled(*self.runs)
        calls = self._calls()
        self._check_what_was_undone()
        if self.kind in UNPREDICTED:
            return
        expected = self.expected or replace(told_by(self.sample, journal_of(self.run)), calls=calls)
        differences = _ending(self.run, calls).differences(expected)
        assert not differences, f"{self.name} ends otherwise than in the model: {'; '.join(differences)}"
        for fork in self.forks:
            differences = _ending(fork, expected.calls).differences(expected)
            assert not differences, f"{self.name}, forked at {fork.fork_seq}, ends otherwise: {'; '.join(differences)}"

    def _check_what_was_undone(self) -> None:
        """All that a run did which did not complete: the last step first, each once."""
        ended = [event for event in journal_of(self.run) if isinstance(event, StepCompleted | StepFailed)]
        done = [event.step for event in ended if isinstance(event, StepCompleted) and event.compensation is not None]
        undoing = [] if self.run.status == Run.Status.COMPLETED else [name_of(b"u", step) for step in reversed(done)]
        undone = [event.step for event in ended if event.step in undoing]
        assert undone == undoing, f"{self.name}: {undone} was undone instead of {undoing}"

    def _calls(self) -> Counter[tuple[str, int]]:
        """The calls that the run knows of, each of whose attempts must have seen the same, in the forks too."""
        known, known_to_forks = (
            {step.key for step in Step.objects.filter(run__in=runs)} for runs in ([self.run], self.forks)
        )
        calls: Counter[tuple[str, int]] = Counter()
        for name in (self.name, self._name_of_child):
            played.pop(name, None)
            for step, seen in seen_by.pop(name, {}).items():
                if self.kind in IN_ANY_ORDER:
                    assert len(seen) == 1, f"{self.name}: the attempts of step {step} saw different things"
                if step in known:
                    calls.update(seen)
                elif step not in known_to_forks:  # inside a call that another attempt of its step made
                    assert self._may_be_forgotten(seen), f"{self.name}: step {step} was called and is not known"
        return calls

    def _may_be_forgotten(self, seen: set[tuple[str, int]]) -> bool:
        """Whether the call may be lost with its driver. What is called instead has another name in a subgraph."""
        return self.durability != Run.Durability.SYNC and (self.expected is None or seen <= self.expected.calls.keys())


def _ending(run: Run, calls: Counter[tuple[str, int]]) -> Ending:
    final = current_state(run).values if run.status == Run.Status.COMPLETED else None
    failures = _failures_of(run) if run.status == Run.Status.FAILED else ()
    errors = sorted((node, error.type, tuple(sorted(error.keys))) for _, node, error in failures)
    return Ending(status=run.status, final=final, errors=errors, calls=calls)


def steps_to_retry(run: Run) -> list[str]:
    """The steps that failed and will not fail again."""
    return [step.hex() for step, _, error in _failures_of(run) if error.type == "First"]


def _failures_of(run: Run) -> tuple[tuple[StepId, str, Failure], ...]:
    """What the run has failed of, the last time."""
    return next(event for event in reversed(journal_of(run)) if isinstance(event, RunFailed)).errors


def journal_of(run: Run) -> list[EngineEvent]:
    rows = Event.objects.filter(run=run).exclude(type__in=FOR_PEOPLE).order_by("seq")
    return [event_of(EventRow(*row)) for row in rows.values_list("seq", "type", "v", "at", "data")]
