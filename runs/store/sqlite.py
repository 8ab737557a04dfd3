"""The store on SQLite: one writer at a time, the write lock taken at BEGIN."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain, islice, zip_longest
from typing import Any

from runs import bell
from runs.errors import DriverGone, StoreBusy, StoreError
from runs.store import signals
from runs.store.base import (
    CLAIMED,
    CLAIMED_FIELDS,
    DOUBTS,
    EXPIRE_TASK,
    HEARTBEATS,
    INVITED,
    OPEN_STEPS,
    REPLACE_STEP,
    STREAMED,
    ClaimedRun,
    Mail,
    next_turn,
)
from runs.store.locks import LOCKED, release_locks
from runs.store.writes import EventRow, Head, RunWrite, SnapshotRow, StepRow

IS_DUE = "r.driver_id IS NULL AND r.wake_at IS NOT NULL AND r.wake_at <= :now AND r.quarantined = :quarantined"
RUNS = "runs_run AS r INDEXED BY run_due"
"""Named, because SQLite would rather sort all runs of an organization."""
INVITED_NOW = INVITED.format(runs=RUNS, due=IS_DUE, last=":last", limit=":limit") + "SELECT id FROM invited"
DUE = f"""
SELECT r.id FROM {RUNS} WHERE r.organization_id = :organization AND {IS_DUE}
ORDER BY r.priority DESC, r.wake_at LIMIT :limit
"""
CLAIM = f"""
UPDATE runs_run
SET driver_id = ?, epoch = epoch + 1, wake_at = NULL, started_at = COALESCE(started_at, ?),
    status = CASE WHEN status IN ('pending', 'waiting') THEN 'running' ELSE status END
WHERE id = ? AND driver_id IS NULL AND wake_at IS NOT NULL AND wake_at <= ?
RETURNING {CLAIMED}
"""
RELEASE = "UPDATE runs_run SET driver_id = NULL, wake_at = ? WHERE id = ? AND driver_id = ?"
MOVE_HEAD = "UPDATE runs_run SET seq = ? WHERE id = ? AND epoch = ? AND seq = ?"
LET_GO = """
UPDATE runs_run
SET status = COALESCE(?1, status), error = CASE WHEN ?1 IS NULL THEN error ELSE ?2 END,
    finished_at = CASE WHEN ?1 IS NULL THEN finished_at ELSE ?3 END, quarantined = ?4, driver_id = NULL,
    wake_at = CASE WHEN (?3 IS NULL OR ?1 = 'failed') AND status NOT IN ('completed', 'cancelled') AND EXISTS (
        SELECT 1 FROM runs_mailbox AS m WHERE m.run_id = runs_run.id AND m.consumed_at IS NULL
    ) THEN ?5 ELSE ?6 END
WHERE id = ?7
"""
SET_STATUS = """
UPDATE runs_run SET status = ?, error = '', finished_at = NULL, deadline_at = COALESCE(?, deadline_at) WHERE id = ?
"""
RENEW_WEBHOOK = """
UPDATE runs_webhook SET uuid = ?, status = 'pending', attempts = 0, next_at = ?, last_error = ''
WHERE run_id = ? AND (status <> 'pending' OR attempts > 0)
"""
"""Of a run that was over and goes on: it was told of another end, or somebody is about to be."""
SET_VERSION = """
UPDATE runs_run
SET begun_with_id = COALESCE(begun_with_id, version_id), former_versions = former_versions || version_id || ' ',
    version_id = ?
WHERE id = ?
"""
INSERT_EVENT = "INSERT INTO runs_event (run_id, seq, type, v, at, data) VALUES (?, ?, ?, ?, ?, ?)"
UPSERT_STEP = f"""
INSERT INTO runs_step (run_id, step, node, path, status, attempt, crashes, scheduled_seq, finished_seq,
                       scheduled_at, started_at, finished_at, error)
VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?)
{REPLACE_STEP}
"""
TRY_OUT = "UPDATE runs_step SET tried_at = ? WHERE run_id = ? AND step = ?"
BEAT = "UPDATE runs_step SET heartbeat = ? WHERE run_id = ? AND step = ?"
INSERT_ERROR = """
INSERT OR REPLACE INTO runs_steperror (run_id, step, attempt, at, type, message, traceback)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
CONSUME = "UPDATE runs_mailbox SET consumed_at = ?, consumed_seq = ? WHERE id = ?"
INSERT_CHUNK = """
INSERT INTO runs_streamchunk (run_id, step, number, text) VALUES (?, ?, ?, ?)
ON CONFLICT (run_id, step, number) DO NOTHING
"""
END_STREAM = "DELETE FROM runs_streamchunk WHERE run_id = ? AND step = ?"
END_WAIT = """
UPDATE runs_humantask SET status = 'cancelled', closed_at = ? WHERE run_id = ? AND step = ? AND status = 'open'
"""
INSERT_TASK = """
INSERT INTO runs_humantask (uuid, organization_id, run_id, step, node, status, title, instructions, form, quorum,
                            answers, due_at, created_at)
SELECT ?, organization_id, id, ?, ?, 'open', ?, ?, ?, ?, '[]', ?, ? FROM runs_run WHERE id = ?
RETURNING id
"""
INSERT_ASSIGNEE = "INSERT INTO runs_taskassignee (task_id, kind, name) VALUES (?, ?, ?)"
SNAPSHOTS = "SELECT seq, state_size, journal_size FROM runs_snapshot WHERE run_id = ? ORDER BY seq"
INSERT_SNAPSHOT = """
INSERT INTO runs_snapshot (run_id, seq, semantics_version, state, state_size, journal_size)
VALUES (?, ?, 1, ?, ?, ?)
"""


class SqliteStore:
    """`Store` on one sqlite3 connection, used by one thread at a time."""

    def __init__(self, connection: sqlite3.Connection, busy_timeout_s: float | None = None) -> None:
        self._connection = connection
        self._last_organization = 0
        self._execute = connection.execute
        self._executemany = connection.executemany
        if busy_timeout_s is not None:
            self._execute(f"PRAGMA busy_timeout = {int(busy_timeout_s * 1000)}")

    def close(self) -> None:
        self._connection.close()

    def claim(self, *, driver_id: int, limit: int, now: datetime, quarantine: bool) -> list[ClaimedRun]:
        at = _stamp(now)
        with _translated():
            # Looking first keeps idle drivers from taking the write lock.
            due = self._due(now=at, quarantine=quarantine, limit=limit)
            if not due:
                return []
            try:
                with self._transaction():
                    rows = [self._execute(CLAIM, (driver_id, at, run_id, at)).fetchone() for run_id in due]
            except sqlite3.IntegrityError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
                    raise
                raise DriverGone(driver_id) from error
        claimed = [_claimed(row) for row in rows if row is not None]
        self._last_organization = next_turn(self._last_organization, (run.organization_id for run in claimed))
        return claimed

    def _due(self, *, now: str, quarantine: bool, limit: int) -> list[int]:
        """Due runs of the organizations whose turn it is, one of each after the other."""
        names = {"now": now, "quarantined": quarantine, "last": self._last_organization, "limit": limit}
        runs_of = [
            [run_id for (run_id,) in self._execute(DUE, {**names, "organization": organization})]
            for (organization,) in self._execute(INVITED_NOW, names).fetchall()
        ]
        turns = chain.from_iterable(zip_longest(*runs_of))
        return list(islice(filter(None, turns), limit))

    def release(self, *, driver_id: int, but: Collection[int], now: datetime) -> int:
        with _translated():
            # Looking first, as above. Between the two only this driver could take or leave a run of its own.
            held = {run_id for (run_id,) in self._execute("SELECT id FROM runs_run WHERE driver_id = ?", (driver_id,))}
            strays = held.difference(but)
            if strays:
                with self._transaction():
                    self._executemany(RELEASE, [(_stamp(now), run_id, driver_id) for run_id in strays])
        return len(strays)

    def commit(self, writes: Sequence[RunWrite]) -> set[int]:
        with _translated(), self._transaction():
            lost = {write.run_id for write in writes if not self._write(write)}
            # After all heads: a run that lets go in the same transaction may be the one that gets a lock.
            granted = [self._release_locks(w) for w in writes if w.released_locks and w.run_id not in lost]
        if any(granted):
            bell.ring_drivers()
        for write in writes:
            if write.run_id not in lost:
                bell.ring_watchers(write.run_id, write.seq)
        return lost

    def join(self, write: RunWrite) -> bool:
        with _translated():
            is_written = self._write(write)
            if is_written and write.released_locks:
                self._release_locks(write)
            return is_written

    def _write(self, write: RunWrite) -> bool:
        run = write.run_id
        fence = (run, write.epoch, write.expected_seq)
        if self._execute(MOVE_HEAD, (write.seq, *fence)).rowcount != 1:
            return False
        self._executemany(INSERT_EVENT, [(run, e.seq, e.type, e.v, _stamp(e.at), e.data) for e in write.events])
        if write.steps:
            self._executemany(
                UPSERT_STEP,
                [
                    (
                        run,
                        s.step,
                        s.node,
                        s.path,
                        s.status,
                        s.attempt,
                        s.scheduled_seq,
                        s.finished_seq,
                        _stamp(s.scheduled_at),
                        s.started_at and _stamp(s.started_at),
                        s.finished_at and _stamp(s.finished_at),
                        s.error,
                    )
                    for s in write.steps.values()
                ],
            )
        if write.has_extras:
            self._write_extras(write)
        if write.head is not None:
            # After the mail it takes in is marked: what is still unread makes the run due again.
            self._let_go(write, write.head)
        return True

    def _let_go(self, write: RunWrite, head: Head) -> None:
        ended = (head.status, head.error, _optional(head.finished_at))
        self._execute(LET_GO, (*ended, head.quarantined, _stamp(write.at), _optional(head.wake_at), write.run_id))

    def _write_extras(self, write: RunWrite) -> None:
        run = write.run_id
        at = _stamp(write.at)
        self._executemany(
            INSERT_ERROR,
            [(run, e.step, e.attempt, _stamp(e.at), e.type, e.message, e.traceback) for e in write.errors],
        )
        if write.status is not None:
            self._execute(SET_STATUS, (write.status, _optional(write.deadline_at), run))
            self._execute(RENEW_WEBHOOK, (uuid.uuid4().hex, at, run))
        if write.version_id is not None:
            self._execute(SET_VERSION, (write.version_id, run))
        self._executemany(CONSUME, [(at, seq, mail) for mail, seq in write.consumed])
        self._executemany(INSERT_CHUNK, [(run, *chunk) for chunk in write.chunks])
        self._executemany(BEAT, [(details, run, step) for step, details in write.heartbeats.items()])
        self._executemany(END_STREAM, [(run, step) for step in write.ended_streams])
        self._executemany(END_WAIT, [(at, run, step) for step in write.ended_waits])
        self._executemany(_qmarks(signals.FREE), [(run, step) for step in write.freed_signals])
        self._executemany(TRY_OUT, [(at, run, step) for step in write.tried])
        for t in write.tasks:
            row = (t.uuid.hex, t.step, t.node, t.title, t.instructions, t.form, t.quorum, _optional(t.due_at), at, run)
            (task_id,) = self._execute(INSERT_TASK, row).fetchone()
            self._executemany(INSERT_ASSIGNEE, [(task_id, *assignee) for assignee in t.assignees])
        if write.snapshot is not None:
            kept = write.kept_snapshots or []
            marks = ", ".join("?" * len(kept))
            self._execute(
                f"DELETE FROM runs_snapshot WHERE run_id = ? AND seq NOT IN ({marks})",
                (run, *kept),
            )
            self._execute(INSERT_SNAPSHOT, (run, write.seq, write.snapshot, len(write.snapshot), write.journal_size))

    def _release_locks(self, write: RunWrite) -> bool:
        def execute(sql: str, parameters: Sequence[Any]) -> list[Any]:
            return self._execute(sql.replace("%s", "?"), parameters).fetchall()

        return release_locks(execute, run_id=write.run_id, steps=write.released_locks, at=_stamp(write.at))

    def events(self, run_id: int, *, after: int = 0) -> list[EventRow]:
        with _translated():
            rows = self._execute(
                "SELECT seq, type, v, at, data FROM runs_event WHERE run_id = ? AND seq > ? ORDER BY seq",
                (run_id, after),
            ).fetchall()
        return [EventRow(seq, type_, v, _aware(at), data) for seq, type_, v, at, data in rows]

    def snapshots(self, run_id: int) -> list[SnapshotRow]:
        with _translated():
            return [SnapshotRow(*row) for row in self._execute(SNAPSHOTS, (run_id,)).fetchall()]

    def snapshot(self, run_id: int, seq: int) -> str:
        with _translated():
            row: tuple[str] = self._execute(
                "SELECT state FROM runs_snapshot WHERE run_id = ? AND seq = ?", (run_id, seq)
            ).fetchone()
        return row[0]

    def journal_size(self, run_id: int, *, until: int) -> int:
        with _translated():
            row: tuple[int] = self._execute(
                "SELECT COALESCE(SUM(length(data)), 0) FROM runs_event WHERE run_id = ? AND seq <= ?", (run_id, until)
            ).fetchone()
        return row[0]

    def head(self, run_id: int) -> tuple[int, int] | None:
        with _translated():
            row: tuple[int, int] | None = self._execute(
                "SELECT epoch, seq FROM runs_run WHERE id = ?", (run_id,)
            ).fetchone()
        return row

    def open_steps(self, run_id: int) -> list[StepRow]:
        with _translated():
            cursor = self._execute(_qmarks(OPEN_STEPS), (run_id,))
            names = [column[0] for column in cursor.description]
            rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        for row in rows:
            for name in ("scheduled_at", "started_at", "finished_at"):
                row[name] = row[name] and _aware(row[name])
        return [StepRow(**row) for row in rows]

    def streamed(self, run_id: int) -> dict[bytes, int]:
        with _translated():
            return dict(self._execute(_qmarks(STREAMED), (run_id,)).fetchall())

    def locked_steps(self, run_id: int) -> list[bytes]:
        with _translated():
            return [step for (step,) in self._execute(LOCKED.replace("%s", "?"), (run_id, run_id))]

    def doubts(self, run_id: int) -> dict[bytes, int]:
        with _translated():
            return dict(self._execute(_qmarks(DOUBTS), (run_id,)).fetchall())

    def heartbeats(self, run_id: int) -> dict[bytes, str]:
        with _translated():
            return dict(self._execute(_qmarks(HEARTBEATS), (run_id,)).fetchall())

    def unread_mail(self, run_ids: Iterable[int]) -> list[Mail]:
        ids = tuple(run_ids)
        marks = ", ".join("?" * len(ids))
        with _translated():
            rows = self._execute(
                "SELECT id, run_id, kind, payload, actor FROM runs_mailbox "
                f"WHERE consumed_at IS NULL AND run_id IN ({marks}) ORDER BY id",
                ids,
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
        with _translated(), self._transaction():
            return signals.take(self._rows, run_id, epoch, signal_id, step, _stamp(now))

    def expire_task(self, run_id: int, step: bytes, task: uuid.UUID, *, now: datetime) -> str | None:
        with _translated(), self._transaction():
            rows = self._rows(EXPIRE_TASK, (_stamp(now), run_id, step, task.hex))
        return rows[0][0] if rows else None

    def _rows(self, sql: str, parameters: Sequence[Any]) -> list[Any]:
        return self._execute(_qmarks(sql), parameters).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._execute("BEGIN IMMEDIATE")
        try:
            yield
            self._execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._execute("ROLLBACK")
            raise


def _qmarks(sql: str) -> str:
    return sql.replace("%s", "?")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        primary = error.sqlite_errorcode & 0xFF
        if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise StoreBusy("Another process is writing to the database.") from error
        raise StoreError(f"The database refused: {error}.") from error


def _stamp(value: datetime) -> str:
    """As Django writes a UTC datetime into SQLite: without its offset."""
    return value.isoformat(" ")[:-6]


def _optional(value: datetime | None) -> str | None:
    return None if value is None else _stamp(value)


def _aware(value: datetime | str) -> datetime:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.replace(tzinfo=UTC)


def _claimed(row: tuple) -> ClaimedRun:
    values = dict(zip(CLAIMED_FIELDS, row, strict=True))
    values["uuid"] = uuid.UUID(values["uuid"])
    values["started_at"] = _aware(values["started_at"])
    for flag in ("queued", "quarantined"):
        values[flag] = bool(values[flag])
    if values["deadline_at"] is not None:
        values["deadline_at"] = _aware(values["deadline_at"])
    return ClaimedRun(**values)
