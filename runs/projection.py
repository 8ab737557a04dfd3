"""From what the engine concluded to rows: the journal's entries and the steps they change.

A step's row is derived from the journal alone, so that `verify_runs` can rebuild and compare it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from runs.engine import codec
from runs.engine.decisions import Decision, StartStep
from runs.engine.events import (
    BranchFrozen,
    Event,
    Failure,
    ItemCollected,
    ItemFailed,
    MapClosed,
    MapFailed,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepId,
    StepRescheduled,
)
from runs.models import Step
from runs.store.writes import EventRow, StepRow
from tools import strict_json


class Recorded(NamedTuple):
    """What one transition adds to the journal and changes in the step rows."""

    events: list[EventRow]
    steps: list[StepRow]


class Projection:
    """The rows of a run's steps that may still change: in flight, waiting, or failed and open to a retry."""

    def __init__(self, rows: Iterable[StepRow] = ()) -> None:
        self._open: dict[StepId, StepRow] = {row.step: row for row in rows}

    def row(self, step: StepId) -> StepRow:
        return self._open[step]

    def record(
        self,
        events: Sequence[Event],
        decisions: Iterable[Decision],
        *,
        after_seq: int,
        at: datetime,
        took_ms: float | None = None,
        actor: str | None = None,
    ) -> Recorded:
        """Number `events` from `after_seq + 1`. Steps that `decisions` start are scheduled by the first event.

        `took_ms` is how long the tool ran, `actor` whoever caused the first event.
        """
        starts = [decision for decision in decisions if isinstance(decision, StartStep)]
        rows: list[EventRow] = []
        changed: dict[StepId, StepRow] = {}
        for seq, event in enumerate(events, after_seq + 1):
            data = codec.to_data(event)
            row = self._change(event, seq=seq, at=at, took_ms=took_ms)
            if row is not None:
                changed[row.step] = row
            elif isinstance(event, ItemCollected | ItemFailed):
                row = self._open[event.step]  # the map's; an item changes nothing of it
            if row is not None:
                data["node"] = row.node
                if row.path:
                    data["path"] = row.path
            if seq == after_seq + 1:
                if took_ms is not None:
                    data["took_ms"] = took_ms
                if actor is not None:
                    data["actor"] = actor
                if starts:
                    data["scheduled"] = [[start.step.hex(), start.node, start.path] for start in starts]
            rows.append(EventRow(seq, type(event).__name__, codec.VERSION, at, strict_json.dumps(data)))
        for start in starts:
            changed[start.step] = self._schedule(start, seq=after_seq + 1, at=at)
        return Recorded(rows, list(changed.values()))

    def _schedule(self, start: StartStep, *, seq: int, at: datetime) -> StepRow:
        row = StepRow(
            step=start.step,
            node=start.node,
            path=start.path,
            status=Step.Status.RUNNING,
            attempt=start.attempt,
            scheduled_seq=seq,
            scheduled_at=at,
        )
        self._open[start.step] = row
        return row

    def _change(self, event: Event, *, seq: int, at: datetime, took_ms: float | None) -> StepRow | None:
        match event:
            case StepCompleted(items=None):
                return self._finish(event.step, Step.Status.COMPLETED, seq, at, took_ms, attempt=event.attempt)
            case StepCompleted():
                return self._open[event.step]  # a map is over when its items are
            case MapClosed():
                return self._finish(event.step, Step.Status.COMPLETED, seq, at)
            case StepFailed():
                row = self._finish(event.step, Step.Status.FAILED, seq, at, took_ms, error=event.error)
                if event.route is None:
                    self._open[event.step] = row
                return row
            case BranchFrozen():
                return self._freeze(event, seq, at)
            case MapFailed():
                return self._finish(event.step, Step.Status.FAILED, seq, at, error=event.error)
            case StepCancelled():
                return self._finish(event.step, Step.Status.CANCELLED, seq, at)
            case StepRescheduled():
                return self._restart(event)
            case _:
                return None

    def _finish(
        self,
        step: StepId,
        status: str,
        seq: int,
        at: datetime,
        took_ms: float | None = None,
        **changes: Any,
    ) -> StepRow:
        error: Failure | None = changes.pop("error", None)
        return replace(
            self._open.pop(step),
            status=status,
            finished_seq=seq,
            finished_at=at,
            started_at=None if took_ms is None else at - timedelta(milliseconds=took_ms),
            error="" if error is None else strict_json.dumps(codec.failure_to_data(error)),
            **changes,
        )

    def _freeze(self, event: BranchFrozen, seq: int, at: datetime) -> StepRow:
        known = self._open.get(event.step)
        if known is None:  # a join that could not merge: it never ran
            known = StepRow(
                step=event.step,
                node=event.node,
                path=event.path,
                status=Step.Status.FAILED,
                attempt=1,
                scheduled_seq=seq,
                scheduled_at=at,
            )
        row = replace(
            known,
            status=Step.Status.FAILED,
            finished_seq=seq,
            finished_at=at,
            error=strict_json.dumps(codec.failure_to_data(event.error)),
        )
        self._open[event.step] = row
        return row

    def _restart(self, event: StepRescheduled) -> StepRow:
        row = replace(
            self._open[event.step],
            status=Step.Status.RUNNING,
            attempt=event.attempt,
            finished_seq=None,
            finished_at=None,
            started_at=None,
            error="",
        )
        self._open[event.step] = row
        return row
