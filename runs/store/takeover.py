"""How runs leave a driver that ended, in order or not.

After a death the runs go on in quarantine, one at a time, because any of them may have killed the worker. Deaths are
counted there only, where there is no doubt about the culprit; a step that has killed too many workers gets a message
into its run's mailbox instead of another chance, and the next driver turns that into the step's failure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from runs.models import Driver, Mailbox, Run, Step
from tools import strict_json

CRASHED = "step-crashed"
"""The kind of the message that parks a step. Payload: `step` (20 hex digits) and `crashes`, how many workers died."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Takeover:
    """What became of a dead driver: how many runs it held, and which steps are to be parked."""

    runs: int
    parked_steps: tuple[str, ...]


def take_over(dead: Driver, *, max_step_crashes: int) -> Takeover | None:
    """Free the runs of a driver that was found dead and delete its row.

    None, and nothing changes, when it has beaten since `dead` was read or someone else was quicker. Its epoch is
    fenced by whoever claims a run next.
    """
    with transaction.atomic():
        driver = Driver.objects.select_for_update().filter(pk=dead.pk).annotate(now=Now()).first()
        if driver is None or driver.beat_at != dead.beat_at:
            return None
        held = Run.objects.filter(driver=driver).exclude(status__in=Run.TERMINAL)
        parked = _count_crashes(list(held.filter(quarantined=True).values_list("pk", flat=True)), max_step_crashes)
        _post(parked, now=driver.now)
        freed = held.update(driver=None, quarantined=True, wake_at=driver.now)
        driver.delete()
    return Takeover(runs=freed, parked_steps=tuple(step.key for step in parked))


def hand_back(driver: Driver) -> None:
    """Free the runs of a driver that ends in good order and delete its row."""
    with transaction.atomic():
        held = Run.objects.filter(driver_id=driver.pk).exclude(status__in=Run.TERMINAL)
        held.update(driver=None, wake_at=Now())
        Driver.objects.filter(pk=driver.pk).delete()


def _count_crashes(runs: list[int], max_step_crashes: int) -> list[Step]:
    """Raise the count of every step in flight; return those that have just reached the limit."""
    in_flight = Step.objects.filter(run__in=runs, status=Step.Status.RUNNING)
    in_flight.update(crashes=F("crashes") + 1)
    return list(in_flight.filter(crashes=max_step_crashes))


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
