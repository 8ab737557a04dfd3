"""The store on SQLite: one writer at a time, the write lock taken at BEGIN."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from runs import bell
from runs.errors import StoreBusy, StoreError
from runs.store.base import OPEN_STEPS, ClaimedRun, Mail
from runs.store.writes import EventRow, Head, RunWrite, StepRow

DUE = """
SELECT id FROM runs_run
WHERE driver_id IS NULL AND wake_at IS NOT NULL AND wake_at <= ? AND quarantined = ?
ORDER BY priority DESC, wake_at LIMIT ?
"""
CLAIM = """
UPDATE runs_run
SET driver_id = ?, epoch = epoch + 1, wake_at = NULL, started_at = COALESCE(started_at, ?),
    status = CASE status WHEN 'pending' THEN 'running' ELSE status END
WHERE id = ? AND driver_id IS NULL AND wake_at IS NOT NULL AND wake_at <= ?
RETURNING id, uuid, version_id, status, epoch, seq, durability, quarantined, started_at
"""
MOVE_HEAD = "UPDATE runs_run SET seq = ? WHERE id = ? AND epoch = ? AND seq = ?"
LET_GO = """
UPDATE runs_run
SET status = ?, error = ?, finished_at = ?, quarantined = ?, driver_id = NULL,
    wake_at = CASE WHEN ? IS NULL AND EXISTS (
        SELECT 1 FROM runs_mailbox AS m WHERE m.run_id = runs_run.id AND m.consumed_at IS NULL
    ) THEN ? ELSE ? END
WHERE id = ?
"""
INSERT_EVENT = "INSERT INTO runs_event (run_id, seq, type, v, at, data) VALUES (?, ?, ?, ?, ?, ?)"
UPSERT_STEP = """
INSERT INTO runs_step (run_id, step, node, path, status, attempt, crashes, scheduled_seq, finished_seq,
                       scheduled_at, started_at, finished_at, error)
VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?)
ON CONFLICT (run_id, step) DO UPDATE SET
    status = excluded.status, attempt = excluded.attempt, finished_seq = excluded.finished_seq,
    started_at = excluded.started_at, finished_at = excluded.finished_at, error = excluded.error
"""
INSERT_ERROR = """
INSERT OR REPLACE INTO runs_steperror (run_id, step, attempt, at, type, message, traceback)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
CONSUME = "UPDATE runs_mailbox SET consumed_at = ?, consumed_seq = ? WHERE id = ?"
INSERT_CHUNK = "INSERT OR REPLACE INTO runs_streamchunk (run_id, step, number, text) VALUES (?, ?, ?, ?)"
END_STREAM = "DELETE FROM runs_streamchunk WHERE run_id = ? AND step = ?"
INSERT_SNAPSHOT = "INSERT INTO runs_snapshot (run_id, seq, semantics_version, state) VALUES (?, ?, 1, ?)"


class SqliteStore:
    """`Store` on one sqlite3 connection, used by one thread at a time."""

    def __init__(self, connection: sqlite3.Connection, busy_timeout_s: float) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._executemany = connection.executemany
        self._execute(f"PRAGMA busy_timeout = {int(busy_timeout_s * 1000)}")

    def close(self) -> None:
        self._connection.close()

    def claim(self, *, driver_id: int, limit: int, now: datetime, quarantine: bool) -> list[ClaimedRun]:
        at = _stamp(now)
        with _translated():
            # Looking first keeps idle drivers from taking the write lock.
            due = self._execute(DUE, (at, quarantine, limit)).fetchall()
            if not due:
                return []
            with self._transaction():
                rows = [self._execute(CLAIM, (driver_id, at, run_id, at)).fetchone() for (run_id,) in due]
        return [_claimed(row) for row in rows if row is not None]

    def commit(self, writes: Sequence[RunWrite]) -> set[int]:
        with _translated(), self._transaction():
            lost = {write.run_id for write in writes if not self._write(write)}
        for write in writes:
            if write.run_id not in lost:
                bell.ring_watchers(write.run_id, write.seq)
        return lost

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
        finished = _optional(head.finished_at)
        values = (head.status, head.error, finished, head.quarantined)
        self._execute(LET_GO, (*values, finished, _stamp(write.at), _optional(head.wake_at), write.run_id))

    def _write_extras(self, write: RunWrite) -> None:
        run = write.run_id
        at = _stamp(write.at)
        self._executemany(
            INSERT_ERROR,
            [(run, e.step, e.attempt, _stamp(e.at), e.type, e.message, e.traceback) for e in write.errors],
        )
        self._executemany(CONSUME, [(at, seq, mail) for mail, seq in write.consumed])
        self._executemany(INSERT_CHUNK, [(run, *chunk) for chunk in write.chunks])
        self._executemany(END_STREAM, [(run, step) for step in write.ended_streams])
        if write.snapshot is not None:
            kept = write.kept_snapshots or []
            marks = ", ".join("?" * len(kept))
            self._execute(
                f"DELETE FROM runs_snapshot WHERE run_id = ? AND seq NOT IN ({marks})",
                (run, *kept),
            )
            self._execute(INSERT_SNAPSHOT, (run, write.seq, write.snapshot))

    def events(self, run_id: int, *, after: int = 0) -> list[EventRow]:
        with _translated():
            rows = self._execute(
                "SELECT seq, type, v, at, data FROM runs_event WHERE run_id = ? AND seq > ? ORDER BY seq",
                (run_id, after),
            ).fetchall()
        return [EventRow(seq, type_, v, _aware(at), data) for seq, type_, v, at, data in rows]

    def snapshots(self, run_id: int) -> list[tuple[int, int]]:
        with _translated():
            return self._execute(
                "SELECT seq, length(state) FROM runs_snapshot WHERE run_id = ? ORDER BY seq", (run_id,)
            ).fetchall()

    def snapshot(self, run_id: int, seq: int) -> str:
        with _translated():
            row: tuple[str] = self._execute(
                "SELECT state FROM runs_snapshot WHERE run_id = ? AND seq = ?", (run_id, seq)
            ).fetchone()
        return row[0]

    def journal_size(self, run_id: int) -> int:
        with _translated():
            row: tuple[int] = self._execute(
                "SELECT COALESCE(SUM(length(data)), 0) FROM runs_event WHERE run_id = ?", (run_id,)
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
            cursor = self._execute(OPEN_STEPS.replace("%s", "?"), (run_id,))
            names = [column[0] for column in cursor.description]
            rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        for row in rows:
            for name in ("scheduled_at", "started_at", "finished_at"):
                row[name] = row[name] and _aware(row[name])
        return [StepRow(**row) for row in rows]

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
    id_, uuid_, version_id, status, epoch, seq, durability, quarantined, started_at = row
    return ClaimedRun(
        id=id_,
        uuid=uuid.UUID(uuid_),
        version_id=version_id,
        status=status,
        epoch=epoch,
        seq=seq,
        durability=durability,
        quarantined=bool(quarantined),
        started_at=_aware(started_at),
    )
