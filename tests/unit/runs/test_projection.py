"""Step rows, as they follow from the journal."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runs.engine import advance, fork
from runs.engine.events import (
    AttemptFailed,
    BreakpointHit,
    BreakpointsSet,
    Failure,
    Outcome,
    PartRecorded,
    RunCancelled,
    RunPaused,
    RunResumed,
    RunStarted,
    RunTimedOut,
    StepCompleted,
    StepFailed,
    StepMoved,
    StepRescheduled,
    StepWaiting,
)
from runs.engine.ids import first
from runs.projection import Projection, Provenance, Recorded
from runs.store.writes import StepRow
from tests.unit.engine.driving import Run, compiled

AT = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
ERROR = Failure(type="OSError", message="No route to host.")
FAILED = AttemptFailed(step=first(), error=ERROR, retry_at="2026-11-23T09:31:00Z")
WAITING = StepWaiting(step=first(), wait={"signal": "paid"})


class Rows:
    """The rows of a run of one step, kept as a database would."""

    def __init__(self) -> None:
        self.plan = compiled({"s": {}})
        self.state = None
        self.projection = Projection()
        self.seq = 0
        self.step: StepRow
        self.feed(RunStarted(state={}))

    def feed(self, *outcomes: Outcome, at: datetime = AT) -> Recorded:
        for outcome in outcomes:
            transition = advance(self.plan, self.state, outcome)
            self.state = transition.state
            recorded = self.projection.record(transition.events, transition.decisions, after_seq=self.seq, at=at)
            self.seq += len(recorded.events)
            for row in recorded.steps:
                self.step = row
        return recorded

    def take_over(self) -> "Rows":
        self.projection = Projection([self.step])
        return self


class Recording:
    """A run whose rows are kept; a step is named by its node."""

    def __init__(self, nodes: dict[str, Any]) -> None:
        self.plan = compiled(nodes)
        self.state: Any = None
        self.projection = Projection()
        self.statuses: dict[str, str] = {}
        self.seq = 0
        self.feed(RunStarted(state={}))

    def feed(self, outcome: Outcome) -> None:
        transition = advance(self.plan, self.state, outcome)
        self.state = transition.state
        recorded = self.projection.record(transition.events, transition.decisions, after_seq=self.seq, at=AT)
        self.seq += len(recorded.events)
        self.statuses.update((row.node, row.status) for row in recorded.steps)

    def step(self, node: str) -> bytes:
        return next(branch.id for branch in self.state.branches.values() if branch.node_plan.name == node)


@pytest.fixture
def rows() -> Rows:
    return Rows()


def test_a_step_that_is_tried_again_runs_and_keeps_the_error_of_the_attempt_before(rows: Rows) -> None:
    recorded = rows.feed(FAILED)
    assert (rows.step.status, rows.step.attempt, rows.step.finished_at) == ("running", 2, None)
    assert json.loads(rows.step.error) == {"type": "OSError", "message": "No route to host."}
    data = json.loads(recorded.events[0].data)
    assert (data["node"], data["scheduled"]) == ("s", [[first().hex(), "s", ""]])


def test_the_error_is_gone_when_a_later_attempt_succeeds(rows: Rows) -> None:
    rows.feed(FAILED)
    rows.take_over().feed(StepCompleted(step=first(), attempt=2))
    assert (rows.step.status, rows.step.attempt, rows.step.error) == ("completed", 2, "")


def test_a_step_waits_and_runs_again(rows: Rows) -> None:
    recorded = rows.feed(WAITING)
    assert (rows.step.status, rows.step.attempt) == ("waiting", 1)
    assert json.loads(recorded.events[0].data)["node"] == "s"
    rows.take_over().feed(StepRescheduled(step=first(), attempt=2, reason="it was answered"))
    assert (rows.step.status, rows.step.attempt) == ("running", 2)


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (StepCompleted(step=first()), "completed"),
        (StepFailed(step=first(), error=ERROR), "failed"),
        (FAILED, "running"),
        (RunTimedOut(limit_s=1), "failed"),
        (RunCancelled(), "cancelled"),
    ],
)
def test_a_wait_has_an_end(rows: Rows, end: Outcome, status: str) -> None:
    rows.feed(WAITING)
    rows.take_over().feed(end)
    assert rows.step.status == status


def test_a_part_names_its_node_and_changes_nothing_of_the_step(rows: Rows) -> None:
    recorded = rows.feed(PartRecorded(step=first(), name="fetch", value=1))
    assert recorded.steps == []
    assert json.loads(recorded.events[0].data) == {"step": first().hex(), "name": "fetch", "value": 1, "node": "s"}


def test_a_step_that_was_given_out_and_is_held_uncalled_waits() -> None:
    run = Recording({"s": {}})
    run.feed(RunPaused(held=(run.step("s"), b"0123456789")))
    assert run.statuses == {"s": "waiting"}
    run.feed(RunResumed())
    assert run.statuses == {"s": "running"}


@pytest.mark.parametrize(
    "held", [[RunPaused(held=(first(),))], [RunPaused(), FAILED], [FAILED, RunPaused(held=(first(),))]]
)
def test_a_step_that_a_pause_held_is_scheduled_when_it_is_given_out_again(rows: Rows, held: list[Outcome]) -> None:
    later = AT + timedelta(hours=1)
    rows.feed(*held)
    assert rows.step.scheduled_at == AT
    rows.take_over().feed(RunResumed(), at=later)
    assert (rows.step.scheduled_at, rows.step.scheduled_seq) == (later, 1)


@pytest.mark.parametrize("again", [FAILED, StepRescheduled(step=first(), attempt=2, reason="it was answered")])
def test_another_attempt_of_a_step_leaves_when_it_was_scheduled(rows: Rows, again: Outcome) -> None:
    rows.feed(WAITING)
    rows.feed(again, at=AT + timedelta(hours=1))
    assert (rows.step.status, rows.step.scheduled_at) == ("running", AT)


def test_a_step_held_by_a_breakpoint_waits_and_a_map_behind_which_one_is_does_not() -> None:
    run = Recording({"s": {"next": {"map": "= [1]", "to": "w", "join": "end"}}, "w": {}})
    step = run.step("s")
    run.feed(BreakpointsSet(breakpoints=({"id": "b"},)))
    run.feed(BreakpointHit(step=step, breakpoint="b", stops=False))
    assert run.statuses == {"s": "running"}
    run.feed(BreakpointHit(step=step, breakpoint="b", stops=True))
    assert run.statuses == {"s": "waiting"}
    run.feed(RunResumed())
    run.feed(StepCompleted(step=step, items=(1,)))
    run.feed(BreakpointHit(step=step, breakpoint="b", stops=True, held=(run.step("w"),)))
    assert run.statuses == {"s": "running", "w": "waiting"}


@pytest.mark.parametrize("again", [FAILED, StepRescheduled(step=first(), attempt=2, reason="its worker died")])
def test_the_next_attempt_of_a_step_in_a_paused_run_waits_until_it_starts(rows: Rows, again: Outcome) -> None:
    rows.feed(RunPaused(), again)
    assert (rows.step.status, rows.step.attempt) == ("waiting", 2)
    error = rows.step.error
    rows.take_over().feed(RunResumed())
    assert (rows.step.status, rows.step.attempt, rows.step.error) == ("running", 2, error)


@pytest.mark.parametrize("last", [FAILED, WAITING])
def test_a_step_that_a_graceful_cancel_does_not_wait_for_is_cancelled(rows: Rows, last: Outcome) -> None:
    rows.feed(RunCancelled(graceful=True), last)
    assert rows.step.status == "cancelled"


def test_a_fork_has_rows_for_the_steps_that_are_not_over() -> None:
    run = Run({"s": {"next": ["a", "b", "c", "d"]}, "a": {}, "b": {}, "c": {"join": "all"}, "d": {}})
    run.give("s")
    run.fail("a")
    run.feed(StepRescheduled(step=run.start("b").step, attempt=3, reason="its worker died"))
    run.feed(StepWaiting(step=run.start("d").step, wait={}))
    forked = advance(run.plan, None, fork(run.state, run="other", seq=5, delay=timedelta()))
    recorded = Projection().record(
        forked.events, forked.decisions, after_seq=0, at=AT, provenance=Provenance(actor="owner")
    )
    rows = {row.node: (row.status, row.attempt, row.scheduled_seq, row.finished_seq) for row in recorded.steps}
    assert rows == {
        "a": ("failed", 1, 1, 1),
        "b": ("running", 3, 1, None),
        "c": ("running", 1, 1, None),
        "d": ("waiting", 1, 1, None),
    }
    data = json.loads(recorded.events[0].data)
    assert {node for _, node, _ in data["scheduled"]} == {"b", "c"}
    assert data["actor"] == "owner"


def test_a_step_that_moved_is_called_otherwise_from_there_on() -> None:
    rows = Rows()
    moved = StepMoved(step=first(), node="t", path="m[0]")
    recorded = rows.projection.record([moved], [], after_seq=rows.seq, at=AT)
    assert [(row.node, row.path, row.status) for row in recorded.steps] == [("t", "m[0]", "running")]
    unknown = StepMoved(step=b"0123456789", node="t")
    assert rows.projection.record([unknown], [], after_seq=rows.seq, at=AT).steps == []
