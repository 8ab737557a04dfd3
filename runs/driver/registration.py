"""Driver rows: how the processes that execute runs know of each other.

Times are the database's own clock, so hosts whose clocks differ agree about a lease.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta

from django.conf import settings
from django.db.models.functions import Now

from runs.driver.identity import ProcessIdentity, ProcessStat, look_up
from runs.models import Driver
from runs.store.takeover import hand_back

NotCalled = dict[str, dict[str, list[str]]]
"""By the id of a run: the steps that are given out and not called, by what they wait for (`place`, `executor`)."""


def register(*, quarantine: bool) -> Driver:
    """Enter this process as a driver."""
    driver = Driver.objects.create(
        **asdict(ProcessIdentity.current()), quarantine=quarantine, started_at=Now(), beat_at=Now()
    )
    driver.refresh_from_db()
    return driver


def beat(driver: Driver, not_called: NotCalled | None = None) -> bool:
    """Renew the driver's lease, and say which steps wait in it.

    False when its row is gone: others took it for dead and took its runs over.
    """
    return Driver.objects.filter(pk=driver.pk).update(beat_at=Now(), not_called=not_called or {}) == 1


def mark_draining(driver: Driver) -> None:
    """Let others see that this driver takes no new runs."""
    Driver.objects.filter(pk=driver.pk).update(draining=True)


def unregister(driver: Driver) -> None:
    """Leave in good order: runs that the driver still holds are free at once and not quarantined."""
    hand_back(driver)


def driver_processes() -> list[ProcessStat]:
    """The processes of this host that drive, as the kernel describes them."""
    return [stat for driver in Driver.objects.all() if (stat := look_up(driver))]


def is_any_alive() -> bool:
    """Whether some driver, on any host, takes ordinary runs and has a valid lease."""
    lease = timedelta(seconds=settings.WORKFLOW.lease_s)
    drivers = Driver.objects.filter(quarantine=False, draining=False).annotate(now=Now())
    return any(abs(driver.now - driver.beat_at) <= lease for driver in drivers)
