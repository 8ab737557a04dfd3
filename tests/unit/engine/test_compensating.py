"""Undoing what a run did (rule R24)."""

from __future__ import annotations

from typing import Any

import pytest

from runs.engine import ids, in_flight, view
from runs.engine.decisions import StartStep
from runs.engine.events import (
    BreakpointsSet,
    CompensationStarted,
    Failure,
    RunCancelled,
    RunFailed,
    RunPaused,
    RunResumed,
    RunStopped,
    RunTimedOut,
    StateEdited,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepReleased,
    StepRescheduled,
)
from tests.unit.engine.driving import Run, assert_recovers_at_every_cut

Json = Any


def undoable(**node: Json) -> Json:
    return {"compensate": {"tool": "undo", "inputs": {"what": "= result.id", "seen": "= n"}}, **node}


BOOKING = {
    # hotel ── flight ── note ── pay
    "hotel": undoable(next="flight"),
    "flight": undoable(next="note"),
    "note": {"next": "pay"},
    "pay": {"compensate": "refund"},
}


def booked(**options: Json) -> Run:
    """At `pay`, with a hotel and a flight booked."""
    run = Run(BOOKING, start="hotel", reducers={}, **options)
    run.give("hotel", {"id": "h", "n": 1})
    run.give("flight", {"id": "f", "n": 2})
    run.give("note")
    return run


def current(run: Run) -> tuple[str, Json]:
    """The node and the inputs of the compensation in flight."""
    (start,) = run.running.values()
    phase = run.state.compensating
    assert phase is not None
    assert start.compensates == phase.current.step
    assert start.step == ids.compensation(phase.current.step)
    assert in_flight(run.state) == (start,)
    return start.node, phase.current.inputs


def test_a_failed_run_undoes_its_steps_the_last_one_first_and_then_has_failed() -> None:
    run = booked()
    assert run.fail("pay")[1:] == (CompensationStarted(reason="failed"),)
    assert (run.status, current(run)) == ("running", ("flight", {"what": "f", "seen": 2}))
    run.give("flight", {"n": 99})
    assert (run.status, current(run)) == ("running", ("hotel", {"what": "h", "seen": 1}))
    assert isinstance(run.give("hotel", {"id": 1}, goto=("nowhere",))[-1], RunFailed)
    assert run.errors == [("pay", "ValueError")]
    assert run.status == "failed"
    assert_recovers_at_every_cut(run)


def test_the_inputs_are_recorded_when_the_step_completes() -> None:
    run = Run({"s": undoable(outputs={"n": "= result.n"}), "t": {}})
    (completed, *_) = run.give("s", {"id": 7, "n": 3})
    assert completed.compensation == {"what": 7, "seen": 3}
    assert run.status == "completed"


def test_inputs_that_cannot_be_evaluated_fail_the_step() -> None:
    run = Run({"s": undoable()})
    run.give("s", {})
    assert run.errors == [("s", "ExpressionError")]


def test_a_node_that_names_a_tool_alone_undoes_with_no_inputs() -> None:
    run = Run({"s": {"compensate": "undo", "next": "t"}, "t": {}})
    run.give("s")
    run.fail("t")
    assert current(run) == ("s", {})


def test_a_run_without_anything_to_undo_fails_and_can_be_opened_again() -> None:
    run = Run(BOOKING, start="hotel", reducers={})
    run.fail("hotel")
    assert run.status == "failed"
    run.reopen()
    run.give("hotel", {"id": "h", "n": 1})
    run.fail("flight")
    assert current(run) == ("hotel", {"what": "h", "seen": 1})
    run.give("hotel")
    assert run.status == "failed"
    assert run.reopen() == ()
    assert_recovers_at_every_cut(run)


def test_a_compensation_that_fails_is_told_of_behind_the_errors_of_the_run_and_the_others_go_on() -> None:
    run = booked()
    pay = run.start("pay").step
    run.fail("pay")
    flight = run.start("flight").step
    run.fail("flight", "OSError")
    assert current(run)[0] == "hotel"
    hotel = run.start("hotel").step
    run.fail("hotel", "KeyError")
    (failed,) = [event for event in run.events if isinstance(event, RunFailed)]
    assert [(step, node, error.type) for step, node, error in failed.errors] == [
        (pay, "pay", "ValueError"),
        (flight, "flight", "OSError"),
        (hotel, "hotel", "KeyError"),
    ]
    assert_recovers_at_every_cut(run)


def test_a_handler_of_the_node_does_not_take_the_error_of_its_compensation() -> None:
    run = Run({"s": {"compensate": "undo", "next": "t", "on_error": "t"}, "t": {}})
    run.give("s")
    run.fail("t")
    run.fail("s")
    assert run.errors == [("s", "ValueError"), ("t", "ValueError")]


def test_a_run_that_is_cancelled_at_once_undoes_and_is_then_over() -> None:
    run = booked()
    pay = run.start("pay").step
    assert run.feed(RunCancelled())[1:] == (
        StepCancelled(step=pay, node="pay"),
        CompensationStarted(reason="cancelled"),
    )
    assert run.feed(StepCompleted(step=pay)) == ()
    assert run.nodes == ["flight"]
    run.give("flight")
    assert run.give("hotel")[-1] == RunStopped()
    assert run.status == "cancelled"
    assert_recovers_at_every_cut(run)


def test_a_run_that_is_cancelled_gracefully_undoes_what_ended_meanwhile_too() -> None:
    run = Run({"s": {"next": ["a", "b"]}, "a": {"compensate": "undo", "next": "c"}, "b": {"next": "c"}, "c": {}})
    run.give("s")
    run.feed(RunCancelled(graceful=True))
    run.give("a")
    assert run.nodes == ["b"]
    run.fail("b")
    assert current(run) == ("a", {})
    assert run.give("a")[-1] == RunStopped()
    assert run.status == "cancelled"
    assert_recovers_at_every_cut(run)


def test_a_run_that_undoes_is_neither_cancelled_nor_edited_nor_out_of_time() -> None:
    run = booked()
    run.fail("pay")
    for outcome in (
        RunCancelled(),
        RunCancelled(graceful=True),
        RunTimedOut(limit_s=1),
        StateEdited(values={"n": 1}),
    ):
        assert run.feed(outcome) == ()
    assert run.reopen() == ()
    assert run.feed(BreakpointsSet(breakpoints=({"id": "b"},)))
    assert current(run)[0] == "flight"


def test_a_run_whose_time_is_over_undoes() -> None:
    run = booked()
    run.feed(RunTimedOut(limit_s=1))
    assert current(run)[0] == "flight"


def test_a_compensation_runs_again_as_its_next_attempt() -> None:
    run = booked()
    run.fail("pay")
    start = run.start("flight")
    run.feed(StepRescheduled(step=start.step, attempt=2, reason="its worker died"))
    assert run.start("flight").attempt == 2
    assert run.feed(StepFailed(step=start.step, attempt=1, error=Failure(type="Late", message=""))) == ()
    assert current(run)[0] == "flight"
    assert_recovers_at_every_cut(run)


def test_a_compensation_sees_nothing_of_the_run() -> None:
    run = booked()
    run.fail("pay")
    assert dict(view(run.state, run.start("flight").step)) == {"state": {}}


def test_a_pause_holds_compensations_like_other_steps() -> None:
    run = booked()
    run.feed(RunPaused())
    run.fail("pay")
    assert (run.status, run.nodes) == ("running", [])
    run.feed(StepReleased(mode="over"))
    assert current(run)[0] == "flight"
    run.feed(RunPaused(held=(run.start("flight").step,)))
    assert run.nodes == []
    run.feed(StepReleased())
    run.give("flight")
    assert (run.status, run.nodes) == ("running", [])
    run.feed(StepReleased(mode="out"))
    assert current(run)[0] == "hotel"
    assert not run.state.is_paused
    run.feed(RunPaused(held=(run.start("hotel").step,)))
    run.feed(RunResumed())
    run.give("hotel")
    assert run.status == "failed"
    assert_recovers_at_every_cut(run)


def test_no_limit_counts_compensations() -> None:
    run = booked(limits={"max_steps": 4, "max_iterations": 1})
    run.fail("pay")
    run.give("flight")
    run.give("hotel")
    assert (run.errors, run.state.scheduled) == ([("pay", "ValueError")], 4)


@pytest.mark.parametrize("options", [{}, {"on_failure": "stop"}])
def test_what_ran_in_items_of_closed_and_open_maps_is_undone(options: Json) -> None:
    """
    s ══ [1, 2] ══► w      t ══ [1, 2] ══► v ── x
    """
    run = Run(
        {
            "s": {"compensate": "undo", "next": {"map": "= [1, 2]", "to": "w", "join": "t"}},
            "w": {"compensate": {"tool": "undo", "inputs": {"item": "= item", "at": "= index"}}},
            "t": {"next": {"map": "= [1, 2]", "to": "v", "join": "end"}},
            "v": {"compensate": "undo", "next": "x"},
            "x": {},
        },
        **options,
    )
    run.give("s")
    run.give("s[1].w")
    run.give("s[0].w")
    t = run.start("t").step
    run.give("t")
    run.give("t[0].v")
    run.fail("t[0].x")
    run.give("t[1].v")
    if not options:
        run.fail("t[1].x")
    else:
        assert StepCancelled(step=t, node="t") in run.events
    undone = []
    while run.running:
        (start,) = run.running.values()
        undone.append((f"{start.path}.{start.node}".lstrip("."), current(run)[1], start.items))
        run.give(undone[-1][0])
    assert undone == [
        ("t[1].v", {}, ()),
        ("t[0].v", {}, ()),
        ("s[0].w", {"item": 1, "at": 0}, ()),
        ("s[1].w", {"item": 2, "at": 1}, ()),
        ("s", {}, ()),
    ]
    assert run.status == "failed"
    assert_recovers_at_every_cut(run)


def test_steps_of_branches_that_a_join_cancelled_are_undone_too() -> None:
    run = Run(
        {
            "s": {"next": ["a", "b"]},
            "a": {"compensate": "undo", "next": "c"},
            "c": {"next": "j"},
            "b": {"next": "j"},
            "j": {"join": "any"},
        }
    )
    run.give("s")
    run.give("a")
    run.give("b")
    run.fail("j")
    assert current(run) == ("a", {})


def test_every_turn_of_a_loop_is_undone() -> None:
    run = Run(
        {"s": {"compensate": {"tool": "undo", "inputs": {"n": "= n"}}, "next": "s"}},
        reducers={"n": "add"},
        state={"n": 0},
        limits={"max_iterations": 3},
    )
    for _ in range(3):
        run.give("s", {"n": 1})
    undone = []
    while run.running:
        undone.append(current(run)[1]["n"])
        run.give("s")
    assert undone == [3, 2, 1]
    assert run.errors == [("s", "LimitExceeded")]


def test_a_run_that_completes_undoes_nothing() -> None:
    run = booked()
    run.give("pay")
    assert (run.status, run.running) == ("completed", {})
    assert not any(isinstance(event, CompensationStarted) for event in run.events)


def test_a_step_whose_write_is_refused_is_not_undone() -> None:
    run = Run({"s": {"compensate": "undo"}}, reducers={"n": "add"}, state={"n": 0})
    start: StartStep = run.start("s")
    run.feed(StepCompleted(step=start.step, update={"n": "x"}, compensation={}))
    assert run.errors == [("s", "ReducerError")]
    assert run.state.compensating is None
