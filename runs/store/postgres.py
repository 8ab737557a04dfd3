"""The store on PostgreSQL: a step or a group of steps is one statement, one round trip.

The watchers' bell is rung after it and not in it: docs/adr/0004-notify-outside-the-steps-transaction.md.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime
from typing import Any

import psycopg

from runs import bell
from runs.errors import DriverGone, StoreError, StoreLocked
from runs.store import signals
from runs.store.base import (
    CLAIMED,
    CLAIMED_FIELDS,
    DOUBTS,
    EXPIRE_TASK,
    HEARTBEATS,
    INVITED,
    OPEN_STEPS,
    STREAMED,
    ClaimedRun,
    Mail,
    next_turn,
)
from runs.store.locks import LOCKED, release_locks
from runs.store.postgres_commit import commit_statement
from runs.store.writes import EventRow, RunWrite, SnapshotRow, StepRow

REACH = 4
"""So many times more runs are looked at than wanted, because other drivers may be about to take the first ones."""
IS_DUE = """
r.driver_id IS NULL AND r.wake_at IS NOT NULL AND r.wake_at <= %(now)s AND r.quarantined = %(quarantined)s
"""
CLAIM = (
    INVITED.format(runs="runs_run AS r", due=IS_DUE, last="%(last)s", limit="%(limit)s")
    + f""", turns AS (
    SELECT c.id, c.organization_id,
           ROW_NUMBER() OVER (PARTITION BY c.organization_id ORDER BY c.priority DESC, c.wake_at) AS turn
    FROM invited CROSS JOIN LATERAL (
        SELECT r.id, r.organization_id, r.priority, r.wake_at FROM runs_run AS r
        WHERE r.organization_id = invited.id AND {IS_DUE}
        ORDER BY r.priority DESC, r.wake_at LIMIT {REACH} * %(limit)s
    ) AS c
)
UPDATE runs_run
SET driver_id = %(driver)s, epoch = epoch + 1, wake_at = NULL, started_at = COALESCE(started_at, %(now)s),
    status = CASE WHEN status IN ('pending', 'waiting') THEN 'running' ELSE status END
WHERE id IN (
    SELECT r.id FROM turns JOIN runs_run AS r ON r.id = turns.id
    WHERE {IS_DUE}
    ORDER BY turns.turn, turns.organization_id <= %(last)s, turns.organization_id LIMIT %(limit)s
    FOR UPDATE OF r SKIP LOCKED
)
RETURNING {CLAIMED}
"""
)
RELEASE = """
UPDATE runs_run SET driver_id = NULL, wake_at = %s WHERE driver_id = %s AND id <> ALL (%s::bigint[])
"""
DUE_BY_MAIL = """
UPDATE runs_run SET wake_at = %s WHERE id = %s AND status NOT IN ('completed', 'cancelled') AND EXISTS (
    SELECT 1 FROM runs_mailbox AS m WHERE m.run_id = runs_run.id AND m.consumed_at IS NULL
)
"""
"""A statement of its own, after the row was locked: one that had to wait for a sender's lock does not see the mail."""
TRY_OUT = "UPDATE runs_step SET tried_at = %s WHERE run_id = %s AND step = %s"
BEAT = "UPDATE runs_step SET heartbeat = %s WHERE run_id = %s AND step = %s"
INSERT_ERROR = """
INSERT INTO runs_steperror (run_id, step, attempt, at, type, message, traceback)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (run_id, step, attempt) DO UPDATE SET
    at = excluded.at, type = excluded.type, message = excluded.message, traceback = excluded.traceback
"""
CONSUME = "UPDATE runs_mailbox SET consumed_at = %s, consumed_seq = %s WHERE id = %s"
INSERT_CHUNK = """
INSERT INTO runs_streamchunk (run_id, step, number, text) VALUES (%s, %s, %s, %s)
ON CONFLICT (run_id, step, number) DO NOTHING
"""
SET_STATUS = """
UPDATE runs_run SET status = %s, error = '', finished_at = NULL, deadline_at = COALESCE(%s, deadline_at) WHERE id = %s
"""
RENEW_WEBHOOK = """
UPDATE runs_webhook SET uuid = %s, status = 'pending', attempts = 0, next_at = %s, last_error = ''
WHERE run_id = %s AND (status <> 'pending' OR attempts > 0)
"""
"""Of a run that was over and goes on: it was told of another end, or somebody is about to be."""
SET_VERSION = """
UPDATE runs_run
SET begun_with_id = COALESCE(begun_with_id, version_id), former_versions = former_versions || version_id || ' ',
    version_id = %s
WHERE id = %s
"""
END_STREAM = "DELETE FROM runs_streamchunk WHERE run_id = %s AND step = %s"
END_WAIT = """
UPDATE runs_humantask SET status = 'cancelled', closed_at = %s WHERE run_id = %s AND step = %s AND status = 'open'
"""
INSERT_TASK = """
WITH task AS (
    INSERT INTO runs_humantask (uuid, organization_id, run_id, step, node, status, title, instructions, form, quorum,
                                answers, due_at, created_at)
    SELECT %s, organization_id, id, %s, %s, 'open', %s, %s, %s, %s, '[]', %s, %s FROM runs_run WHERE id = %s
    RETURNING id
)
INSERT INTO runs_taskassignee (task_id, kind, name)
SELECT task.id, a.kind, a.name FROM task, unnest(%s::text[], %s::text[]) WITH ORDINALITY AS a (kind, name, place)
ORDER BY a.place
"""
DROP_SNAPSHOTS = "DELETE FROM runs_snapshot WHERE run_id = %s AND seq <> ALL (%s::bigint[])"
SNAPSHOTS = "SELECT seq, state_size, journal_size FROM runs_snapshot WHERE run_id = %s ORDER BY seq"
INSERT_SNAPSHOT = """
INSERT INTO runs_snapshot (run_id, seq, semantics_version, state, state_size, journal_size)
VALUES (%s, %s, 1, %s, %s, %s)
"""


class PostgresStore:
    """`Store` on one psycopg connection in autocommit mode, used by one thread at a time.

    A connection that broke (the server was restarted) is replaced at the next call.
    """

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]], *, lock_timeout_s: float | None = None) -> None:
        """`lock_timeout_s` is how long a statement waits for a row before it raises `StoreLocked`."""
        self._connect = connect
        self._lock_timeout_s = lock_timeout_s
        self._last_organization = 0
        self._opened = self._open()

    def _open(self) -> psycopg.Connection[Any]:
        connection = self._connect()
        if self._lock_timeout_s is not None:
            timeout_ms = max(1, round(self._lock_timeout_s * 1000))  # 0 would wait for ever
            connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{timeout_ms}ms",))
        return connection

    @property
    def _connection(self) -> psycopg.Connection[Any]:
        if self._opened.closed:
            self._opened = self._open()
        return self._opened

    def close(self) -> None:
        self._opened.close()

    def claim(self, *, driver_id: int, limit: int, now: datetime, quarantine: bool) -> list[ClaimedRun]:
        with _translated():
            parameters = {"driver": driver_id, "now": now, "quarantined": quarantine, "last": self._last_organization}
            try:
                rows = self._connection.execute(CLAIM, {**parameters, "limit": limit}).fetchall()
            except psycopg.errors.ForeignKeyViolation as error:
                raise DriverGone(driver_id) from error
        claimed = [ClaimedRun(**dict(zip(CLAIMED_FIELDS, row, strict=True))) for row in rows]
        self._last_organization = next_turn(self._last_organization, (run.organization_id for run in claimed))
        return claimed

    def release(self, *, driver_id: int, but: Collection[int], now: datetime) -> int:
        with _translated():
            return self._connection.execute(RELEASE, (now, driver_id, list(but))).rowcount

    def commit(self, writes: Sequence[RunWrite]) -> set[int]:
        extras = any(write.has_extras or write.rests for write in writes)
        with _translated(), self._connection.transaction() if extras else nullcontext():
            written, granted = self._write(writes)
        if granted:
            bell.ring_drivers()
        for write in writes:
            if write.run_id in written:
                bell.ring_watchers(write.run_id, write.seq)
        return {write.run_id for write in writes} - written

    def join(self, write: RunWrite) -> bool:
        with _translated():
            return bool(self._write([write])[0])

    def _write(self, writes: Sequence[RunWrite]) -> tuple[set[int], bool]:
        """Return the ids of the runs that this driver still owns, and whether somebody got a lock."""
        rows = self._connection.execute(*commit_statement(writes), prepare=True).fetchall()
        written = {row[0] for row in rows}
        for write in writes:
            if write.has_extras and write.run_id in written:
                self._write_extras(write)
        # After all heads: a run that lets go in the same transaction may be the one that gets a lock.
        granted = [self._release_locks(w) for w in writes if w.released_locks and w.run_id in written]
        for write in writes:
            if write.rests and write.run_id in written:
                self._connection.execute(DUE_BY_MAIL, (write.at, write.run_id))
        return written, any(granted)

    def _write_extras(self, write: RunWrite) -> None:
        run = write.run_id
        many = self._connection.cursor().executemany
        if write.errors:
            many(INSERT_ERROR, [(run, *error) for error in write.errors])
        if write.status is not None:
            self._connection.execute(SET_STATUS, (write.status, write.deadline_at, run))
            self._connection.execute(RENEW_WEBHOOK, (uuid.uuid4(), write.at, run))
        if write.version_id is not None:
            self._connection.execute(SET_VERSION, (write.version_id, run))
        if write.consumed:
            many(CONSUME, [(write.at, seq, mail) for mail, seq in write.consumed])
        if write.chunks:
            many(INSERT_CHUNK, [(run, *chunk) for chunk in write.chunks])
        if write.heartbeats:
            many(BEAT, [(details, run, step) for step, details in write.heartbeats.items()])
        if write.ended_streams:
            many(END_STREAM, [(run, step) for step in write.ended_streams])
        if write.ended_waits:
            many(END_WAIT, [(write.at, run, step) for step in write.ended_waits])
        if write.freed_signals:
            many(signals.FREE, [(run, step) for step in write.freed_signals])
        if write.tried:
            many(TRY_OUT, [(write.at, run, step) for step in write.tried])
        for t in write.tasks:
            row = (t.uuid, t.step, t.node, t.title, t.instructions, t.form, t.quorum, t.due_at, write.at, run)
            assignees = ([kind for kind, _ in t.assignees], [name for _, name in t.assignees])
            self._connection.execute(INSERT_TASK, (*row, *assignees))
        if write.snapshot is not None:
            self._connection.execute(DROP_SNAPSHOTS, (run, write.kept_snapshots or []))
            self._connection.execute(
                INSERT_SNAPSHOT, (run, write.seq, write.snapshot, len(write.snapshot), write.journal_size)
            )

    def _release_locks(self, write: RunWrite) -> bool:
        def execute(sql: str, parameters: Sequence[Any]) -> list[Any]:
            cursor = self._connection.execute(sql, parameters)
            return cursor.fetchall() if cursor.description else []

        return release_locks(execute, run_id=write.run_id, steps=write.released_locks, at=write.at)

    def events(self, run_id: int, *, after: int = 0) -> list[EventRow]:
        with _translated():
            rows = self._connection.execute(
                "SELECT seq, type, v, at, data FROM runs_event WHERE run_id = %s AND seq > %s ORDER BY seq",
                (run_id, after),
            ).fetchall()
        return [EventRow(*row) for row in rows]

    def snapshots(self, run_id: int) -> list[SnapshotRow]:
        with _translated():
            return [SnapshotRow(*row) for row in self._connection.execute(SNAPSHOTS, (run_id,)).fetchall()]

    def snapshot(self, run_id: int, seq: int) -> str:
        with _translated():
            row: Any = self._connection.execute(
                "SELECT state FROM runs_snapshot WHERE run_id = %s AND seq = %s", (run_id, seq)
            ).fetchone()
        return str(row[0])

    def journal_size(self, run_id: int, *, until: int) -> int:
        with _translated():
            row: Any = self._connection.execute(
                "SELECT COALESCE(SUM(length(data)), 0) FROM runs_event WHERE run_id = %s AND seq <= %s", (run_id, until)
            ).fetchone()
        return int(row[0])

    def head(self, run_id: int) -> tuple[int, int] | None:
        with _translated():
            return self._connection.execute("SELECT epoch, seq FROM runs_run WHERE id = %s", (run_id,)).fetchone()

    def open_steps(self, run_id: int) -> list[StepRow]:
        with _translated():
            cursor = self._connection.execute(OPEN_STEPS, (run_id,))
            names = [column.name for column in cursor.description or ()]
            return [StepRow(**dict(zip(names, row, strict=True))) for row in cursor.fetchall()]

    def streamed(self, run_id: int) -> dict[bytes, int]:
        with _translated():
            return dict(self._connection.execute(STREAMED, (run_id,)).fetchall())

    def locked_steps(self, run_id: int) -> list[bytes]:
        with _translated():
            return [step for (step,) in self._connection.execute(LOCKED, (run_id, run_id)).fetchall()]

    def doubts(self, run_id: int) -> dict[bytes, int]:
        with _translated():
            return dict(self._connection.execute(DOUBTS, (run_id,)).fetchall())

    def heartbeats(self, run_id: int) -> dict[bytes, str]:
        with _translated():
            return dict(self._connection.execute(HEARTBEATS, (run_id,)).fetchall())

    def unread_mail(self, run_ids: Iterable[int]) -> list[Mail]:
        with _translated():
            rows = self._connection.execute(
                "SELECT id, run_id, kind, payload, actor FROM runs_mailbox "
                "WHERE consumed_at IS NULL AND run_id = ANY (%s) ORDER BY id",
                (list(run_ids),),
            ).fetchall()
        return [
            Mail(id=id_, run_id=run_id, kind=kind, payload=payload, actor=actor)
            for id_, run_id, kind, payload, actor in rows
        ]

    def reserved_signals(self, run_id: int, steps: Iterable[bytes]) -> list[signals.TakenSignal]:
        with _translated():
            return signals.reserved(self._rows, run_id, steps)

    def kept_signals(self, run_id: int, epoch: int, names: Iterable[str], *, limit: int) -> list[signals.KeptSignal]:
        with _translated():
            return signals.kept(self._rows, run_id, epoch, names, limit)

    def take_signal(self, run_id: int, epoch: int, signal_id: int, step: bytes, *, now: datetime) -> str | None:
        with _translated():
            return signals.take(self._rows, run_id, epoch, signal_id, step, now)

    def expire_task(self, run_id: int, step: bytes, task: uuid.UUID, *, now: datetime) -> str | None:
        with _translated():
            rows = self._rows(EXPIRE_TASK, (now, run_id, step, task))
        return rows[0][0] if rows else None

    def _rows(self, sql: str, parameters: Sequence[Any]) -> list[Any]:
        return self._connection.execute(sql, parameters).fetchall()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except psycopg.errors.LockNotAvailable as error:
        raise StoreLocked("Another transaction holds a row that is to be written.") from error
    except psycopg.OperationalError as error:
        raise StoreError(f"The database did not take the write: {error}.") from error
