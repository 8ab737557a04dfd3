"""Breakpoints (rule R22)."""

from __future__ import annotations

from typing import Any

from runs.engine.events import BreakpointHit, BreakpointsSet, RunPaused, RunResumed
from tests.unit.engine.driving import Run, assert_recovers_at_every_cut

Json = Any

FIRST, SECOND = {"id": "one", "node": "a"}, {"id": "two", "node": "b", "condition": "= x > 1"}


def broken(**options: Json) -> Run:
    """s ──< a | b ── c >"""
    run = Run({"s": {"next": ["a", "b"]}, "a": {}, "b": {"next": "c"}, "c": {}}, **options)
    run.feed(BreakpointsSet(breakpoints=(FIRST, SECOND)))
    return run


def test_a_hit_that_stops_holds_the_step_that_was_not_called_yet() -> None:
    run = broken()
    run.give("s")
    a = run.start("a")
    run.feed(BreakpointHit(step=a.step, breakpoint="one", stops=True))
    assert (run.nodes, run.state.is_paused, run.state.hits) == (["b"], True, {"one": 1})
    run.give("b")
    assert run.nodes == []
    run.feed(RunResumed())
    assert run.start("a") == a
    assert_recovers_at_every_cut(run)


def test_a_hit_behind_a_step_holds_what_followed_from_it() -> None:
    run = broken()
    s = run.start("s").step
    run.give("s")
    run.feed(BreakpointHit(step=s, breakpoint="one", stops=True, held=(run.start("a").step, run.start("b").step)))
    assert (run.nodes, run.status) == ([], "running")


def test_a_step_that_is_named_twice_is_held_once() -> None:
    run = broken()
    s = run.start("s").step
    run.feed(BreakpointHit(step=s, breakpoint="one", stops=True, held=(s,)))
    assert (run.nodes, run.state.pending) == ([], 0)
    assert_recovers_at_every_cut(run)


def test_a_hit_that_does_not_stop_is_counted() -> None:
    run = broken()
    s = run.start("s").step
    for _ in range(2):
        run.feed(BreakpointHit(step=s, breakpoint="two", stops=False))
    assert (run.nodes, run.state.is_paused, run.state.hits) == (["s"], False, {"two": 2})
    assert_recovers_at_every_cut(run)


def test_a_hit_in_a_paused_run_is_counted_too() -> None:
    run = broken()
    run.feed(RunPaused())
    run.feed(BreakpointHit(step=run.start("s").step, breakpoint="one", stops=True))
    assert (run.nodes, run.state.hits) == ([], {"one": 1})


def test_the_hits_of_breakpoints_that_are_gone_are_forgotten() -> None:
    run = broken()
    s = run.start("s").step
    for id_ in ("one", "two"):
        run.feed(BreakpointHit(step=s, breakpoint=id_, stops=False))
    run.feed(BreakpointsSet(breakpoints=(SECOND,)))
    assert run.state.hits == {"two": 1}
    assert run.feed(BreakpointHit(step=s, breakpoint="one", stops=True)) == ()
    assert run.feed(BreakpointsSet(breakpoints=(SECOND,))) == ()
    assert run.feed(BreakpointsSet(breakpoints=()))
    assert (run.state.breakpoints, run.state.hits) == ((), {})
    assert_recovers_at_every_cut(run)


def test_breakpoints_may_be_set_before_a_failed_run_is_opened_again() -> None:
    run = broken()
    run.fail("s")
    assert run.feed(BreakpointsSet(breakpoints=(FIRST,)))
    assert run.state.breakpoints == (FIRST,)
    assert run.feed(BreakpointHit(step=b"0123456789", breakpoint="one", stops=True)) == ()
