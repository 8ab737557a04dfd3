"""Which kept signal goes to which waiting step: the same on both databases.

A driver first takes a signal for a step, in a transaction of its own, and then completes the step with it. A signal is
taken by a conditional update, so that two runs that wait under one business key cannot both have it; and it is taken
under the run's epoch, so that a driver that has lost the run takes nothing. A driver that dies between the two leaves a
signal which names the run and the step: the next driver finds it before it looks for others.

One is taken at a time, because the step that it ends may cancel another one, whose signal would have been kept from
others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")
Rows = Callable[[str, Sequence[Any]], list[Any]]
"""Runs a statement, with `%s` for its parameters, and gives its rows."""

MAX_MARKS = 500
"""More steps or names are asked for in several statements: the databases bound the parameters of one."""

RESERVED = "SELECT step, name, payload FROM runs_signal WHERE run_id = %s AND step IN ({marks}) ORDER BY id"
KEPT = """
SELECT id, name FROM (
    SELECT s.id, s.name FROM runs_signal AS s JOIN runs_run AS r ON r.id = s.run_id
    WHERE r.id = %s AND r.epoch = %s AND s.run_id = %s AND s.step IS NULL AND s.name IN ({marks})
    UNION ALL
    SELECT s.id, s.name FROM runs_signal AS s JOIN runs_run AS r ON r.id = %s AND r.epoch = %s
    WHERE s.organization_id = r.organization_id AND s.business_key = r.business_key AND s.business_key <> ''
        AND s.run_id IS NULL AND s.consumed_at IS NULL AND s.name IN ({marks})
) AS kept ORDER BY id LIMIT %s
"""
TAKE = """
UPDATE runs_signal SET consumed_at = %s, run_id = %s, step = %s
WHERE id = %s AND consumed_at IS NULL AND EXISTS (SELECT 1 FROM runs_run WHERE id = %s AND epoch = %s)
RETURNING payload
"""
FREE = """
UPDATE runs_signal
SET consumed_at = NULL, step = NULL, run_id = CASE WHEN business_key = '' THEN run_id ELSE NULL END
WHERE run_id = %s AND step = %s
"""
"""A step was cancelled that may have taken one when its driver died."""


class KeptSignal(NamedTuple):
    """One that a step of the run might take."""

    id: int
    name: str


class TakenSignal(NamedTuple):
    """A signal that now belongs to a step of the run. `payload` is JSON."""

    step: bytes
    name: str
    payload: str


def reserved(rows: Rows, run_id: int, steps: Iterable[bytes]) -> list[TakenSignal]:
    """Those that were taken for these steps before."""
    return [
        TakenSignal(bytes(step), name, payload)
        for some in _in_parts(steps)
        for step, name, payload in rows(RESERVED.format(marks=_marks(some)), (run_id, *some))
    ]


def kept(rows: Rows, run_id: int, epoch: int, names: Iterable[str], limit: int) -> list[KeptSignal]:
    """The oldest of these names that the run might take, at most `limit`."""
    run = (run_id, epoch)
    found = [
        KeptSignal(*row)
        for some in _in_parts(names)
        for row in rows(KEPT.format(marks=_marks(some)), (*run, run_id, *some, *run, *some, limit))
    ]
    return sorted(found)[:limit]


def take(rows: Rows, run_id: int, epoch: int, signal_id: int, step: bytes, stamp: datetime | str) -> str | None:
    """Give a signal to a step and return its payload; None if somebody else has it, or the run."""
    taken = rows(TAKE, (stamp, run_id, step, signal_id, run_id, epoch))
    return taken[0][0] if taken else None


def _in_parts(values: Iterable[T]) -> Iterator[tuple[T, ...]]:
    left = iter(values)
    while some := tuple(islice(left, MAX_MARKS)):
        yield some


def _marks(values: Collection[object]) -> str:
    return ", ".join(["%s"] * len(values))
