"""How runs leave a driver that ended, in order or not.

After a death the runs go on in quarantine, where one step after the other is called, because any of them may have
killed the worker. Deaths are counted there only, against the step that was under way; one that has killed too many
workers gets a message into its run's mailbox instead of another chance, and the next driver turns that into the step's
failure.

If more than one step was under way (each has been alone for a while), none is charged. All are in doubt, and will be
alone for longer the next time; the one that was called last is called first then, and its run is due before the others.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import OperationalError, connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from runs.models import Driver, Mailbox, Run, Step
from tools import strict_json

logger = logging.getLogger(__name__)

CRASHED = "step-crashed"
"""The kind of the message that parks a step. Payload: `step` (20 hex digits) and `crashes`, how many workers died."""

HEAD_START = timedelta(seconds=5)
"""So much later than the run that is to be tried first the others are due: a new driver takes some seconds to begin."""

LOCKED_MS = 500
LOCK_NOT_AVAILABLE = "55P03"
"""PostgreSQL's word for a row that others hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Takeover:
    """What became of a dead driver: how many runs it held, and which steps are to be parked."""

    runs: int
    parked_steps: tuple[str, ...]


def take_over(dead: Driver, *, max_step_crashes: int) -> Takeover | None:
    """Free the runs of a driver that was found dead and delete its row.

    None, and nothing changes, when it has beaten since `dead` was read, someone else was quicker, or somebody locks
    the rows: its own host may, until the server gives up a connection that was cut off in the middle of a transaction.
    Its epoch is fenced by whoever claims a run next.
    """
    try:
        return _take_over(dead, max_step_crashes)
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != LOCK_NOT_AVAILABLE:
            raise
        logger.warning("%s died; its runs go on when nobody locks their rows any more.", dead)
        return None


def _take_over(dead: Driver, max_step_crashes: int) -> Takeover | None:
    with transaction.atomic():
        _wait_for_rows(LOCKED_MS)
        driver = Driver.objects.select_for_update().filter(pk=dead.pk).annotate(now=Now()).first()
        if driver is None or driver.beat_at != dead.beat_at:
            return None
        held = Run.objects.filter(driver=driver).exclude(status__in=Run.FINAL)
        tried = _tried(list(held.filter(quarantined=True).values_list("pk", flat=True)))
        parked: list[Step] = []
        later: list[int] = []
        if len(tried) == 1:
            parked = _charge(tried[0], max_step_crashes)
        elif tried:
            _doubt(tried)
            later = list(held.exclude(pk=tried[0].run_id).values_list("pk", flat=True))
        _post(parked, now=driver.now)
        freed = held.update(driver=None, quarantined=True, wake_at=driver.now)
        Run.objects.filter(pk__in=later).update(wake_at=driver.now + HEAD_START)
        _delete(driver)
    return Takeover(runs=freed, parked_steps=tuple(step.key for step in parked))


def hand_back(driver: Driver) -> None:
    """Free the runs of a driver that ends in good order and delete its row."""
    with transaction.atomic():
        held = Run.objects.filter(driver_id=driver.pk).exclude(status__in=Run.FINAL)
        held.update(driver=None, wake_at=Now())
        _delete(driver)


def _wait_for_rows(at_most_ms: int) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{at_most_ms}ms"])


def _delete(driver: Driver) -> None:
    """Delete the row of a driver whose runs are free; those that are over it just let go of."""
    Run.objects.filter(driver_id=driver.pk, status__in=Run.FINAL).update(driver=None)
    Driver.objects.filter(pk=driver.pk).delete()


def _tried(runs: list[int]) -> list[Step]:
    """The steps that were under way in quarantine, the one that was called last first."""
    steps = Step.objects.filter(run__in=runs, status=Step.Status.RUNNING)
    return list(steps.exclude(tried_at=None).order_by("-tried_at", "-id"))


def _charge(step: Step, max_step_crashes: int) -> list[Step]:
    """Count the death against the step. Return it if it is to be parked and no message says so yet."""
    step.crashes += 1
    step.tried_at = None  # until the next driver calls it
    step.save(update_fields=["crashes", "tried_at"])
    return [step] if step.crashes >= max_step_crashes and not _is_told_of(step) else []


def _is_told_of(step: Step) -> bool:
    unread = Mailbox.objects.filter(run=step.run_id, kind=CRASHED, consumed_at=None).values_list("payload", flat=True)
    return any(json.loads(payload)["step"] == step.key for payload in unread)


def _doubt(steps: list[Step]) -> None:
    """Any of the steps may be to blame. The first is to be tried first, and keeps its mark for that."""
    in_doubt = Step.objects.filter(pk__in=[step.pk for step in steps])
    in_doubt.update(doubts=F("doubts") + 1)
    in_doubt.exclude(pk=steps[0].pk).update(tried_at=None)


def _post(parked: list[Step], *, now: datetime) -> None:
    Mailbox.objects.bulk_create(
        Mailbox(
            run_id=step.run_id,
            kind=CRASHED,
            payload=strict_json.dumps({"step": step.key, "crashes": step.crashes}),
            actor="quarantine",
            created_at=now,
        )
        for step in parked
    )
