"""The thread that keeps a driver's lease alive, and tells the driver when it is lost.

It has a database connection of its own, so a driver that is busy or waits for a commit still beats.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType

import django.db
from django.conf import settings
from django.db import connections

from runs.bell import ring_drivers
from runs.driver import registration
from runs.driver.deathwatch import DeathWatch
from runs.models import Driver
from runs.store.locks import sweep_locks

logger = logging.getLogger(__name__)


class Pacemaker:
    """Beats for `driver` every `beat_interval_s` while its context is open, and looks for drivers that died.

    `on_fenced` is called once, from the pacemaker's thread, with a sentence, when the lease is lost: the row is gone,
    or the database has not taken a beat for `lease_s`. The driver must then stop at once and write nothing; the
    epochs refuse what it would write to a run that somebody else has claimed.
    """

    def __init__(
        self,
        driver: Driver,
        *,
        on_fenced: Callable[[str], None],
        not_called: Callable[[], registration.NotCalled] = dict,
    ) -> None:
        """`not_called` is asked in the pacemaker's thread which steps wait in the driver."""
        self._driver = driver
        self._not_called = not_called
        self._on_fenced = on_fenced
        self._deathwatch = DeathWatch(own=driver)
        self._stopped = threading.Event()
        self._last_beat = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="pacemaker", daemon=True)

    def __enter__(self) -> Pacemaker:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped.set()
        # A beat that waits for a locked database must not hold up the driver's end; the row is about to go anyway.
        self._thread.join(timeout=settings.WORKFLOW.beat_interval_s)

    def _run(self) -> None:
        reason: str | None = "The pacemaker broke."
        try:
            reason = self._beat_until_lost()
        finally:
            connections.close_all()
            if reason is not None:
                self._on_fenced(reason)

    def _beat_until_lost(self) -> str | None:
        """Return why the lease was lost, or None when the driver ended first."""
        while not self._stopped.wait(settings.WORKFLOW.beat_interval_s):
            began = time.monotonic()
            try:
                if not registration.beat(self._driver, self._not_called()):
                    return "Other drivers took this one for dead and took its runs over."
                self._last_beat = began
                self._deathwatch.look()
                if sweep_locks():
                    ring_drivers()
            except django.db.Error as error:
                logger.warning("The pacemaker cannot reach the database: %s", error)
                connections.close_all()
            if time.monotonic() - self._last_beat > settings.WORKFLOW.lease_s:
                return f"The database has not taken a beat for {settings.WORKFLOW.lease_s:g} s."
        return None
