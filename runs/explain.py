"""Why is this run not moving? The obstacles of its branches, and those of the run as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.conf import settings
from django.utils import timezone

from graphs.errors import GraphsError
from runs.engine import RunState
from runs.engine.explaining import Obstacle, explain
from runs.errors import JournalDamaged
from runs.history import CANCELLED, PAUSED, newest_deed
from runs.log import data_of
from runs.models import Driver, HumanTask, Lock, Mailbox, Run, Step
from runs.redaction import REDACTED, redaction_of
from runs.selectors import engine_state, lock_holder, lock_queue, not_called, secret_keys_of
from tools.strict_json import Json

MAX_REASONS = 200
MAX_AHEAD = 1_000
"""How far the queue for a lock is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One reason why a run, or one branch of it, does not move. `because` is one of the list in `docs/control.md`."""

    because: str
    message: str
    step: str | None = None
    node: str = ""
    path: str = ""
    data: dict[str, Json] = field(default_factory=dict)


def explain_run(run: Run) -> list[Reason]:
    """What the run waits for, the run as a whole first; at most `MAX_REASONS`. Empty for one that is over for good."""
    if run.status in Run.FINAL:
        return []
    try:
        state = engine_state(run)
    except (JournalDamaged, GraphsError) as error:
        return [Reason(because="damaged", message=f"The run cannot be driven any more: {error}")]
    return list(islice(_reasons(run, state), MAX_REASONS))


def _reasons(run: Run, state: RunState) -> Iterator[Reason]:
    now = timezone.now()
    yield from _of_the_pause(run, state)
    yield from _of_the_workers(run, now)
    yield from _of_the_mail(run)
    yield from _of_the_end(run, state)
    details, redaction = _Details(run), redaction_of(run)
    locks = _Locks(run)
    for obstacle in explain(state):
        reason = details.told(obstacle)
        if reason.because == "lock":
            reason = locks.told(reason, obstacle)
            if redaction or secret_keys_of(state, obstacle.step or b""):
                reason = _concealed(reason)
        yield reason


def _concealed(reason: Reason) -> Reason:
    """Without the lock's name, which an expression may have made of a secret; the journal hides it, too."""
    message = reason.message.replace(f'the lock "{reason.data["name"]}"', "its lock")
    return replace(reason, message=message, data={**reason.data, "name": REDACTED})


def _of_the_pause(run: Run, state: RunState) -> Iterator[Reason]:
    deed = newest_deed(run, PAUSED) if state.is_paused else None
    if deed is not None:
        because = "breakpoint" if deed.who.startswith("breakpoint ") else "paused"
        yield Reason(
            because=because,
            message=f"The run is paused: {deed.words}.",
            data={"by": deed.who, "since": deed.at.isoformat()},
        )


def _of_the_end(run: Run, state: RunState) -> Iterator[Reason]:
    if state.status != "running":
        return
    if state.compensating is not None:
        yield Reason(because="undoing", message="The run undoes what it did, one step at a time, and is then over.")
    elif state.is_stopping:
        deed = newest_deed(run, CANCELLED) if state.is_cancelling else None
        why = "a step has failed, and the graph stops on failures" if deed is None else deed.words
        message = f"The run starts nothing more and is over when the steps under way are: {why}."
        yield Reason(because="stopping", message=message)


def _of_the_workers(run: Run, now: datetime) -> Iterator[Reason]:
    if run.driver is not None:
        silent = now - run.driver.beat_at
        if silent > timedelta(seconds=settings.WORKFLOW.lease_s):
            message = (
                f"Its worker ({run.driver}) has been silent for {silent.seconds} s; another one takes the run over."
            )
            yield Reason(because="worker-silent", message=message)
        return
    if run.queued:
        yield Reason(because="queued", message="The run is queued: it begins when there is room for it.")
    if run.wake_at is None or run.wake_at > now:
        return  # at rest: it waits for what its branches wait for
    alive = Driver.objects.filter(beat_at__gt=now - timedelta(seconds=settings.WORKFLOW.lease_s), draining=False)
    if not alive.filter(quarantine=run.quarantined).exists():
        kind = "quarantine worker" if run.quarantined else "worker"
        yield Reason(because="no-worker", message=f"The run is due, and no {kind} is alive; start manage.py worker.")
    elif run.quarantined:
        message = "A worker died in the run; it goes on when those before it in quarantine have been tried."
        yield Reason(because="quarantined", message=message)
    else:
        yield Reason(because="due", message="The run is due; the next worker with a free place takes it.")


def _of_the_mail(run: Run) -> Iterator[Reason]:
    for mail in Mailbox.objects.filter(run=run, consumed_at=None).order_by("id"):
        message = f'A message "{mail.kind}" from {mail.actor} is not taken in yet.'
        yield Reason(because="mail", message=message, data={"kind": mail.kind, "since": mail.created_at.isoformat()})


class _Details:
    """What the rows of a run add to what its engine knows."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._rows = {
            bytes(row.step): row
            for row in Step.objects.filter(run=run, status__in=(Step.Status.RUNNING, Step.Status.WAITING))
        }
        self._not_called = _not_called(run)
        self._tasks = {
            bytes(task.step): task for task in HumanTask.objects.filter(run=run, status=HumanTask.Status.OPEN)
        }

    def told(self, obstacle: Obstacle) -> Reason:
        if obstacle.because == "running" and (waits_for := self._not_called.get(obstacle.step or b"")):
            obstacle = replace(obstacle, because=waits_for, message=_not_called_yet(obstacle, waits_for))
        more = self._more(obstacle)
        return Reason(
            because=obstacle.because,
            message=obstacle.message,
            step=None if obstacle.step is None else obstacle.step.hex(),
            node=obstacle.node,
            path=obstacle.path,
            data={**obstacle.data, **more},
        )

    def _more(self, obstacle: Obstacle) -> dict[str, Any]:
        row = self._rows.get(obstacle.step or b"")
        more: dict[str, Any] = {} if row is None else {"since": row.scheduled_at.isoformat()}
        if obstacle.because in ("running", *_WAITS_FOR) and self._run.driver is not None:
            more["worker"] = str(self._run.driver)
        if obstacle.because == "retry" and row is not None and row.error:
            more["error"] = data_of(row.error)
        if obstacle.because == "person" and (task := self._tasks.get(obstacle.step or b"")):
            assignees = [str(assignee) for assignee in task.assignees.all()]
            more |= {"task": str(task.uuid), "title": task.title, "assignees": assignees}
        return more


_WAITS_FOR = {
    "place": "limits.max_parallel, or a map, lets no more steps run at once",
    "executor": "its worker has no thread or process free for it",
}


def _not_called(run: Run) -> dict[bytes, str]:
    """The steps that the run's worker had not called at its last beat, with what they wait for."""
    return {bytes.fromhex(step): what for what in _WAITS_FOR for step in not_called(run, what)}


def _not_called_yet(obstacle: Obstacle, waits_for: str) -> str:
    place = f'Node "{obstacle.node}"' + (f" ({obstacle.path})" if obstacle.path else "")
    return f"{place} is not called yet: {_WAITS_FOR[waits_for]}."


class _Locks:
    """Who holds the locks that steps of a run wait for, and who gets them first; each lock is looked at once."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._holders: dict[str, Lock | None] = {}
        self._queues: dict[str, dict[tuple[int, bytes], int]] = {}

    def told(self, reason: Reason, obstacle: Obstacle) -> Reason:
        name, waiter = obstacle.data["name"], (self._run.pk, obstacle.step or b"")
        if name not in self._holders:
            self._holders[name] = lock_holder(self._run.organization, name)
            queue = lock_queue(self._run.organization, name).values_list("run_id", "step")[:MAX_AHEAD]
            self._queues[name] = {(run_id, bytes(step)): place for place, (run_id, step) in enumerate(queue)}
        holder = self._holders[name]
        if holder is None:
            return reason
        if (holder.run_id, bytes(holder.step)) == waiter:
            return replace(reason, message=f"{reason.message} It has come, and the step goes on in a moment.")
        return _held(reason, holder, self._queues[name].get(waiter))


def _held(reason: Reason, lock: Lock, ahead: int | None) -> Reason:
    """`ahead` is the number of steps that get the lock before; None if they are too many to be counted."""
    step = bytes(lock.step)
    held = {"run": str(lock.run.uuid), "step": step.hex(), "since": lock.acquired_at.isoformat()}
    node = Step.objects.filter(run=lock.run, step=step).values_list("node", flat=True).first()
    where = f"run {lock.run.uuid}"
    if node is not None:
        held["node"] = node
        where = f'"{node}" of {where}'
    message = f"{reason.message} It is held by {where}."
    if ahead:
        message += f" Ahead of it in the queue: {ahead}."
    more: dict[str, Json] = {"holder": held} if ahead is None else {"holder": held, "ahead": ahead}
    return replace(reason, message=message, data={**reason.data, **more})
