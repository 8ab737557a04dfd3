"""The statement with which PostgreSQL takes steps of one run or of many: heads, events and rows, in one round trip."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from runs.store.base import REPLACE_STEP
from runs.store.writes import RunWrite

COMMIT = f"""
WITH written AS (
    UPDATE runs_run AS r
    SET seq = w.seq,
        status = COALESCE(w.status, r.status),
        error = CASE WHEN w.status IS NULL THEN r.error ELSE w.error END,
        finished_at = CASE WHEN w.status IS NULL THEN r.finished_at ELSE w.finished_at END,
        quarantined = CASE WHEN w.lets_go THEN w.quarantined ELSE r.quarantined END,
        driver_id = CASE WHEN w.lets_go THEN NULL ELSE r.driver_id END,
        wake_at = CASE WHEN w.lets_go THEN w.wake_at ELSE r.wake_at END
    FROM unnest(%(runs)s::bigint[], %(epochs)s::bigint[], %(expected)s::bigint[], %(seqs)s::bigint[],
                %(ats)s::timestamptz[], %(statuses)s::text[], %(errors)s::text[],
                %(finished)s::timestamptz[], %(lets_go)s::bool[], %(quarantined)s::bool[],
                %(wakes)s::timestamptz[])
        AS w (id, epoch, expected, seq, at, status, error, finished_at, lets_go, quarantined, wake_at)
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
    {REPLACE_STEP}
)
SELECT id FROM written
"""
COMMIT_STEP = f"""
WITH written AS (
    UPDATE runs_run SET seq = %s WHERE id = %s AND epoch = %s AND seq = %s RETURNING id
), events AS (
    INSERT INTO runs_event (run_id, seq, type, v, at, data)
    SELECT written.id, e.* FROM written, (VALUES {{events}}) AS e
), steps AS (
    INSERT INTO runs_step (run_id, step, node, path, status, attempt, crashes, scheduled_seq, scheduled_at, started_at,
                           finished_seq, finished_at, error)
    SELECT written.id, s.* FROM written, (VALUES {{steps}}) AS s
    {REPLACE_STEP}
)
SELECT id FROM written
"""
"""`COMMIT` for one run that goes on: twenty arrays cost more to pass than the step."""
EVENT_VALUES = "(%s::bigint, %s::text, %s::smallint, %s::timestamptz, %s::text)"
STEP_VALUES = (
    "(%s::bytea, %s::text, %s::text, %s::text, %s::int, 0, %s::bigint, %s::timestamptz, %s::timestamptz, "
    "%s::bigint, %s::timestamptz, %s::text)"
)
MAX_ROWS = 3
"""Of events or steps in `COMMIT_STEP`; each pair of numbers is a statement that the connection keeps prepared."""


def commit_statement(writes: Sequence[RunWrite]) -> tuple[str, Any]:
    """The statement that commits the writes, but for their extras, and its parameters."""
    if len(writes) == 1:
        write = writes[0]
        if write.head is None and 0 < len(write.events) <= MAX_ROWS and 0 < len(write.steps) <= MAX_ROWS:
            return _commit_step(len(write.events), len(write.steps)), _step_parameters(write)
    return COMMIT, _parameters(writes)


@lru_cache(maxsize=MAX_ROWS**2)
def _commit_step(events: int, steps: int) -> str:
    return COMMIT_STEP.format(events=", ".join([EVENT_VALUES] * events), steps=", ".join([STEP_VALUES] * steps))


def _step_parameters(write: RunWrite) -> list[Any]:
    parameters: list[Any] = [write.seq, write.run_id, write.epoch, write.expected_seq]
    for event in write.events:
        parameters += event
    for s in write.steps.values():
        parameters += (s.step, s.node, s.path, s.status, s.attempt, s.scheduled_seq, s.scheduled_at)
        parameters += (s.started_at, s.finished_seq, s.finished_at, s.error)
    return parameters


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
        "lets_go": [head is not None for head in heads],
        "quarantined": [head and head.quarantined for head in heads],
        "wakes": [head and head.wake_at for head in heads],
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
