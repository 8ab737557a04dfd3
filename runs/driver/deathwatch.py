"""Finds drivers that died and frees their runs.

Every driver's pacemaker and every cluster looks, so one survivor is enough. A process of this host that has ended is
seen at once. Any other driver is dead when its lease has run out by the database's clock *and* its beat has not moved
for half a lease, in which a watcher has looked again and again by a clock that is never set. The second condition is
for clocks that are set and for databases that were locked for a while: then all leases look old at the same moment, and
the living show it by their next beat.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models.functions import Now

from runs.bell import ring_drivers
from runs.driver.identity import has_ended
from runs.models import Driver
from runs.store.takeover import take_over

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class SilenceWatch:
    """Tells which beats have stopped, from what it saw at its last looks. Knows no database and no clock."""

    lease_s: float
    _looked_at: float = float("-inf")
    _seen: Mapping[int, tuple[datetime, float]] = field(default_factory=dict)
    """The last beat of each driver, and when it was seen first."""

    def silent(self, beats: Mapping[int, datetime], *, now: datetime, at: float) -> frozenset[int]:
        """The drivers whose lease ran out.

        `beats` is the last beat of every driver and `now` the time, both by the database's clock; `at` is the
        watcher's own monotonic time in seconds.
        """
        long_enough_s = self.lease_s / 2
        before = self._seen if at - self._looked_at <= long_enough_s else {}
        self._seen = {driver: _since(beat, before.get(driver), at) for driver, beat in beats.items()}
        self._looked_at = at
        lease = timedelta(seconds=self.lease_s)
        return frozenset(
            driver
            for driver, (beat, since) in self._seen.items()
            # A beat far in the future was made before the clock was set back.
            if at - since >= long_enough_s and abs(now - beat) > lease
        )


def _since(beat: datetime, seen: tuple[datetime, float] | None, at: float) -> tuple[datetime, float]:
    return seen if seen is not None and seen[0] == beat else (beat, at)


class DeathWatch:
    """Looks for dead drivers; `own` is the driver that looks, which is never its own victim."""

    def __init__(self, *, own: Driver | None = None) -> None:
        self._own = [own.pk] if own else []
        self._silence = SilenceWatch(lease_s=settings.WORKFLOW.lease_s)

    def look(self) -> int:
        """Free the runs of every driver that is dead; return how many runs those were."""
        drivers = list(Driver.objects.exclude(pk__in=self._own).annotate(now=Now()))
        silent = self._silence.silent(
            {driver.pk: driver.beat_at for driver in drivers},
            now=drivers[0].now if drivers else datetime.max,
            at=time.monotonic(),
        )
        return sum(self._bury(driver) for driver in drivers if driver.pk in silent or has_ended(driver))

    def _bury(self, driver: Driver) -> int:
        takeover = take_over(driver, max_step_crashes=settings.WORKFLOW.max_step_crashes)
        if takeover is None:
            return 0
        logger.warning("%s died; %d of its runs go on in quarantine.", driver, takeover.runs)
        for step in takeover.parked_steps:
            logger.error("Step %s killed %d workers and is parked.", step, settings.WORKFLOW.max_step_crashes)
        ring_drivers()
        return takeover.runs
