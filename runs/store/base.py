"""The seam between drivers and a database."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Protocol

from django.conf import settings
from django.db import connections

from runs.store.signals import KeptSignal, TakenSignal
from runs.store.writes import EventRow, RunWrite, SnapshotRow, StepRow

REPLACE_STEP = """
ON CONFLICT (run_id, step) DO UPDATE SET
    node = excluded.node, path = excluded.path,
    status = excluded.status, attempt = excluded.attempt, scheduled_seq = excluded.scheduled_seq,
    scheduled_at = excluded.scheduled_at, finished_seq = excluded.finished_seq,
    started_at = excluded.started_at, finished_at = excluded.finished_at, error = excluded.error,
    heartbeat = '', tried_at = NULL,
    crashes = CASE WHEN runs_step.status = 'failed' AND excluded.status <> 'failed' THEN 0 ELSE runs_step.crashes END
"""
"""A step that failed and goes on has all its chances before it again."""
OPEN_STEPS = """
SELECT step, node, path, status, attempt, scheduled_seq, scheduled_at, started_at, finished_seq, finished_at, error
FROM runs_step WHERE run_id = %s AND status IN ('running', 'waiting', 'failed')
"""


EXPIRE_TASK = """
UPDATE runs_humantask SET status = 'expired', closed_at = COALESCE(closed_at, %s)
WHERE run_id = %s AND step = %s AND uuid = %s AND status IN ('open', 'expired')
RETURNING answers
"""
"""Expired before: a driver died before it could tell the run."""
DOUBTS = """
SELECT step, doubts FROM runs_step WHERE run_id = %s AND status = 'running' AND doubts > 0
ORDER BY tried_at IS NULL, doubts DESC, id
"""
HEARTBEATS = "SELECT step, heartbeat FROM runs_step WHERE run_id = %s AND status = 'running' AND heartbeat <> ''"
STREAMED = "SELECT step, MAX(number) + 1 FROM runs_streamchunk WHERE run_id = %s GROUP BY step"


INVITED = """
WITH RECURSIVE organizations (id) AS (
    SELECT CAST(0 AS bigint)
    UNION ALL
    SELECT (
        SELECT r.organization_id FROM {runs}
        WHERE r.organization_id > o.id AND {due}
        ORDER BY r.organization_id LIMIT 1
    )
    FROM organizations AS o WHERE o.id IS NOT NULL
), invited AS (
    SELECT id FROM organizations WHERE id > 0 ORDER BY id <= {last}, id LIMIT {limit}
)
"""
"""The organizations whose turn it is, beginning with the one after `last`.

Hops through the index from one that has due runs to the next. Of each of these a claim then looks at a few of the most
urgent runs, so its cost does not grow with the number of due ones.
"""


def next_turn(last: int, claimed: Iterable[int]) -> int:
    """The organization whose turn was the last, after runs of these organizations were claimed."""
    return max(claimed, key=lambda organization: (organization <= last, organization), default=last)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedRun:
    """A run that this driver now holds, under `epoch`. Its fields are columns of its row."""

    id: int
    uuid: uuid.UUID
    version_id: int
    begun_with_id: int | None
    """The version that its journal begins with, if that is another."""
    former_versions: str
    """The ids of the versions that it had before, each with a space behind it."""
    organization_id: int
    status: str
    epoch: int
    seq: int
    durability: str
    queued: bool
    """It was not let in yet, and is to be cancelled."""
    quarantined: bool
    started_at: datetime
    deadline_at: datetime | None
    """When its time is over, if that is not counted from its start."""


CLAIMED_FIELDS = tuple(field.name for field in fields(ClaimedRun))
CLAIMED = ", ".join(CLAIMED_FIELDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """An unread message to a run."""

    id: int
    run_id: int
    kind: str
    payload: str
    actor: str


class Store(Protocol):
    """What a driver needs of a database. Each method is one short transaction; `StoreError` means: try again."""

    def claim(self, *, driver_id: int, limit: int, now: datetime, quarantine: bool) -> list[ClaimedRun]:
        """Take up to `limit` due runs, each by a conditional update that raises its epoch.

        Organizations take turns, from one call to the next; of one organization the most urgent runs come first.
        Raises DriverGone.
        """

    def release(self, *, driver_id: int, but: Collection[int], now: datetime) -> int:
        """Make the runs due that the driver holds in the database, `but` those which it knows to hold.

        Return how many those were: their claim was made, but its answer was lost. Only the thread that claims for this
        driver may call it; nobody else gives runs to the driver.
        """

    def commit(self, writes: Sequence[RunWrite]) -> set[int]:
        """Write all or nothing, then ring the watchers of what was written.

        Return the ids of runs that another driver owns, of which nothing was written.
        """

    def join(self, write: RunWrite) -> bool:
        """Write within the transaction that is open on the store's connection; False if another driver owns the run."""

    def events(self, run_id: int, *, after: int = 0) -> list[EventRow]:
        """The journal of a run after `after`, in order."""

    def snapshots(self, run_id: int) -> list[SnapshotRow]:
        """The snapshots of a run, oldest first."""

    def snapshot(self, run_id: int, seq: int) -> str:
        """The text of one snapshot."""

    def journal_size(self, run_id: int, *, until: int) -> int:
        """How much the entries of a run hold together up to this seq. Reads all of them."""

    def head(self, run_id: int) -> tuple[int, int] | None:
        """The epoch and the seq of a run, to find out whether a write whose answer was lost has arrived.

        None for a run that was deleted.
        """

    def open_steps(self, run_id: int) -> list[StepRow]:
        """The rows of steps that may still change."""

    def streamed(self, run_id: int) -> dict[bytes, int]:
        """By step: the number of its next chunk. Steps that have streamed nothing are missing."""

    def locked_steps(self, run_id: int) -> list[bytes]:
        """The steps of a run that hold a lock or wait for one."""

    def doubts(self, run_id: int) -> dict[bytes, int]:
        """By step in flight: how many deaths in quarantine may be its fault. The step to try first comes first."""

    def heartbeats(self, run_id: int) -> dict[bytes, str]:
        """By step in flight: JSON of what its tool has reported last, before its worker died."""

    def unread_mail(self, run_ids: Iterable[int]) -> list[Mail]:
        """Messages not yet taken in, in order."""

    def reserved_signals(self, run_id: int, steps: Iterable[bytes]) -> list[TakenSignal]:
        """What was taken for these steps before, by a driver that died then; see `runs.store.signals`."""

    def kept_signals(self, run_id: int, epoch: int, names: Iterable[str], *, limit: int) -> list[KeptSignal]:
        """The oldest signals of these names that the run might take; none if it has another epoch."""

    def take_signal(self, run_id: int, epoch: int, signal_id: int, step: bytes, *, now: datetime) -> str | None:
        """Take a kept signal for a step and return its payload; None if another run was quicker, or has the run."""

    def expire_task(self, run_id: int, step: bytes, task: uuid.UUID, *, now: datetime) -> str | None:
        """Close a task whose time is over, and return the answers it has; None if it was answered or cancelled."""

    def close(self) -> None:
        """Give the connection back. The store cannot be used afterwards."""


def open_store(*, busy_timeout_s: float = 20.0) -> Store:
    """A store with a connection of its own to Django's default database.

    `busy_timeout_s` is how long a write waits for SQLite's write lock before it raises `StoreBusy`. On PostgreSQL one
    waits `WORKFLOW_LOCK_TIMEOUT_S` for a row that another transaction holds before it raises `StoreLocked`. Opening
    blocks and must not be called on an event loop.
    """
    wrapper: Any = connections["default"].copy()
    if wrapper.vendor == "sqlite":
        from runs.store.sqlite import SqliteStore

        return SqliteStore(wrapper.get_new_connection(wrapper.get_connection_params()), busy_timeout_s)
    from runs.store.postgres import PostgresStore

    # Django's cursor would quote the parameters into the text, which then could not be prepared.
    parameters = {**wrapper.get_connection_params(), "autocommit": True, "cursor_factory": wrapper.Database.Cursor}
    return PostgresStore(
        lambda: wrapper.Database.connect(**parameters), lock_timeout_s=settings.WORKFLOW.lock_timeout_s
    )


def join_transaction(write: RunWrite) -> bool:
    """Write within the transaction that is open on this thread's connection to Django's default database.

    Return False if another driver owns the run: nothing was written. Whoever opened the transaction commits it.
    """
    connection: Any = connections["default"]
    if connection.vendor == "sqlite":
        from runs.store.sqlite import SqliteStore

        return SqliteStore(connection.connection).join(write)
    from runs.store.postgres import PostgresStore

    return PostgresStore(lambda: connection.connection).join(write)
