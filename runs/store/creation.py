"""How a run comes into being: its head, its first event and its first steps, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import transaction

from runs.models import Event, HumanTask, Run, Step, TaskAssignee
from runs.store.writes import EventRow, StepRow, TaskRow


def insert_run(run: Run, *, events: Sequence[EventRow], steps: Sequence[StepRow]) -> Run:
    """Save a new run with the journal of its start. Nobody drives it yet, so no fence is needed."""
    run.seq = events[-1].seq
    with transaction.atomic():
        run.save(force_insert=True)
        Event.objects.bulk_create(Event(run=run, **event._asdict()) for event in events)
        Step.objects.bulk_create(Step(run=run, **step._asdict()) for step in steps)
    return run


def insert_tasks(run: Run, tasks: Iterable[TaskRow], *, at: datetime) -> None:
    """Ask the people of a new run, in the transaction that makes it."""
    for task in tasks:
        columns = task._asdict()
        assignees = columns.pop("assignees")
        row = HumanTask.objects.create(run=run, organization=run.organization, created_at=at, **columns)
        TaskAssignee.objects.bulk_create(TaskAssignee(task=row, kind=kind, name=name) for kind, name in assignees)
