"""How a run comes into being: its head, its first event and its first steps, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from runs.models import Event, Run, Step
from runs.store.writes import EventRow, StepRow


def insert_run(run: Run, *, events: Sequence[EventRow], steps: Sequence[StepRow]) -> Run:
    """Save a new run with the journal of its start. Nobody drives it yet, so no fence is needed."""
    run.seq = events[-1].seq
    with transaction.atomic():
        run.save(force_insert=True)
        Event.objects.bulk_create(Event(run=run, **event._asdict()) for event in events)
        Step.objects.bulk_create(
            Step(
                run=run,
                step=step.step,
                node=step.node,
                path=step.path,
                status=step.status,
                attempt=step.attempt,
                scheduled_seq=step.scheduled_seq,
                scheduled_at=step.scheduled_at,
            )
            for step in steps
        )
    return run
