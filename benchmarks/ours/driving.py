"""A real driver in a thread of this process, and when it claimed each run and had its end on disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any
from unittest import mock

from django.conf import settings
from django.db import connection

from accounts.actor import Actor
from accounts.models import Role
from accounts.services import ensure_local_organization
from benchmarks.definitions import Definition
from benchmarks.workload import size_bytes
from graphs import features
from graphs.errors import DefinitionInvalid
from graphs.models import GraphVersion
from graphs.services import create_graph
from runs.driver.main import drive
from runs.models import Run
from runs.services import start_run
from runs.store import Store
from runs.store.postgres import PostgresStore
from runs.store.sqlite import SqliteStore

PATIENCE_S = 1800.0


class MeasurementFailed(RuntimeError):
    """The engine did not do what was to be measured."""


class NotAvailableYet(RuntimeError):
    """The engine cannot do yet what is to be measured; the message is the sentence of its refusal."""


@dataclass(slots=True)
class Times:
    """When things happened to runs, by their id, in `time.perf_counter_ns`."""

    claimed_ns: dict[int, int] = field(default_factory=dict)
    """Just before the claim."""
    ended_ns: SimpleQueue[tuple[int, int]] = field(default_factory=SimpleQueue)
    """(run, time) just after the commit of its end."""

    def seconds_until_over(self, runs: Iterable[Run]) -> float:
        """Wait for the end of all `runs`; return the time from the first claim to the last commit."""
        waiting = {run.pk for run in runs}
        first_ns = last_ns = None
        while waiting:
            try:
                run_id, last_ns = self.ended_ns.get(timeout=PATIENCE_S)
            except Empty:
                raise MeasurementFailed(f"{len(waiting)} runs were not over after {PATIENCE_S:.0f} s.") from None
            waiting.discard(run_id)
        first_ns = min(self.claimed_ns[run.pk] for run in runs)
        return (last_ns - first_ns) / 1e9


@contextmanager
def watched_stores() -> Iterator[Times]:
    """Note the times of claims and ends, by two readings of the clock around the store's own methods."""
    times = Times()
    store_class: Any = SqliteStore if connection.vendor == "sqlite" else PostgresStore
    claim, commit = store_class.claim, store_class.commit

    def watched_claim(self: Store, **request: Any) -> list[Any]:
        now_ns = time.perf_counter_ns()
        claimed = claim(self, **request)
        times.claimed_ns.update((run.id, now_ns) for run in claimed)
        return claimed

    def watched_commit(self: Store, writes: Any) -> set[int]:
        lost = commit(self, writes)
        for write in writes:
            if write.head is not None and write.head.finished_at is not None:
                times.ended_ns.put((write.run_id, time.perf_counter_ns()))
        return lost

    with (
        mock.patch.object(store_class, "claim", watched_claim),
        mock.patch.object(store_class, "commit", watched_commit),
    ):
        yield times


@contextmanager
def driver() -> Iterator[None]:
    """A driver that works until the block ends."""
    stop = threading.Event()
    thread = threading.Thread(target=drive, kwargs={"stop": stop}, name="driver")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE_S)


def publish(definition: Definition) -> GraphVersion:
    try:
        return create_graph(definition=definition, actor=actor())
    except DefinitionInvalid as error:
        if {problem.code for problem in error.problems} == {features.CODE}:
            raise NotAvailableYet(error.problems[0].message) from error
        raise


def actor() -> Actor:
    return Actor(organization=ensure_local_organization(), name="benchmark", role=Role.ADMIN)


def start(version: GraphVersion, state: dict[str, Any], durability: str = "sync") -> Run:
    return start_run(version=version, state=state, actor=actor(), durability=durability)


def must_be_completed(run: Run) -> Run:
    """The run as it is in the database now. Raises MeasurementFailed unless it is completed."""
    run.refresh_from_db()
    if run.status != Run.Status.COMPLETED:
        raise MeasurementFailed(f"The measured run is {run.status}: {run.error}")
    return run


def folded_bytes() -> int:
    """The size of the database file with its write-ahead log folded into it."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        busy, _, _ = cursor.fetchone()
    if busy:
        raise MeasurementFailed("The write-ahead log could not be folded into the database file.")
    return size_bytes(Path(settings.DATABASES["default"]["NAME"]))
