"""Is everything that is derived from a run's journal what the journal says?

The journal is read from its start, a chunk at a time, and its outcomes are fed through `advance` and `Projection` with
the journal's own times, as the driver did. What comes out must be what is stored:

* the journal: seqs without a gap, every outcome with an effect, the consequences that follow it;
* the run's head: seq, status and error;
* each snapshot: the state folded to its seq;
* each row of a step.

How many workers died in a step (`Step.crashes`) is not in the journal, so it is neither compared nor changed.

Memory goes with the state, with the number of steps (their ids), and with what is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from django.db import transaction

from graphs.errors import GraphsError
from graphs.plans import plan_of, plan_of_digest
from runs.driver.heads import final_head
from runs.engine import RunState, Transition, dump_state
from runs.engine.events import Event as EngineEvent
from runs.engine.events import StepId
from runs.errors import JournalDamaged
from runs.log import data_of
from runs.models import Event, Run, Snapshot, Step
from runs.projection import Projection, Provenance
from runs.recovery import PARKED, WITHOUT_EFFECT, advanced, event_of
from runs.store.repair import repair
from runs.store.writes import EventRow, StepRow
from tools import strict_json

CHUNK = 1_000
"""Journal entries, and step rows, that are read at a time."""
MAX_LOOKS = 5
"""How often a run that moves while it is looked at is looked at again."""

MAX_SHOWN = 120

_COLUMNS = tuple(StepRow._fields)
_FOR_PEOPLE = frozenset({"LogWritten", "MailRefused"})


@dataclass(slots=True, kw_only=True)
class Report:
    """What of a run is not as its journal says. `differences` are sentences; the rest is what a repair needs."""

    differences: list[str] = field(default_factory=list)
    wrong_steps: list[StepRow] = field(default_factory=list)
    """As they should be."""
    unknown_steps: list[StepId] = field(default_factory=list)
    """Those that have a row and are not in the journal."""
    wrong_snapshots: list[int] = field(default_factory=list)
    is_moving: bool = False
    """The run went on whenever it was looked at, so nothing can be said of it."""

    @property
    def can_be_repaired(self) -> bool:
        return bool(self.wrong_steps or self.unknown_steps or self.wrong_snapshots)


def verify_run(run: Run) -> Report:
    """Compare; nothing is changed. `run` is refreshed. Of a run that is deleted meanwhile nothing is said."""
    for _ in range(MAX_LOOKS):
        if not _refresh(run):
            return Report()
        before = _position(run)
        report = _Verification(run).report()
        if not report.differences:
            return report
        if _refresh(run) and _position(run) == before:
            return report
    return Report(is_moving=True)


def _refresh(run: Run) -> bool:
    """Whether it is still there."""
    try:
        run.refresh_from_db()
    except Run.DoesNotExist:
        return False
    return run.deleted_at is None


def repair_run(run: Run, report: Report) -> bool:
    """Write the steps and delete the snapshots that `report` found wrong; the journal and the head stay.

    False, and nothing is changed, when the run has moved since or a driver holds it, which writes the rows itself.
    """
    with transaction.atomic():
        now = Run.objects.select_for_update(of=("self",)).get(pk=run.pk)
        if now.driver_id is not None or _position(now) != _position(run):
            return False
        repair(now, steps=report.wrong_steps, unknown=report.unknown_steps, snapshots=report.wrong_snapshots)
    return True


def _position(run: Run) -> tuple[int, int, str]:
    return run.seq, run.epoch, run.status


class _Verification:
    """One pass over the journal of a run, up to the seq of its head."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._report = Report()
        self._state: RunState | None = None
        self._seq = 0
        self._concluded: list[EngineEvent] = []
        """The consequences that must come next."""
        self._parked: str | None = None
        self._error = ""
        self._steps = _Steps(run, self._report)

    def report(self) -> Report:
        try:
            self._read()
        except (JournalDamaged, GraphsError) as error:
            self._report.differences.append(f"the journal cannot be folded: {error}")
        else:
            self._compare_head()
            self._steps.end()
        return self._report

    def _read(self) -> None:
        plan = plan_of(self._run.begun_with or self._run.version)
        seqs = list(Snapshot.objects.filter(run=self._run).order_by("-seq").values_list("seq", flat=True))
        for row in _entries(self._run):
            while seqs and seqs[-1] < row.seq:
                self._compare_snapshot(seqs.pop())
            if row.seq != self._seq + 1:
                raise JournalDamaged(f"After event {self._seq} comes event {row.seq}.", seq=row.seq)
            self._seq = row.seq
            if row.type in WITHOUT_EFFECT:
                self._compare_entry(row)
            else:
                self._expect_nothing_more()
                self._take_in(row, advanced(plan, self._state, row, plan_of_digest))
        self._expect_nothing_more()
        if self._state is None:
            raise JournalDamaged("The journal is empty.")
        for seq in reversed(seqs):
            self._compare_snapshot(seq)

    def _take_in(self, row: EventRow, transition: Transition) -> None:
        self._state = transition.state
        self._concluded = list(transition.events[1:])
        self._error = final_head(transition.state.status, transition.events, at=row.at).error or self._error
        self._steps.take_in(row, transition)

    def _compare_entry(self, row: EventRow) -> None:
        """An entry that is not fed to `advance`: words for people, or what `advance` has concluded."""
        if row.type == PARKED:
            self._parked = str(data_of(row.data).get("reason", ""))
        elif row.type not in _FOR_PEOPLE:
            concluded = self._concluded.pop(0) if self._concluded else None
            if concluded is None or concluded != event_of(row):
                name = "nothing" if concluded is None else f"another {type(concluded).__name__}"
                raise JournalDamaged(f"Event {row.seq} is {row.type} where {name} follows.", seq=row.seq)

    def _expect_nothing_more(self) -> None:
        if self._concluded:
            missing = type(self._concluded[0]).__name__
            raise JournalDamaged(f"{missing} does not come after the event that led to it.", seq=self._seq)

    def _compare_head(self) -> None:
        run, differs = self._run, self._report.differences.append
        state = cast(RunState, self._state)
        status = Run.Status.FAILED.value if self._parked is not None else state.status
        if run.seq != self._seq:
            differs(f"the head is at event {run.seq} instead of {self._seq}")
        if status != (run.status if run.is_terminal else Run.Status.RUNNING):
            differs(f"the head's status is {run.status} instead of {status}")
        if not run.is_terminal:
            return
        error = self._parked if self._parked is not None else self._error if status == Run.Status.FAILED else ""
        if run.error != error:
            differs(f"the head's error is {_shown(run.error)} instead of {_shown(error)}")

    def _compare_snapshot(self, seq: int) -> None:
        state = self._state if seq == self._seq else None
        text = Snapshot.objects.filter(run=self._run, seq=seq).values_list("state", flat=True).first()
        if text is None:  # its driver has found it not worth its bytes any more
            return
        if state is None or text != strict_json.dumps(dump_state(state)):
            self._report.wrong_snapshots.append(seq)
            self._report.differences.append(f"the snapshot at event {seq} is not the state folded to there")


class _Steps:
    """The rows of steps as they come out of the journal, compared with the stored ones as soon as they are final."""

    def __init__(self, run: Run, report: Report) -> None:
        self._run = run
        self._report = report
        self._projection = Projection()
        self._known: set[StepId] = set()
        self._open: dict[StepId, StepRow] = {}
        """Those that may still change."""
        self._final: list[StepRow] = []

    def take_in(self, row: EventRow, transition: Transition) -> None:
        recorded = self._projection.record(
            transition.events,
            transition.decisions,
            after_seq=row.seq - 1,
            at=row.at,
            provenance=Provenance(json.loads(row.data).get("took_ms")),
        )
        for step in recorded.steps:
            self._keep(step)
        if len(self._final) >= CHUNK:
            self._compare()

    def end(self) -> None:
        """Nothing comes any more."""
        self._final += self._open.values()
        self._compare()
        rows = Step.objects.filter(run=self._run).order_by("scheduled_seq", "id").values_list("step", "node")
        for step, node in rows.iterator(chunk_size=CHUNK):
            if bytes(step) not in self._known:
                self._report.unknown_steps.append(bytes(step))
                self._report.differences.append(f"step {bytes(step).hex()} of {node} is not in the journal")

    def _keep(self, row: StepRow) -> None:
        self._open.pop(row.step, None)
        self._known.add(row.step)
        if self._may_change(row.step):
            self._open[row.step] = row
        else:
            self._final.append(row)

    def _may_change(self, step: StepId) -> bool:
        try:
            self._projection.row(step)
        except KeyError:
            return False
        return True

    def _compare(self) -> None:
        for start in range(0, len(self._final), CHUNK):
            expected = self._final[start : start + CHUNK]
            rows = Step.objects.filter(run=self._run, step__in=[row.step for row in expected]).values(*_COLUMNS)
            stored = {bytes(row["step"]): row for row in rows}
            for row in expected:
                self._compare_row(row, stored.get(row.step))
        self._final.clear()

    def _compare_row(self, expected: StepRow, stored: dict[str, Any] | None) -> None:
        name = f"step {expected.step.hex()} of {expected.node}"
        if stored is None:
            differences = [f"{name} has no row"]
        else:
            stored["step"] = bytes(stored["step"])
            differences = [
                f"{name} has the {column} {_shown(stored[column])} instead of {_shown(value)}"
                for column, value in expected._asdict().items()
                if stored[column] != value
            ]
        if differences:
            self._report.wrong_steps.append(expected)
            self._report.differences += differences


def _entries(run: Run) -> Iterator[EventRow]:
    """The journal up to the head's seq and whatever is stored beyond it, a chunk at a time."""
    after = -1
    while True:
        rows = Event.objects.filter(run=run, seq__gt=after).order_by("seq")[:CHUNK]
        chunk = [EventRow(*row) for row in rows.values_list("seq", "type", "v", "at", "data")]
        yield from chunk
        if len(chunk) < CHUNK:
            return
        after = chunk[-1].seq


def _shown(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    text = repr(str(value)) if isinstance(value, str) else str(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
