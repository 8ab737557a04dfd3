"""Plays the driver's part: reports what steps came to, node by node, and writes what follows."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from graphs.plans import plan_of, plan_of_digest
from runs.engine import Raised, Returned, advance, collect, learn_plan_of, resolve
from runs.engine.decisions import CollectItem
from runs.engine.events import Event as EngineEvent
from runs.engine.events import Failure, Json, RunCompleted, RunFailed
from runs.models import Event, Run, Step
from runs.projection import Projection, Provenance
from runs.recovery import fold
from runs.store.writes import EventRow, StepRow

_ENDS = {RunCompleted: Run.Status.COMPLETED, RunFailed: Run.Status.FAILED}


class Play:
    """A run whose tools are played by the test."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._plan = plan_of(run.version)
        rows = Event.objects.filter(run=run).order_by("seq").values_list("seq", "type", "v", "at", "data")
        self._state = fold(self._plan, (EventRow(*row) for row in rows), find_plan=plan_of_digest)
        names = StepRow._fields
        self._projection = Projection(StepRow(**row) for row in Step.objects.filter(run=run).values(*names))

    def complete(self, node: str, **update: Json) -> None:
        """The tool of the node's oldest running step returns this update."""
        self._resolve(node, Returned(value=update))

    def fail(self, node: str, message: str) -> None:
        self._resolve(node, Raised(error=Failure(type="ValueError", message=message)))

    def happen(self, kind: type[EngineEvent], node: str, **fields: Any) -> None:
        """The outcome `kind` of the node's oldest running step comes in."""
        self._report(kind(step=self._running(node), **fields))

    def tell(self, outcome: EngineEvent) -> None:
        """Something about the whole run comes in."""
        self._report(outcome)

    def _resolve(self, node: str, result: Returned | Raised) -> None:
        self._report(resolve(self._state, self._running(node), 1, result), took_ms=1.5)

    def _running(self, node: str) -> bytes:
        running = Step.objects.filter(run=self.run, node=node, status=Step.Status.RUNNING)
        return bytes(running.earliest("scheduled_seq", "pk").step)

    def _report(self, outcome: EngineEvent, *, took_ms: float | None = None) -> None:
        learn_plan_of(self._state, outcome, plan_of_digest)
        transition = advance(self._plan, self._state, outcome)
        recorded = self._projection.record(
            transition.events,
            transition.decisions,
            after_seq=self.run.seq,
            at=timezone.now(),
            provenance=Provenance(took_ms),
        )
        Event.objects.bulk_create(Event(run=self.run, **row._asdict()) for row in recorded.events)
        for row in recorded.steps:
            Step.objects.update_or_create(run=self.run, step=row.step, defaults=row._asdict())
        self.run.seq = recorded.events[-1].seq
        self.run.status = next((_ENDS[type(e)] for e in transition.events if type(e) in _ENDS), Run.Status.RUNNING)
        self.run.save(update_fields=["seq", "status"])
        for decision in transition.decisions:
            if isinstance(decision, CollectItem):
                self._report(collect(self._state, decision))
