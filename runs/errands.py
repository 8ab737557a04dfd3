"""What a cluster does beside driving: webhooks are delivered, and runs that nobody keeps are pruned.

In threads of the cluster's own process, which runs no tool and must not be held up: it watches over the drivers. The
threads end with the process; whatever they leave undone comes again, here or elsewhere.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import django.db
from django.db import connections

from runs.models import Webhook
from runs.retention import finish_deletions, prune_due_runs, take_turn
from runs.webhooks.delivering import claim_due, deliver

logger = logging.getLogger(__name__)

EVERY_S = 1.0
DELIVERIES = 8
"""That are under way at the same time; a server that does not answer keeps one of them waiting."""
PRUNED_AT_ONCE = 20


class Errands:
    """Begins with `start`, in a process that forks no more."""

    def __init__(self) -> None:
        self._places = threading.Semaphore(DELIVERIES)
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(work,), name=name, daemon=True)
            for name, work in (("webhooks", self._deliver), ("retention", self._prune))
        ]

    def start(self) -> None:
        """May be called again and again."""
        for thread in self._threads:
            if thread.ident is None:
                thread.start()

    def stop(self) -> None:
        """Begin nothing more, and wait for what is under way."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        for _ in range(DELIVERIES):
            self._places.acquire()

    def _repeat(self, work: Callable[[], None]) -> None:
        while not self._stopped.is_set():
            try:
                work()
            except django.db.Error as error:
                logger.warning("The cluster cannot run its errands: %s", error)
            except Exception:  # a bug in one errand is no reason to give up the next
                logger.exception("An errand broke.")
            finally:
                connections.close_all()
            self._stopped.wait(EVERY_S)

    def _prune(self) -> None:
        finish_deletions()
        if take_turn():
            while not self._stopped.is_set() and prune_due_runs(PRUNED_AT_ONCE):
                pass

    def _deliver(self) -> None:
        free = 0
        while free < DELIVERIES and self._places.acquire(blocking=False):
            free += 1
        try:
            for webhook in claim_due(free):
                threading.Thread(target=self._deliver_one, args=(webhook,), daemon=True).start()
                free -= 1  # its thread gives the place back
        finally:
            if free:
                self._places.release(free)

    def _deliver_one(self, webhook: Webhook) -> None:
        try:
            deliver(webhook)
        except Exception:  # it is claimed and comes again
            logger.exception("The webhook of run %s broke.", webhook.run_id)
        finally:
            connections.close_all()
            self._places.release()
