"""Cancelling a run, at once and gracefully (rule R23)."""

from __future__ import annotations

from typing import Any

import pytest

from runs.engine import ids, in_flight
from runs.engine.events import (
    AttemptFailed,
    ChildStarted,
    Failure,
    RunCancelled,
    RunPaused,
    RunReopened,
    RunResumed,
    RunStopped,
    RunTimedOut,
    StepCancelled,
    StepCompleted,
    StepReleased,
    StepRescheduled,
    StepWaiting,
)
from tests.unit.engine.driving import Run, assert_recovers_at_every_cut, compiled, forked

Json = Any

BROKEN = Failure(type="OSError", message="No route to host.")
GRACEFUL = RunCancelled(graceful=True)


def test_a_run_that_ends_gracefully_takes_in_what_is_in_flight_and_starts_nothing_new() -> None:
    run = forked()
    assert run.feed(RunCancelled(reason="enough", graceful=True)) == (RunCancelled(reason="enough", graceful=True),)
    assert (run.status, run.nodes) == ("running", ["a", "b"])
    run.give("b", {"log": "b"})
    assert run.nodes == ["a"]
    assert run.give("a", {"log": "a"})[-1] == RunStopped()
    assert (run.status, in_flight(run.state)) == ("cancelled", ())
    assert_recovers_at_every_cut(run)


def test_a_run_whose_last_branch_ends_meanwhile_has_completed() -> None:
    run = Run({"s": {}})
    run.feed(GRACEFUL)
    run.give("s")
    assert run.status == "completed"


def test_a_failure_meanwhile_leaves_the_run_cancelled() -> None:
    run = forked()
    run.fail("a")
    run.feed(GRACEFUL)
    assert run.feed(RunReopened()) == ()
    run.fail("b")
    assert run.status == "cancelled"
    assert run.feed(RunReopened()) == ()
    assert_recovers_at_every_cut(run)


def test_a_run_with_nothing_in_flight_ends_gracefully_at_once() -> None:
    run = forked()
    run.feed(RunPaused())
    run.give("a")
    run.give("b")
    assert run.feed(GRACEFUL) == (GRACEFUL, RunStopped())


def test_a_step_that_was_given_out_and_is_held_uncalled_is_cancelled_at_once() -> None:
    run = forked()
    a = run.start("a").step
    run.feed(RunPaused(held=(a,)))
    assert run.feed(GRACEFUL) == (GRACEFUL, StepCancelled(step=a, node="a"))
    assert run.feed(StepReleased()) == ()
    run.feed(RunResumed())
    assert run.nodes == ["b"]
    run.give("b")
    assert run.status == "cancelled"
    assert_recovers_at_every_cut(run)


def test_a_step_that_only_waits_is_cancelled_at_once() -> None:
    run = forked()
    a = run.start("a").step
    run.feed(StepWaiting(step=a, wait={"signal": "paid"}))
    assert run.feed(GRACEFUL) == (GRACEFUL, StepCancelled(step=a, node="a"))
    assert (run.status, run.nodes, run.state.waiting) == ("running", ["b"], 0)
    run.give("b")
    assert run.status == "cancelled"
    assert_recovers_at_every_cut(run)


def test_a_step_that_comes_to_wait_meanwhile_is_cancelled() -> None:
    run = forked()
    run.feed(GRACEFUL)
    a = run.start("a").step
    waiting = StepWaiting(step=a, wait={"signal": "paid"})
    assert run.feed(waiting) == (waiting, StepCancelled(step=a, node="a"))
    assert (run.status, run.nodes, run.state.waiting) == ("running", ["b"], 0)
    run.give("b")
    assert run.status == "cancelled"
    assert_recovers_at_every_cut(run)


def test_an_attempt_that_fails_meanwhile_is_the_last() -> None:
    run = forked()
    run.feed(GRACEFUL)
    a = run.start("a").step
    failed = AttemptFailed(step=a, error=BROKEN, retry_at="2026-11-25T09:30:00Z")
    assert run.feed(failed) == (failed, StepCancelled(step=a, node="a"))
    assert run.nodes == ["b"]
    run.feed(StepCompleted(step=a, attempt=2))
    run.give("b")
    assert run.status == "cancelled"
    assert_recovers_at_every_cut(run)


def test_a_step_whose_worker_dies_meanwhile_runs_again() -> None:
    run = forked()
    run.feed(GRACEFUL)
    run.feed(StepRescheduled(step=run.start("a").step, attempt=2, reason="its worker died"))
    assert (run.nodes, run.start("a").attempt) == (["a", "b"], 2)
    assert_recovers_at_every_cut(run)


@pytest.mark.parametrize("cancelled", [RunCancelled(), GRACEFUL])
def test_cancelling_reaches_steps_that_wait_or_are_held_in_subgraphs(cancelled: RunCancelled) -> None:
    child = compiled({"a": {"next": ["b", "c", "d"]}, "b": {}, "c": {}, "d": {}}, start="a")
    run = Run({"s": {"graph": "child"}}, children={"child": child})
    run.give("s.a", {})
    b, c, d = (run.start(f"s.{node}").step for node in "bcd")
    run.feed(StepWaiting(step=b, wait={}))
    run.feed(RunPaused(held=(c,)))
    told = {event.step for event in run.feed(cancelled) if isinstance(event, StepCancelled)}
    if cancelled.graceful:
        assert (told, run.status, run.nodes) == ({b, c}, "running", ["s.d"])
        assert run.give("s.d")[1:] == (StepCancelled(step=ids.first(), node="s"), RunStopped())
    else:
        assert told == {b, c, d, ids.first()}
    assert (run.status, in_flight(run.state), run.state.waiting) == ("cancelled", (), 0)
    assert_recovers_at_every_cut(run)


def test_a_subgraph_that_is_over_meanwhile_ends_its_step_and_one_that_opens_starts_nothing() -> None:
    child = compiled({"a": {}}, start="a")
    run = Run({"s": {"graph": "child", "next": "t"}, "t": {}}, children={"child": child})
    run.feed(GRACEFUL)
    run.give("s.a", {})
    assert run.status == "cancelled"
    assert [event.step for event in run.events if isinstance(event, StepCompleted)] == [
        ids.child(ids.first(), 1),
        ids.first(),
    ]
    assert_recovers_at_every_cut(run)

    late = Run({"s": {}}, children={"child": child})
    late.feed(GRACEFUL)
    late.state.plans["child"] = child
    opened = ChildStarted(step=ids.first(), graph="child", digest="child", state={})
    assert late.feed(opened) == (opened, StepCancelled(step=ids.first(), node="s"), RunStopped())
    assert_recovers_at_every_cut(late)


def test_a_subgraph_that_is_to_be_tried_again_meanwhile_is_not() -> None:
    child = compiled({"a": {"next": ["b", "c"]}, "b": {}, "c": {}}, start="a")
    run = Run({"s": {"graph": "child"}}, children={"child": child})
    run.give("s.a", {})
    run.feed(GRACEFUL)
    run.feed(AttemptFailed(step=ids.first(), error=BROKEN, retry_at=""))
    assert (run.status, run.nodes) == ("cancelled", [])
    assert_recovers_at_every_cut(run)


def test_a_run_that_ends_gracefully_can_still_be_cancelled_at_once() -> None:
    run = forked()
    run.feed(GRACEFUL)
    assert run.feed(GRACEFUL) == ()
    run.give("b")
    a = run.start("a").step
    assert run.feed(RunCancelled()) == (RunCancelled(), StepCancelled(step=a, node="a"))
    assert run.status == "cancelled"
    assert run.feed(RunCancelled()) == ()
    assert_recovers_at_every_cut(run)


def test_the_time_of_a_run_may_end_it_before_its_steps_do() -> None:
    run = forked()
    run.feed(GRACEFUL)
    run.feed(RunTimedOut(limit_s=1))
    assert run.status == "cancelled"


def test_open_maps_are_told_of_when_the_run_is_over() -> None:
    run = Run(
        {
            "s": {"next": {"map": "= [1, 2]", "to": "w", "join": "end", "collect": {"k": "= 1"}}},
            "w": {"next": "v"},
            "v": {},
        }
    )
    s = run.start("s").step
    run.give("s")
    run.feed(GRACEFUL)
    run.give("s[0].w")
    assert run.give("s[1].w")[1:] == (StepCancelled(step=s, node="s"), RunStopped())
    assert_recovers_at_every_cut(run)
