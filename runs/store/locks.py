"""Locks over runs: taken before a tool is called, given back in the transaction that ends its step.

A lock is held by a step of a run, over all attempts and drivers of that step, so taking it again is no second holder.
Who finds it held queues up. Giving a lock back hands it to the first of the queue and leaves a message in that one's
run, in the same transaction: between two holders it is never free, and no newcomer overtakes.

`sweep` repairs what no transaction of a step can: the holder's run was deleted, or its step ended while a thread was
about to take the lock for it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from runs.models import Lock, LockWait, Mailbox, Run, Step
from tools import strict_json

GRANTED = "lock"
"""The kind of the message that tells a run of its lock. Payload: `step` (20 hex digits)."""
SWEEP_AFTER = timedelta(seconds=10)
"""What was written last may be ahead of the rows that tell of its step."""

Row = TypeVar("Row", Lock, LockWait)
Execute = Callable[[str, Sequence[Any]], list[Any]]
"""Runs a statement, written with `%s`, in the transaction of a step and returns its rows."""

LEAVE = "DELETE FROM runs_lockwait WHERE run_id = %s AND step = %s"
HELD = "UPDATE runs_lock SET acquired_at = %s WHERE run_id = %s AND step = %s RETURNING id, organization_id, name"
"""An update, because it also keeps newcomers from queueing up while the queue is looked at."""
NEXT = """
DELETE FROM runs_lockwait
WHERE id = (SELECT MIN(id) FROM runs_lockwait WHERE organization_id = %s AND name = %s)
RETURNING run_id, step
"""
FREE = "DELETE FROM runs_lock WHERE id = %s"
HAND_OVER = "UPDATE runs_lock SET run_id = %s, step = %s WHERE id = %s"
POST = "INSERT INTO runs_mailbox (run_id, kind, payload, actor, created_at) VALUES (%s, %s, %s, '', %s)"
WAKE = """
UPDATE runs_run SET wake_at = %s WHERE id = %s AND status NOT IN ('completed', 'failed', 'cancelled')
"""
LOCKED = """
SELECT step FROM runs_lock WHERE run_id = %s UNION SELECT step FROM runs_lockwait WHERE run_id = %s
"""


def take_lock(*, organization_id: int, name: str, run_id: int, step: bytes, within: Collection[bytes] = ()) -> bool:
    """Take a free lock for a step, or queue up for it; whether the step holds it now.

    A step holds what one of the steps `within` which it runs holds: the calls of its subgraphs.
    """
    now = timezone.now()
    with transaction.atomic():
        # A state that was edited may have given it another name.
        LockWait.objects.filter(run_id=run_id, step=step).exclude(name=name).delete()
        holder = None
        while holder is None:  # freed between the two statements
            lock = Lock(organization_id=organization_id, name=name, run_id=run_id, step=step, acquired_at=now)
            Lock.objects.bulk_create([lock], ignore_conflicts=True)
            holder = Lock.objects.select_for_update().filter(organization_id=organization_id, name=name).first()
        if holder.run_id == run_id and bytes(holder.step) in {step, *within}:
            return True
        wait = LockWait(organization_id=organization_id, name=name, run_id=run_id, step=step, since=now)
        LockWait.objects.bulk_create([wait], ignore_conflicts=True)
    return False


def release_locks(execute: Execute, *, run_id: int, steps: Iterable[bytes], at: Any) -> bool:
    """Let steps hold and wait for nothing any more; whether another step got a lock by that.

    `at` is the time as the database takes it.
    """
    steps = list(steps)
    for step in steps:  # all of them first: none is to get what another one gives back
        execute(LEAVE, (run_id, step))
    is_granted = False
    for step in steps:
        for lock_id, organization_id, name in execute(HELD, (at, run_id, step)):
            is_granted |= _hand_over(execute, lock_id, organization_id, name, at)
    return is_granted


def _hand_over(execute: Execute, lock_id: int, organization_id: int, name: str, at: Any) -> bool:
    following = execute(NEXT, (organization_id, name))
    if not following:
        execute(FREE, (lock_id,))
    for run_id, step in following:
        execute(HAND_OVER, (run_id, step, lock_id))
        execute(POST, (run_id, GRANTED, strict_json.dumps({"step": bytes(step).hex()}), at))
        execute(WAKE, (at, run_id))
    return bool(following)


def sweep_locks() -> bool:
    """Free what is held by steps that are over, and give locks without a holder to who waits; whether one got any."""
    is_granted = False
    for lock in _of_ended_steps(Lock.objects.filter(acquired_at__lt=timezone.now() - SWEEP_AFTER)):
        with transaction.atomic(), connection.cursor() as cursor:
            at = connection.ops.adapt_datetimefield_value(timezone.now())
            execute = _executing(cursor)
            is_granted |= release_locks(execute, run_id=lock.run_id, steps=[bytes(lock.step)], at=at)
    _of_ended_steps(LockWait.objects.filter(since__lt=timezone.now() - SWEEP_AFTER)).delete()
    held = Lock.objects.filter(organization=OuterRef("organization"), name=OuterRef("name"))
    for wait in LockWait.objects.filter(~Exists(held)):
        is_granted |= _admit(wait)
    return is_granted


def _of_ended_steps(rows: QuerySet[Row]) -> QuerySet[Row]:
    ended = Step.objects.filter(run=OuterRef("run"), step=OuterRef("step")).exclude(
        status__in=(Step.Status.RUNNING, Step.Status.WAITING)
    )
    is_written = ~Q(run__durability=Run.Durability.EXIT)  # else its rows are behind while a driver holds it
    return rows.filter(Q(Exists(ended)) & is_written | Q(run__status__in=Run.TERMINAL, run__driver=None))


def _admit(wait: LockWait) -> bool:
    """Give the waiting step a lock that nobody holds."""
    now = timezone.now()
    with transaction.atomic():
        names = {"organization_id": wait.organization_id, "name": wait.name}
        Lock.objects.bulk_create(
            [Lock(**names, run_id=wait.run_id, step=wait.step, acquired_at=now)], ignore_conflicts=True
        )
        holder = Lock.objects.get(**names)
        if (holder.run_id, bytes(holder.step)) != (wait.run_id, bytes(wait.step)):
            return False
        wait.delete()
        payload = strict_json.dumps({"step": bytes(wait.step).hex()})
        Mailbox.objects.create(run_id=wait.run_id, kind=GRANTED, payload=payload, created_at=now)
        Run.objects.filter(pk=wait.run_id).exclude(status__in=Run.TERMINAL).update(wake_at=now)
    return True


def _executing(cursor: Any) -> Execute:
    def execute(sql: str, parameters: Sequence[Any]) -> list[Any]:
        cursor.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else []

    return execute
