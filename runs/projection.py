"""From what the engine concluded to rows: the journal's entries and the steps they change.

A step's row is derived from the journal alone, so that `verify_runs` can rebuild and compare it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from runs.engine import codec
from runs.engine.decisions import Decision, StartStep
from runs.engine.events import (
    AttemptFailed,
    BranchFrozen,
    BreakpointHit,
    ChildStarted,
    CompensationStarted,
    Event,
    Failure,
    ItemCollected,
    ItemFailed,
    MapClosed,
    MapFailed,
    MapLimited,
    PartRecorded,
    RunForked,
    RunPaused,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepId,
    StepMoved,
    StepRescheduled,
    StepWaiting,
)
from runs.engine.forking import Standing, standing
from runs.models import Step
from runs.store.writes import EventRow, StepRow
from tools import strict_json


class Recorded(NamedTuple):
    """What one transition adds to the journal and changes in the step rows."""

    events: list[EventRow]
    steps: list[StepRow]
    ended_waits: list[StepId]
    """Steps that waited, and wait no more."""


class Provenance(NamedTuple):
    """What led to a transition; its first event tells of it."""

    took_ms: float | None = None
    """How long the tool ran."""
    cached_from: str = ""
    """The step that computed its result."""
    actor: str | None = None
    """Whoever asked for it."""
    hidden: Sequence[str] = ()
    """The state keys in it that the schema of a subgraph marks secret."""


UNKNOWN = Provenance()


class Projection:
    """The rows of a run's steps that may still change: in flight, waiting, or failed and open to a retry."""

    def __init__(self, rows: Iterable[StepRow] = (), *, is_undoing: bool = False) -> None:
        """`is_undoing`: what is in flight undoes what the run did (rule R24)."""
        self._open: dict[StepId, StepRow] = {row.step: row for row in rows}
        self._is_undoing = is_undoing

    def row(self, step: StepId) -> StepRow:
        return self._open[step]

    def record(
        self,
        events: Sequence[Event],
        decisions: Iterable[Decision],
        *,
        after_seq: int,
        at: datetime,
        provenance: Provenance = UNKNOWN,
    ) -> Recorded:
        """Number `events` from `after_seq + 1`. Steps that `decisions` start are scheduled by the first event."""
        starts = [decision for decision in decisions if isinstance(decision, StartStep)]
        given_up = _given_up(events, starts)
        for start in starts if given_up else ():
            if start.step in given_up:
                self._schedule(start, seq=after_seq + 1, at=at)
        rows: list[EventRow] = []
        changed: dict[StepId, StepRow] = {}
        ended_waits: list[StepId] = []
        for seq, event in enumerate(events, after_seq + 1):
            data = codec.to_data(event)
            if isinstance(event, RunForked):
                changed |= self._take_over(event, seq=seq, at=at)
            before = self._open.get(getattr(event, "step", b""))
            row = self._change(event, seq=seq, at=at, took_ms=provenance.took_ms)
            if row is not None:
                changed[row.step] = row
                if before is not None and before.status == Step.Status.WAITING != row.status:
                    ended_waits.append(row.step)
            elif isinstance(event, ItemCollected | ItemFailed | PartRecorded | MapLimited):
                row = self._open.get(event.step)  # named, not changed
            if row is not None:
                self._name(data, row)
            if not rows:
                _tell_provenance(data, event, provenance)
                _tell_starts(data, starts)
            if isinstance(event, CompensationStarted):
                self._is_undoing = True
            for step in _held(event, starts):
                if step in self._open:
                    changed[step] = self._hold(step)
            rows.append(EventRow(seq, type(event).__name__, codec.VERSION, at, strict_json.dumps(data)))
        for start in starts:
            if start.step not in given_up:
                changed[start.step] = self._schedule(start, seq=after_seq + 1, at=at)
        return Recorded(rows, list(changed.values()), ended_waits)

    def _name(self, data: dict[str, Any], row: StepRow) -> None:
        """Say in an event's data which step it is about."""
        data["node"] = row.node
        if row.path:
            data["path"] = row.path
        if self._is_undoing:
            data["compensates"] = True

    def _schedule(self, start: StartStep, *, seq: int, at: datetime) -> StepRow:
        known = self._open.get(start.step)
        if known is not None and known.status != Step.Status.FAILED:  # another attempt of the same
            # After a pause that held it: the step's deadline begins anew.
            since = at if known.status == Step.Status.WAITING else known.scheduled_at
            row = known._replace(status=Step.Status.RUNNING, attempt=start.attempt, scheduled_at=since)
        else:
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
            case StepCompleted() | ChildStarted():
                # Over when its items are, or its subgraph is.
                row = self._open[event.step] = self._open[event.step]._replace(status=Step.Status.RUNNING)
                return row
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
            case AttemptFailed():
                return self._restart(event.step, event.attempt + 1, error=_error(event.error))
            case StepRescheduled():
                return self._restart(event.step, event.attempt)
            case StepMoved() if event.step in self._open:
                row = self._open[event.step]._replace(node=event.node, path=event.path)
                self._open[event.step] = row
                return row
            case StepWaiting():
                row = self._open[event.step] = self._open[event.step]._replace(status=Step.Status.WAITING)
                return row
            case _:
                return None

    def _take_over(self, event: RunForked, *, seq: int, at: datetime) -> dict[StepId, StepRow]:
        """The steps that were not over in the other run are scheduled anew in this one."""
        rows = {one.step: _row_of(one, seq=seq, at=at) for one in standing(event.snapshot)}
        self._open |= rows
        return rows

    def _hold(self, step: StepId) -> StepRow:
        row = self._open[step] = self._open[step]._replace(status=Step.Status.WAITING)
        return row

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
        return self._open.pop(step)._replace(
            status=status,
            finished_seq=seq,
            finished_at=at,
            started_at=None if took_ms is None else at - timedelta(milliseconds=took_ms),
            error="" if error is None else _error(error),
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
        row = known._replace(
            status=Step.Status.FAILED,
            finished_seq=seq,
            finished_at=at,
            error=_error(event.error),
        )
        self._open[event.step] = row
        return row

    def _restart(self, step: StepId, attempt: int, *, error: str = "") -> StepRow:
        row = self._open[step]._replace(
            status=Step.Status.RUNNING,
            attempt=attempt,
            finished_seq=None,
            finished_at=None,
            started_at=None,
            error=error,
        )
        self._open[step] = row
        return row


def _row_of(one: Standing, *, seq: int, at: datetime) -> StepRow:
    row = StepRow(
        step=one.step,
        node=one.node,
        path=one.path,
        status=Step.Status.WAITING if one.is_waiting else Step.Status.RUNNING,
        attempt=one.attempt,
        scheduled_seq=seq,
        scheduled_at=at,
    )
    if one.error is None:
        return row
    return row._replace(status=Step.Status.FAILED, finished_seq=seq, finished_at=at, error=_error(one.error))


def _tell_provenance(data: dict[str, Any], event: Event, provenance: Provenance) -> None:
    if provenance.took_ms is not None:
        data["took_ms"] = provenance.took_ms
    if provenance.cached_from and isinstance(event, StepCompleted):
        data["cached_from"] = provenance.cached_from
    if provenance.actor is not None:
        data["actor"] = provenance.actor
    if provenance.hidden:
        data["hidden"] = list(provenance.hidden)


def _tell_starts(data: dict[str, Any], starts: Sequence[StartStep]) -> None:
    if starts:
        data["scheduled"] = [[start.step.hex(), start.node, start.path] for start in starts]
        if any(start.compensates is not None for start in starts):
            data["undoing"] = True


def _error(failure: Failure) -> str:
    return strict_json.dumps(codec.failure_to_data(failure))


def _given_up(events: Sequence[Event], starts: Sequence[StartStep]) -> Collection[StepId]:
    """The steps that may end in the turn that starts them: a join that does not wait for them fires in it."""
    if not starts or len(events) == 1:
        return ()
    return {event.step for event in events if isinstance(event, StepCancelled)}


def _held(event: Event, starts: Iterable[StartStep]) -> tuple[StepId, ...]:
    """The steps that are under way and that a pause holds uncalled from here on."""
    match event:
        case RunPaused():
            return event.held
        case BreakpointHit(stops=True):
            return event.held or (event.step,)
        case AttemptFailed() | StepRescheduled():
            return () if any(start.step == event.step for start in starts) else (event.step,)
        case _:
            return ()
