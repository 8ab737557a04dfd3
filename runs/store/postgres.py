"""The store on PostgreSQL: a group of steps is one statement, one round trip.

The watchers' bell is rung after it and not in it: docs/adr/0004-notify-outside-the-steps-transaction.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime
from typing import Any

import psycopg

from runs import bell
from runs.errors import StoreError
from runs.store.base import OPEN_STEPS, ClaimedRun, Mail
from runs.store.writes import EventRow, RunWrite, StepRow

CLAIM = """
UPDATE runs_run
SET driver_id = %s, epoch = epoch + 1, wake_at = NULL, started_at = COALESCE(started_at, %s),
    status = CASE status WHEN 'pending' THEN 'running' ELSE status END
WHERE id IN (
    SELECT id FROM runs_run
    WHERE driver_id IS NULL AND wake_at IS NOT NULL AND wake_at <= %s AND quarantined = %s
    ORDER BY priority DESC, wake_at LIMIT %s
    FOR UPDATE SKIP LOCKED
)
RETURNING id, uuid, version_id, status, epoch, seq, durability, quarantined, started_at
"""
COMMIT = """
WITH written AS (
    UPDATE runs_run AS r
    SET seq = w.seq,
        status = COALESCE(w.status, r.status),
        error = COALESCE(w.error, r.error),
        finished_at = COALESCE(w.finished_at, r.finished_at),
        quarantined = CASE WHEN w.status IS NULL THEN r.quarantined ELSE w.quarantined END,
        driver_id = CASE WHEN w.status IS NULL THEN r.driver_id END,
        wake_at = CASE
            WHEN w.status IS NULL THEN r.wake_at
            WHEN w.finished_at IS NULL AND EXISTS (
                SELECT 1 FROM runs_mailbox AS m
                WHERE m.run_id = r.id AND m.consumed_at IS NULL AND m.id <> ALL (%(mail_ids)s::bigint[])
            ) THEN w.at
            ELSE w.wake_at
        END
    FROM unnest(%(runs)s::bigint[], %(epochs)s::bigint[], %(expected)s::bigint[], %(seqs)s::bigint[],
                %(ats)s::timestamptz[], %(statuses)s::text[], %(errors)s::text[],
                %(finished)s::timestamptz[], %(quarantined)s::bool[], %(wakes)s::timestamptz[])
        AS w (id, epoch, expected, seq, at, status, error, finished_at, quarantined, wake_at)
    WHERE r.id = w.id AND r.epoch = w.epoch AND r.seq = w.expected
    RETURNING r.id, r.seq
), events AS (
    INSERT INTO runs_event (run_id, seq, type, v, at, data)
    SELECT e.* FROM unnest(%(e_run)s::bigint[], %(e_seq)s::bigint[], %(e_type)s::text[], %(e_v)s::smallint[],
                           %(e_at)s::timestamptz[], %(e_data)s::text[])
        AS e (run_id, seq, type, v, at, data)
    JOIN written ON written.id = e.run_id
), steps AS (
    INSERT INTO runs_step (run_id, step, node, path, status, attempt, crashes, scheduled_seq, finished_seq,
                           scheduled_at, started_at, finished_at, error)
    SELECT s.run_id, s.step, s.node, s.path, s.status, s.attempt, 0, s.scheduled_seq, s.finished_seq,
           s.scheduled_at, s.started_at, s.finished_at, s.error
    FROM unnest(%(s_run)s::bigint[], %(s_step)s::bytea[], %(s_node)s::text[], %(s_path)s::text[],
                %(s_status)s::text[], %(s_attempt)s::int[], %(s_scheduled_seq)s::bigint[],
                %(s_finished_seq)s::bigint[], %(s_scheduled_at)s::timestamptz[],
                %(s_started_at)s::timestamptz[], %(s_finished_at)s::timestamptz[], %(s_error)s::text[])
        AS s (run_id, step, node, path, status, attempt, scheduled_seq, finished_seq, scheduled_at, started_at,
              finished_at, error)
    JOIN written ON written.id = s.run_id
    ON CONFLICT (run_id, step) DO UPDATE SET
        status = excluded.status, attempt = excluded.attempt, finished_seq = excluded.finished_seq,
        started_at = excluded.started_at, finished_at = excluded.finished_at, error = excluded.error
)
SELECT id FROM written
"""
INSERT_ERROR = """
INSERT INTO runs_steperror (run_id, step, attempt, at, type, message, traceback)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (run_id, step, attempt) DO UPDATE SET
    at = excluded.at, type = excluded.type, message = excluded.message, traceback = excluded.traceback
"""
CONSUME = "UPDATE runs_mailbox SET consumed_at = %s, consumed_seq = %s WHERE id = %s"
INSERT_CHUNK = """
INSERT INTO runs_streamchunk (run_id, step, number, text) VALUES (%s, %s, %s, %s)
ON CONFLICT (run_id, step, number) DO UPDATE SET text = excluded.text
"""
END_STREAM = "DELETE FROM runs_streamchunk WHERE run_id = %s AND step = %s"
DROP_SNAPSHOTS = "DELETE FROM runs_snapshot WHERE run_id = %s AND seq <> ALL (%s::bigint[])"
INSERT_SNAPSHOT = "INSERT INTO runs_snapshot (run_id, seq, semantics_version, state) VALUES (%s, %s, 1, %s)"


class PostgresStore:
    """`Store` on one psycopg connection in autocommit mode, used by one thread at a time.

    A connection that broke (the server was restarted) is replaced at the next call.
    """

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]]) -> None:
        self._connect = connect
        self._opened = connect()

    @property
    def _connection(self) -> psycopg.Connection[Any]:
        if self._opened.closed:
            self._opened = self._connect()
        return self._opened

    def close(self) -> None:
        self._opened.close()

    def claim(self, *, driver_id: int, limit: int, now: datetime, quarantine: bool) -> list[ClaimedRun]:
        with _translated():
            rows = self._connection.execute(CLAIM, (driver_id, now, now, quarantine, limit)).fetchall()
        return [
            ClaimedRun(
                id=id_,
                uuid=uuid,
                version_id=version_id,
                status=status,
                epoch=epoch,
                seq=seq,
                durability=durability,
                quarantined=quarantined,
                started_at=started_at,
            )
            for id_, uuid, version_id, status, epoch, seq, durability, quarantined, started_at in rows
        ]

    def commit(self, writes: Sequence[RunWrite]) -> set[int]:
        extras = any(write.has_extras for write in writes)
        with _translated(), self._connection.transaction() if extras else nullcontext():
            rows = self._connection.execute(COMMIT, _parameters(writes), prepare=True).fetchall()
            written = {row[0] for row in rows}
            for write in writes:
                if write.has_extras and write.run_id in written:
                    self._write_extras(write)
        for write in writes:
            if write.run_id in written:
                bell.ring_watchers(write.run_id, write.seq)
        return {write.run_id for write in writes} - written

    def _write_extras(self, write: RunWrite) -> None:
        run = write.run_id
        many = self._connection.cursor().executemany
        if write.errors:
            many(INSERT_ERROR, [(run, *error) for error in write.errors])
        if write.consumed:
            many(CONSUME, [(write.at, seq, mail) for mail, seq in write.consumed])
        if write.chunks:
            many(INSERT_CHUNK, [(run, *chunk) for chunk in write.chunks])
        if write.ended_streams:
            many(END_STREAM, [(run, step) for step in write.ended_streams])
        if write.snapshot is not None:
            self._connection.execute(DROP_SNAPSHOTS, (run, write.kept_snapshots or []))
            self._connection.execute(INSERT_SNAPSHOT, (run, write.seq, write.snapshot))

    def events(self, run_id: int, *, after: int = 0) -> list[EventRow]:
        with _translated():
            rows = self._connection.execute(
                "SELECT seq, type, v, at, data FROM runs_event WHERE run_id = %s AND seq > %s ORDER BY seq",
                (run_id, after),
            ).fetchall()
        return [EventRow(*row) for row in rows]

    def snapshots(self, run_id: int) -> list[tuple[int, int]]:
        with _translated():
            return self._connection.execute(
                "SELECT seq, length(state) FROM runs_snapshot WHERE run_id = %s ORDER BY seq", (run_id,)
            ).fetchall()

    def snapshot(self, run_id: int, seq: int) -> str:
        with _translated():
            row: Any = self._connection.execute(
                "SELECT state FROM runs_snapshot WHERE run_id = %s AND seq = %s", (run_id, seq)
            ).fetchone()
        return str(row[0])

    def journal_size(self, run_id: int) -> int:
        with _translated():
            row: Any = self._connection.execute(
                "SELECT COALESCE(SUM(length(data)), 0) FROM runs_event WHERE run_id = %s", (run_id,)
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


def _parameters(writes: Sequence[RunWrite]) -> dict[str, list[Any]]:
    heads = [write.head for write in writes]
    events = [(write.run_id, *event) for write in writes for event in write.events]
    steps = [(write.run_id, step) for write in writes for step in write.steps.values()]
    e_run, e_seq, e_type, e_v, e_at, e_data = map(list, zip(*events, strict=True)) if events else ([],) * 6
    return {
        "runs": [write.run_id for write in writes],
        "epochs": [write.epoch for write in writes],
        "expected": [write.expected_seq for write in writes],
        "seqs": [write.seq for write in writes],
        "ats": [write.at for write in writes],
        "statuses": [head and head.status for head in heads],
        "errors": [head and head.error for head in heads],
        "finished": [head and head.finished_at for head in heads],
        "quarantined": [head and head.quarantined for head in heads],
        "wakes": [head and head.wake_at for head in heads],
        "mail_ids": [mail for write in writes for mail, _ in write.consumed],
        "e_run": e_run,
        "e_seq": e_seq,
        "e_type": e_type,
        "e_v": e_v,
        "e_at": e_at,
        "e_data": e_data,
        "s_run": [run for run, _ in steps],
        "s_step": [s.step for _, s in steps],
        "s_node": [s.node for _, s in steps],
        "s_path": [s.path for _, s in steps],
        "s_status": [s.status for _, s in steps],
        "s_attempt": [s.attempt for _, s in steps],
        "s_scheduled_seq": [s.scheduled_seq for _, s in steps],
        "s_finished_seq": [s.finished_seq for _, s in steps],
        "s_scheduled_at": [s.scheduled_at for _, s in steps],
        "s_started_at": [s.started_at for _, s in steps],
        "s_finished_at": [s.finished_at for _, s in steps],
        "s_error": [s.error for _, s in steps],
    }


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except psycopg.OperationalError as error:
        raise StoreError(f"The database did not take the write: {error}.") from error
