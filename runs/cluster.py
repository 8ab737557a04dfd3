"""Keeps drivers alive.

    manage.py worker, serve          supervises: replaces a cluster that ended or no longer makes drivers
      └─ manage.py qcluster          owns the pool, counts its drivers, leaves tickets for those that are missing
           └─ django-q2's guard      replaces worker processes that died
                ├─ worker            a driver (runs.tasks.drive)
                ├─ worker            a driver
                └─ worker            the quarantine driver

django-q2 stops for good when a worker is killed that holds the lock of its queue, which is the one that is next in
line. Nothing inside the cluster can mend that, so the supervisor puts a new cluster beside it.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import uuid

import django.db
from django.conf import settings
from django.db import connections

from runs import dispatch
from runs.driver import registration
from runs.driver.deathwatch import DeathWatch
from runs.driver.identity import is_child
from runs.driver.pool import Pool, make_pool
from runs.errands import Errands
from runs.processes import Child, die_with_parent

logger = logging.getLogger(__name__)

TICKET_EVERY_S = 15.0
"""After so long a ticket that nobody took is taken for lost."""
START_PATIENCE_S = 60.0
PATIENCE_S = 10.0
"""How long a cluster may have too few drivers: while it starts, and later."""
STOP_MARGIN_S = 8.0
"""What django-q2 needs to end after its drivers have ended."""


class Keeper:
    """Sees to it that every worker of a pool drives, and that the runs of those that died go on; has errands run.

    It counts the workers that took a ticket, not the rows of drivers: a driver may come and die between two looks, and
    whoever finds its row first deletes it.
    """

    def __init__(self, pool: Pool) -> None:
        self._errands = Errands()
        self._deathwatch = DeathWatch()
        self._roll = pool.drivers
        self._drivers: set[int] = set()
        self._waiting = 0
        """Tickets that nobody has taken yet."""
        self._asked_at = float("-inf")

    def each_second(self, parent: int) -> None:
        """`parent` is the process id of the workers' parent."""
        self._errands.start()
        try:
            self._deathwatch.look()
            self._leave_tickets(parent)
        except (django.db.Error, dispatch.BrokerUnavailable) as error:
            logger.warning("The cluster cannot look after its drivers: %s", error)
            connections.close_all()

    def _leave_tickets(self, parent: int) -> None:
        newcomers = self._roll.read()
        self._waiting = max(0, self._waiting - len(newcomers))
        self._drivers = {pid for pid in self._drivers.union(newcomers) if is_child(pid, parent)}
        if time.monotonic() - self._asked_at > TICKET_EVERY_S:
            self._waiting = 0
        missing = dispatch.POOL_SIZE - len(self._drivers) - self._waiting
        if missing > 0:
            dispatch.leave_tickets(missing)
            self._waiting += missing
            self._asked_at = time.monotonic()


class ClusterChild(Child):
    """A `manage.py qcluster` with a queue of its own, replaced when its drivers are too few for too long.

    The queue is its own because django-q2 takes tickets ahead of time: a busy or broken cluster would keep the
    tickets that this one's idle workers wait for.
    """

    def __init__(self, *, workers: int) -> None:
        self._queues: list[str] = []
        self._drivers = workers + 1
        super().__init__(
            "The cluster",
            [sys.executable, str(settings.BASE_DIR / "manage.py"), "qcluster"],
            grace_s=settings.WORKFLOW.stop_grace_s + STOP_MARGIN_S,
            environment={"WORKFLOW_WORKERS": str(workers)},
        )

    def start(self) -> None:
        self._queues.append(f"{settings.Q_CLUSTER['name']}-{uuid.uuid4().hex[:12]}")
        self.environment["Q_CLUSTER_NAME"] = self._queues[-1]
        self._replace_at = time.monotonic() + START_PATIENCE_S
        super().start()

    def tick(self) -> None:
        super().tick()
        if self._answers():
            self._replace_at = time.monotonic() + PATIENCE_S
        elif self.group is not None and time.monotonic() > self._replace_at:
            logger.warning("The cluster has had too few drivers for too long and is replaced.")
            self.replace()

    def _answers(self) -> bool:
        if self.group is None:
            return False
        try:
            drivers = sum(process.group == self.group.pid for process in registration.driver_processes())
        except django.db.Error:
            connections.close_all()
            return True  # without the database a new cluster would be no better
        # Without tickets it would have no drivers at all.
        return drivers >= self._drivers or not dispatch.can_leave_tickets()

    def forget_queues(self) -> None:
        """Delete tickets that nobody took. For after the end."""
        for queue in self._queues:
            dispatch.delete_queue(queue)


def run_pool() -> int:
    """Be a cluster until SIGTERM or Ctrl-C; return the exit status. What dies takes its children along."""
    import runs.tasks  # noqa: F401 - loaded before the fork, so the workers share its memory

    os.register_at_fork(after_in_child=die_with_parent)
    pool = make_pool()
    return dispatch.run_pool(pool, each_second=Keeper(pool).each_second)
