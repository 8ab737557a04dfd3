"""Pausing, resuming, and going on step by step (rule R21)."""

from __future__ import annotations

from typing import Any

import pytest

from runs.engine import in_flight
from runs.engine.events import (
    BranchFrozen,
    RunCancelled,
    RunPaused,
    RunResumed,
    RunTimedOut,
    StepCancelled,
    StepCompleted,
    StepReleased,
)
from tests.unit.engine.driving import Run, assert_recovers_at_every_cut, forked

Json = Any

MAPS = {
    # s ══ [1, 2] ══► w ══ [1, 2] ══► v ──► x      y after w's map, in the item; z after s's
    "s": {"next": {"map": "= [1, 2]", "to": "w", "join": "z"}},
    "w": {"next": {"map": "= [1, 2]", "to": "v", "join": "y"}},
    "v": {"next": "x"},
    "x": {"next": "y"},
    "y": {"next": "z"},
    "z": {"next": "e"},
    "e": {},
}


def released(run: Run, *steps: bytes, mode: Any = "into") -> list[str]:
    """Where steps are in flight after the release."""
    assert run.feed(StepReleased(steps=steps, mode=mode))
    return run.nodes


def step_at(run: Run, node: str, path: str = "") -> bytes:
    """The step of the only branch at a node, held or not."""
    found = [b.id for b in run.state.branches.values() if b.node_plan.name == node and b.scope.path == path]
    assert len(found) == 1
    return found[0]


def test_a_paused_run_takes_in_what_is_in_flight_and_starts_nothing_new() -> None:
    run = forked()
    run.feed(RunPaused(reason="lunch"))
    run.give("b", {"log": "b"})
    assert run.nodes == ["a"]
    run.give("a", {"log": "a"})
    assert (run.status, run.nodes, in_flight(run.state)) == ("running", [], ())
    run.feed(RunResumed())
    assert run.nodes == ["c"]
    run.give("c", {"log": "c"})
    assert run.seen("j") == {"log": ["s", "a", "b", "c"]}
    assert_recovers_at_every_cut(run)


def test_steps_that_nobody_has_called_yet_are_held_and_counted_once() -> None:
    run = forked(limits={"max_steps": 5})
    a, b = run.start("a"), run.start("b")
    run.feed(RunPaused(held=(a.step, b"0123456789")))
    assert run.nodes == ["b"]
    assert run.feed(StepCompleted(step=a.step, route=("j",))) == ()
    run.feed(RunPaused(held=(b.step,)))
    assert run.nodes == []
    assert run.state.scheduled == 3
    run.feed(RunResumed())
    assert [run.start("a"), run.start("b")] == [a, b]
    run.play({})
    assert (run.status, run.state.scheduled) == ("completed", 5)
    assert_recovers_at_every_cut(run)


def test_what_changes_nothing_of_a_pause_leaves_no_event() -> None:
    run = forked()
    assert run.feed(RunResumed()) == ()
    assert run.feed(StepReleased()) == ()
    assert run.feed(RunPaused())
    assert run.feed(RunPaused(reason="again")) == ()
    assert run.feed(StepReleased()) == ()
    run.give("b")
    assert run.feed(StepReleased(steps=(run.start("a").step,))) == ()
    assert run.feed(RunResumed())


def test_a_run_whose_last_branch_ends_completes_although_it_is_paused() -> None:
    run = Run({"s": {}})
    run.feed(RunPaused())
    run.give("s")
    assert run.status == "completed"


def test_a_paused_run_with_something_frozen_fails_when_nothing_is_held() -> None:
    run = Run({"s": {}})
    run.feed(RunPaused())
    run.fail("s")
    assert run.errors == [("s", "ValueError")]
    assert_recovers_at_every_cut(run)


def test_a_paused_run_with_something_held_has_not_failed_yet() -> None:
    run = forked()
    run.feed(RunPaused())
    run.fail("a")
    run.give("b")
    assert run.status == "running"
    run.feed(RunResumed())
    run.give("c")
    assert run.errors == [("a", "ValueError")]


def test_a_run_that_stops_on_failures_fails_although_it_is_paused() -> None:
    run = forked(on_failure="stop")
    run.feed(RunPaused())
    run.fail("a")
    run.give("b")
    assert run.status == "failed"
    assert_recovers_at_every_cut(run)


def test_a_run_that_stops_on_failures_still_runs_the_steps_it_had_given_out_before() -> None:
    run = forked(on_failure="stop")
    run.feed(RunPaused(held=(run.start("b").step,)))
    run.fail("a")
    assert run.status == "running"
    run.feed(RunResumed())
    assert run.nodes == ["b"]
    run.give("b")
    assert (run.status, run.nodes) == ("failed", [])
    assert_recovers_at_every_cut(run)


@pytest.mark.parametrize("options", [{}, {"on_failure": "stop"}])
def test_what_is_retried_in_a_paused_run_is_held(options: Json) -> None:
    run = forked(**options)
    a = run.start("a").step
    run.fail("b")
    run.feed(RunPaused())
    run.fail("a")
    assert run.status == "failed"
    assert run.feed(RunPaused()) == run.feed(RunResumed()) == ()
    run.reopen(a)
    assert (run.status, run.nodes) == ("running", [])
    run.feed(RunResumed())
    assert run.start("a").attempt == 2
    assert run.nodes == ["a"]
    run.reopen()
    assert run.nodes == ["a", "b"]
    assert run.state.scheduled == 3
    assert_recovers_at_every_cut(run)


def test_a_branch_at_a_limit_is_asked_again_when_the_pause_is_over() -> None:
    run = forked(limits={"max_steps": 3})
    run.feed(RunPaused())
    run.give("b")
    run.give("a")
    run.feed(RunResumed())
    assert run.errors == [("c", "LimitExceeded")]


def test_of_the_steps_released_together_none_starts_behind_one_at_a_limit_that_stops_the_run() -> None:
    run = Run({"s": {"next": ["a", "b"]}, "a": {}, "b": {}}, limits={"max_steps": 1}, on_failure="stop")
    run.feed(RunPaused())
    run.give("s")
    run.feed(StepReleased())
    assert run.errors == [("a", "LimitExceeded")]
    assert_recovers_at_every_cut(run)


def test_a_held_item_that_comes_to_a_limit_is_over() -> None:
    run = Run({"s": {"next": {"map": "= [1]", "to": "w", "join": "end"}}, "w": {}}, limits={"max_steps": 1})
    run.feed(RunPaused())
    run.give("s")
    assert run.status == "running"
    run.feed(StepReleased())
    assert run.errors == [("s", "MapFailed"), ("w", "LimitExceeded")]
    assert_recovers_at_every_cut(run)


def test_what_is_held_freezes_when_the_time_of_the_run_is_over() -> None:
    run = forked()
    run.feed(RunPaused(held=(run.start("a").step,)))
    run.give("b")
    events = run.feed(RunTimedOut(limit_s=1))
    assert sorted(event.node for event in events if isinstance(event, BranchFrozen)) == ["a", "c"]
    assert run.status == "failed"
    run.reopen()
    run.feed(RunResumed())
    assert run.nodes == ["a", "c"]
    assert (run.start("a").attempt, run.start("c").attempt, run.state.scheduled) == (2, 1, 4)
    assert_recovers_at_every_cut(run)


def test_the_time_of_a_run_freezes_nothing_that_its_stop_on_failures_holds() -> None:
    run = forked(on_failure="stop")
    run.fail("a")
    run.feed(RunTimedOut(limit_s=1))
    assert run.errors == [("a", "ValueError"), ("b", "RunTimedOut")]


def test_a_held_step_that_had_been_given_out_is_cancelled_with_the_run() -> None:
    run = forked()
    a = run.start("a").step
    run.feed(RunPaused(held=(a,)))
    run.give("b")
    assert run.feed(RunCancelled())[1:] == (StepCancelled(step=a, node="a"),)


# --------------------------------------------------------------------------- step by step


def test_a_released_step_runs_and_what_follows_is_held_again() -> None:
    run = Run({"s": {"next": "a"}, "a": {"next": ["b", "c"]}, "b": {}, "c": {}})
    run.feed(RunPaused(held=(run.start("s").step,)))
    assert released(run) == ["s"]
    run.give("s")
    assert released(run) == ["a"]
    run.give("a")
    assert run.nodes == []
    assert released(run, step_at(run, "c")) == ["c"]
    run.give("c")
    assert released(run) == ["b"]
    run.give("b")
    assert run.status == "completed"
    assert_recovers_at_every_cut(run)


def test_stepping_into_a_map_holds_its_items() -> None:
    run = Run(MAPS)
    run.feed(RunPaused(held=(run.start("s").step,)))
    released(run)
    run.give("s")
    assert run.nodes == []
    assert released(run) == ["s[0].w", "s[1].w"]


def test_stepping_over_a_map_runs_its_items_at_any_depth_and_holds_behind_it() -> None:
    run = Run(MAPS)
    run.feed(RunPaused(held=(run.start("s").step,)))
    released(run, mode="over")
    run.play({})
    assert run.status == "running"
    assert released(run) == ["z"]
    run.give("z")
    assert run.nodes == []
    assert_recovers_at_every_cut(run)


def test_stepping_over_an_item_s_step_holds_the_others() -> None:
    run = Run(MAPS)
    run.feed(RunPaused())
    run.give("s")
    released(run, step_at(run, "w", "s[0]"), mode="over")
    run.play({})
    assert [b.node_plan.name for b in run.state.branches.values()] == ["s", "w", "y"]
    assert_recovers_at_every_cut(run)


def test_stepping_out_runs_the_rest_of_the_innermost_scope() -> None:
    run = Run(MAPS)
    run.feed(RunPaused())
    run.give("s")
    released(run)
    run.give("s[0].w")
    run.give("s[1].w")
    assert run.nodes == []
    assert released(run, step_at(run, "v", "s[0].w[1]"), mode="out") == ["s[0].w[1].v"]
    run.play({})
    assert sorted(b.scope.path for b in run.state.branches.values() if b.node_plan.name == "v") == [
        "s[0].w[0]",
        "s[1].w[0]",
        "s[1].w[1]",
    ]
    assert_recovers_at_every_cut(run)


def test_stepping_out_frees_what_is_open_inside_the_scope_too() -> None:
    run = Run({**MAPS, "s": {"next": {"map": "= [1]", "to": ["w", "x"], "join": "z"}}})
    run.feed(RunPaused())
    run.give("s")
    released(run, step_at(run, "w", "s[0]"))
    run.give("s[0].w")
    assert released(run, step_at(run, "x", "s[0]"), mode="out") == ["s[0].w[0].v", "s[0].w[1].v", "s[0].x"]
    run.play({})
    assert [b.node_plan.name for b in run.state.branches.values()] == ["z"]
    assert_recovers_at_every_cut(run)


def test_stepping_out_of_the_root_resumes_the_run() -> None:
    run = forked()
    run.feed(RunPaused(held=(run.start("a").step,)))
    run.give("b")
    assert released(run, step_at(run, "c"), mode="out") == ["a", "c"]
    assert not run.state.is_paused


@pytest.mark.parametrize("cut", [RunPaused(), RunResumed()])
def test_a_new_pause_ends_all_freedom(cut: RunPaused | RunResumed) -> None:
    run = Run(MAPS)
    run.feed(RunPaused(held=(run.start("s").step,)))
    released(run, mode="over")
    run.give("s")
    run.give("s[0].w")
    assert run.nodes == ["s[0].w[0].v", "s[0].w[1].v", "s[1].w"]
    assert run.feed(cut)
    run.feed(RunPaused())
    run.give("s[0].w[0].v")
    run.give("s[1].w")
    assert run.nodes == ["s[0].w[1].v"]
    assert_recovers_at_every_cut(run)
