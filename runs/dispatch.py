"""The process pool that drivers live in. The only module that knows django-q2.

Its queue carries tickets without content: whoever takes one becomes a driver. So a ticket that is lost, doubled or
late costs a moment and nothing else. A ticket is acknowledged as it is taken, for a driver may run for weeks.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import django.db
import redis
from django.db import connections
from django.dispatch import receiver
from django_q.brokers import Broker, get_broker
from django_q.brokers.orm import ORM
from django_q.brokers.redis_broker import Redis
from django_q.cluster import Cluster
from django_q.conf import Conf
from django_q.signals import pre_execute
from django_q.tasks import async_task
from redis.backoff import NoBackoff
from redis.retry import Retry

from runs.driver import registration
from runs.driver.pool import Pool
from runs.errors import RunsError

logger = logging.getLogger(__name__)


class BrokerUnavailable(RunsError):
    """The queue of tickets cannot be reached. Nothing is lost by that but time."""

    code = "broker-unavailable"


TICKET = "runs.tasks.drive"
POOL_SIZE: int = Conf.WORKERS
"""Worker processes of a pool: the drivers, and one for the quarantine."""
LOOK_EVERY_S = 1.0
ANSWER_S = 2.0
"""Longer than a look for a ticket waits for one, which is a second."""

_UNREACHABLE = (django.db.Error, redis.RedisError)
_next_look_at = float("-inf")


class _Patient(Broker):
    """A queue that may be out of reach: there is no ticket in it then, as far as its pool can know.

    Of a broker that raises, django-q2's pusher ends ten seconds later, and so long nobody becomes a driver although
    the broker is back; of one that does not answer a ping, the pool does not even start.
    """

    def dequeue(self) -> Any:
        try:
            return super().dequeue()
        except _UNREACHABLE as error:
            logger.warning("No ticket can be taken: %s", error)
            time.sleep(LOOK_EVERY_S)
            return None

    def ping(self) -> bool:
        return True


class DatabaseTickets(_Patient, ORM):
    """Tickets in a table."""


class RedisTickets(_Patient, Redis):
    """Tickets in Redis, which has to answer soon: a supervisor and a keeper ask it between other things."""

    @staticmethod
    def get_connection(list_key: str = Conf.PREFIX) -> redis.Redis:
        return redis.Redis.from_url(
            Conf.REDIS,
            socket_timeout=ANSWER_S,
            socket_connect_timeout=ANSWER_S,
            retry=Retry(NoBackoff(), retries=0),
        )


def leave_tickets(number: int) -> None:
    """Ask the pool of this process's queue for so many drivers. Raises BrokerUnavailable."""
    try:
        for _ in range(number):
            async_task(TICKET)
    except _UNREACHABLE as error:
        raise BrokerUnavailable(f"The queue of tickets cannot be reached: {error}") from error


def ensure_driver() -> None:
    """Leave a ticket when no driver is alive and none has been asked for. Never raises; call it after the commit.

    It looks at most once a second, so it costs nothing where many runs are started.
    """
    global _next_look_at
    if time.monotonic() < _next_look_at:
        return
    _next_look_at = time.monotonic() + LOOK_EVERY_S
    try:
        if not registration.is_any_alive() and not get_broker().queue_size():
            leave_tickets(1)
    except (*_UNREACHABLE, BrokerUnavailable) as error:
        # The run is committed. Any driver that starts later will find it.
        logger.warning("No driver could be asked for: %s", error)


def can_leave_tickets() -> bool:
    """Whether the queue of tickets can be reached."""
    try:
        get_broker().queue_size()
    except _UNREACHABLE:
        return False
    return True


def delete_queue(queue: str) -> None:
    """Remove the queue of a pool that has ended, with the tickets nobody took, if it can be reached."""
    try:
        get_broker(queue).delete_queue()
    except _UNREACHABLE as error:
        logger.warning("The tickets of %s are left behind: %s", queue, error)


@receiver(pre_execute, dispatch_uid="acknowledge-ticket")
def _acknowledge(sender: object, task: Mapping[str, Any], **_: object) -> None:
    if task["func"] == TICKET:
        get_broker().acknowledge(task["ack_id"])


def run_pool(pool: Pool, *, each_second: Callable[[int], None]) -> int:
    """Run a pool of worker processes until its stop flag is raised; return the exit status.

    SIGTERM and SIGINT raise the flag. `each_second` is called with the process id that is the workers' parent.
    """
    cluster = Cluster()
    # django-q2's own handlers stop the cluster inside the handler, which can deadlock.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: pool.stop.raise_())
    connections.close_all()  # a connection must not be shared by two processes
    cluster.start()
    while cluster.sentinel.is_alive() and not pool.stop.is_set():
        each_second(cluster.sentinel.pid)
        pool.stop.wait(LOOK_EVERY_S)
    status = 0 if pool.stop.is_set() else 1
    # The guard should hear it first, or it replaces the workers whose drivers end now. In a thread, because setting
    # an event blocks for ever when a process that waited for it was killed.
    threading.Thread(target=cluster.stop_event.set, daemon=True).start()
    pool.stop.raise_()
    cluster.sentinel.join()
    return status
