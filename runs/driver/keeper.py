"""The thread of a driver that lets queued runs in when there is room for them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import TracebackType

import django.db
from django.conf import settings
from django.db import connections

from runs.admission import let_in_everywhere
from runs.bell import ring_drivers

logger = logging.getLogger(__name__)

PATIENCE_S = 5.0
"""So long the driver's end waits for a look; one that waits for a locked database must not hold it up for longer."""


class Keeper:
    """Looks once in `poll_interval_s` while its context is open, and when it is told that a run ended.

    `on_broken` is called, from the keeper's thread, with a sentence, if it can look no more.
    """

    def __init__(self, *, on_broken: Callable[[str], None]) -> None:
        self._on_broken = on_broken
        self._rung = threading.Event()
        self._stopped = False
        self._is_queue_known = False
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def run_ended(self) -> None:
        """There may be room: look at once, if there was a queue when it looked last."""
        if self._is_queue_known:
            self._rung.set()

    def __enter__(self) -> Keeper:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped = True
        self._rung.set()
        self._thread.join(timeout=PATIENCE_S)

    def _run(self) -> None:
        is_broken = True
        try:
            self._look_until_stopped()
            is_broken = False
        finally:
            connections.close_all()
            if is_broken:
                self._on_broken("The keeper broke: nobody would let queued runs in.")

    def _look_until_stopped(self) -> None:
        while not self._stopped:
            self._look()
            self._rung.wait(settings.WORKFLOW.poll_interval_s)
            self._rung.clear()

    def _look(self) -> None:
        try:
            admitted, self._is_queue_known = let_in_everywhere()
        except django.db.Error as error:
            logger.warning("Queued runs cannot be let in: %s", error)
            connections.close_all()
        else:
            if admitted:
                ring_drivers()
