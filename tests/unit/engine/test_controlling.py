"""What people ask of a run, where it calls graphs, waits and tries again (rules R19 to R24 together)."""

from __future__ import annotations

from typing import Any

import pytest

from graphs.plan import Plan
from runs.engine import Raised, advance, child_result, failures_of, ids, in_flight, parts_of, resolve, wait_of
from runs.engine.decisions import AwaitStep, FinishChild, StartStep
from runs.engine.events import (
    AttemptFailed,
    BreakpointHit,
    BreakpointsSet,
    ChildStarted,
    CompensationStarted,
    Failure,
    Outcome,
    PartRecorded,
    RunCancelled,
    RunFailed,
    RunPaused,
    RunReopened,
    RunResumed,
    RunStopped,
    RunTimedOut,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepReleased,
    StepRescheduled,
    StepWaiting,
)
from tests.unit.engine.driving import Run, assert_recovers_at_every_cut, compiled

Json = Any

ERROR = Failure(type="OSError", message="No route to host.")
LATER = "2026-11-25T09:30:00Z"
WAIT = {"signal": "paid"}

# child:  a ─┬─► b        s ─► g (the child) ─► e
#            └─► c
CHILD = compiled({"a": {"next": ["b", "c"]}, "b": {}, "c": {}}, start="a")
CALLING: dict[str, Json] = {"s": {"next": "g"}, "g": {"graph": "child", "next": "e"}, "e": {}}


def calling(nodes: dict[str, Json] = CALLING, **options: Json) -> Run:
    """At the step `s`."""
    return Run(nodes, children={"child": CHILD}, **options)


def inside(**options: Json) -> Run:
    """In the subgraph, at `b` and `c`."""
    run = calling(**options)
    run.give("s")
    run.give("g.a", {})
    return run


def step_at(run: Run, node: str) -> bytes:
    """The step of the only branch at a node, held or not."""
    (step,) = [branch.id for branch in run.state.branches.values() if branch.node_plan.name == node]
    return step


def release(run: Run, *nodes: str, mode: Any = "into") -> list[str]:
    """Where steps are in flight after the release."""
    assert run.feed(StepReleased(steps=tuple(step_at(run, node) for node in nodes), mode=mode))
    return run.nodes


def settle_later(run: Run, outcome: Outcome) -> FinishChild:
    """Feed what ends or blocks a subgraph, and leave the outcome of its step awaited."""
    transition = advance(run.plan, run.state, outcome)
    run.events += transition.events
    run.running.clear()
    (decision,) = transition.decisions
    assert isinstance(decision, FinishChild)
    return decision


def test_a_pause_holds_steps_inside_subgraphs() -> None:
    run = inside()
    run.feed(RunPaused(held=(step_at(run, "c"),)))
    assert run.nodes == ["g.b"]
    run.give("g.b")
    assert (run.status, run.nodes) == ("running", [])
    run.feed(RunResumed())
    assert run.nodes == ["g.c"]
    run.give("g.c")
    assert run.nodes == ["e"]
    run.give("e")
    assert (run.status, run.state.scheduled) == ("completed", 6)
    assert_recovers_at_every_cut(run)


def test_a_pause_holds_no_step_whose_subgraph_is_over() -> None:
    run, g = inside(), ids.successor(ids.first())
    run.give("g.b")
    over = settle_later(run, StepCompleted(step=step_at(run, "c")))
    assert in_flight(run.state) == (FinishChild(step=g),)
    run.feed(RunPaused(held=(g,)))
    assert in_flight(run.state) == (FinishChild(step=g),)
    run.feed(resolve(run.state, over.step, over.attempt, child_result(run.state, over.step)))
    assert (run.nodes, release(run)) == ([], ["e"])
    assert_recovers_at_every_cut(run)


def test_a_pause_holds_behind_a_subgraph_that_ends_and_inside_one_that_opens() -> None:
    run = calling()
    run.feed(RunPaused())
    run.give("s")
    assert run.nodes == []
    assert release(run, "g") == []  # its first step is held
    assert release(run, "a") == ["g.a"]
    run.give("g.a", {})
    assert release(run) == ["g.b", "g.c"]
    run.give("g.b")
    run.give("g.c")
    assert (run.nodes, release(run)) == ([], ["e"])
    assert_recovers_at_every_cut(run)


def test_stepping_over_a_subgraph_runs_all_of_it_and_holds_behind_it() -> None:
    run = calling()
    run.feed(RunPaused())
    run.give("s")
    assert release(run, "g", mode="over") == ["g.a"]
    run.give("g.a", {})
    assert run.nodes == ["g.b", "g.c"]
    run.give("g.b")
    run.give("g.c")
    assert (run.status, run.nodes) == ("running", [])
    assert release(run) == ["e"]
    assert_recovers_at_every_cut(run)


def test_stepping_out_of_a_subgraph_runs_the_rest_of_it() -> None:
    run = calling()
    run.feed(RunPaused())
    run.give("s")
    release(run, "g")
    assert release(run, "a", mode="out") == ["g.a"]
    run.give("g.a", {})
    assert run.nodes == ["g.b", "g.c"]
    run.give("g.b")
    run.give("g.c")
    assert (run.nodes, release(run)) == ([], ["e"])
    assert_recovers_at_every_cut(run)


def test_stepping_over_a_map_frees_the_subgraphs_that_its_items_open() -> None:
    run = calling({"s": {"next": {"map": "= [1, 2]", "to": "g", "join": "e"}}, "g": CALLING["g"], "e": {}})
    run.feed(RunPaused(held=(step_at(run, "s"),)))
    assert release(run, "s", mode="over") == ["s"]
    run.play({"a": lambda _: {}, "b": lambda _: {}, "c": lambda _: {}, "s": lambda _: {}})
    assert run.status == "running"
    assert release(run) == ["e"]
    assert_recovers_at_every_cut(run)


def test_a_pause_lets_a_step_wait_on() -> None:
    run = Run({"s": {"next": "t"}, "t": {}})
    s = step_at(run, "s")
    run.feed(StepWaiting(step=s, wait=WAIT))
    run.feed(RunPaused(held=(s,)))
    assert in_flight(run.state) == (AwaitStep(step=s, node="s", wait=WAIT),)
    assert run.state.only_waits
    run.give("s")
    assert (run.nodes, release(run)) == ([], ["t"])
    assert_recovers_at_every_cut(run)


def test_a_pause_holds_the_next_attempt_of_a_step_whose_wait_is_over() -> None:
    run = Run({"s": {}})
    s = step_at(run, "s")
    run.feed(PartRecorded(step=s, name="ask", value="yes"))
    run.feed(StepWaiting(step=s, wait=WAIT))
    run.feed(RunPaused())
    run.feed(StepRescheduled(step=s, attempt=2, reason="it was answered"))
    assert (run.nodes, run.state.waiting, wait_of(run.state, s)) == ([], 0, None)
    run.feed(RunResumed())
    assert (run.start("s").attempt, parts_of(run.state, s)) == (2, {"ask": "yes"})
    assert_recovers_at_every_cut(run)


def test_a_pause_holds_the_next_attempt_of_a_step_that_failed() -> None:
    run = Run({"s": {}}, limits={"max_steps": 1}, on_failure="stop")
    s = step_at(run, "s")
    run.feed(RunPaused())
    run.feed(AttemptFailed(step=s, error=ERROR, retry_at=LATER))
    assert (run.status, run.nodes) == ("running", [])
    assert run.feed(StepCompleted(step=s, attempt=2)) == ()
    run.feed(RunResumed())
    assert in_flight(run.state) == (StartStep(step=s, node="s", attempt=2, not_before=LATER),)
    assert failures_of(run.state, s) == 1
    run.give("s")
    assert run.status == "completed"
    assert_recovers_at_every_cut(run)


def test_a_pause_holds_an_attempt_that_is_not_due_yet() -> None:
    run = Run({"s": {}})
    s = step_at(run, "s")
    run.feed(AttemptFailed(step=s, error=ERROR, retry_at=LATER))
    due = in_flight(run.state)
    run.feed(RunPaused(held=(s,)))
    assert in_flight(run.state) == ()
    run.feed(RunResumed())
    assert in_flight(run.state) == due == (StartStep(step=s, node="s", attempt=2, not_before=LATER),)
    assert_recovers_at_every_cut(run)


def test_a_pause_holds_the_next_attempt_of_an_open_subgraph() -> None:
    run = inside()
    g, b, c = step_at(run, "g"), step_at(run, "b"), step_at(run, "c")
    run.feed(RunPaused())
    failed = AttemptFailed(step=g, error=ERROR, retry_at="")
    assert run.feed(failed) == (failed, *(StepCancelled(step=step, node=node) for step, node in ((b, "b"), (c, "c"))))
    assert (run.nodes, run.status) == ([], "running")
    run.feed(StepReleased(mode="over"))
    assert run.start("g.a").step == ids.child(g, 2)
    assert_recovers_at_every_cut(run)


def test_a_pause_holds_the_next_attempt_of_a_stuck_subgraph() -> None:
    run = inside()
    g = step_at(run, "g")
    run.give("g.b")
    settle_later(run, StepFailed(step=step_at(run, "c"), error=ERROR))
    assert run.feed(StepRescheduled(step=g, attempt=2, reason="its worker died")) == ()
    run.feed(RunPaused())
    run.feed(AttemptFailed(step=g, error=ERROR, retry_at=LATER))
    assert (in_flight(run.state), run.state.pending) == ((), 0)
    run.feed(RunResumed())
    assert run.start("g.a").step == ids.child(g, 2)
    assert_recovers_at_every_cut(run)


def test_a_pause_holds_what_is_opened_again_with_all_its_tries_before_it() -> None:
    run = Run({"s": {}})
    s = step_at(run, "s")
    run.feed(AttemptFailed(step=s, error=ERROR, retry_at=LATER))
    run.feed(StepFailed(step=s, attempt=2, error=ERROR))
    assert run.status == "failed"
    run.feed(RunReopened())
    run.feed(RunPaused(held=(s,)))
    run.feed(RunTimedOut(limit_s=1))
    assert run.status == "failed"
    run.feed(RunReopened())  # the run is paused still
    assert (run.status, run.nodes) == ("running", [])
    run.feed(RunResumed())
    assert in_flight(run.state) == (StartStep(step=s, node="s", attempt=4),)
    assert failures_of(run.state, s) == 0
    assert_recovers_at_every_cut(run)


def test_a_breakpoint_stops_inside_a_subgraph() -> None:
    run = inside()
    run.feed(BreakpointsSet(breakpoints=({"id": "here"},)))
    run.feed(BreakpointHit(step=step_at(run, "b"), breakpoint="here", stops=True))
    assert run.nodes == ["g.c"]
    assert release(run) == ["g.b", "g.c"]
    assert_recovers_at_every_cut(run)


def test_a_pause_freezes_what_it_holds_inside_a_subgraph_when_the_time_is_over() -> None:
    run = inside()
    run.feed(RunPaused(held=(step_at(run, "b"),)))
    run.feed(StepWaiting(step=step_at(run, "c"), wait=WAIT))
    run.feed(RunTimedOut(limit_s=1))
    assert (run.status, run.errors) == ("failed", [("b", "RunTimedOut"), ("c", "RunTimedOut")])
    run.feed(RunResumed())
    run.reopen()
    assert run.nodes == []
    assert_recovers_at_every_cut(run)


# --------------------------------------------------------------------------- undoing

# top:  s ─► g (mid) ─► e        mid:  m ══ [1, 2] ══► h (low)        low:  l
UNDOABLE = {"compensate": {"tool": "undo", "inputs": {"of": "= n"}}}
LOW = compiled({"l": UNDOABLE}, start="l")
MID = compiled(
    {"m": {"next": {"map": "= [1, 2]", "to": "h", "join": "end"}}, "h": {"graph": "low", "inputs": {"n": "= item"}}},
    start="m",
)
TOP: dict[str, Json] = {
    "s": {"next": "g", **UNDOABLE},
    "g": {"graph": "mid", "next": "e", "compensate": {"tool": "undo", "inputs": {"of": "= 'all'"}}},
    "e": {"retry": {"max_attempts": 2}, **UNDOABLE},
}


def nested() -> Run:
    """In the subgraphs that the items of a subgraph's map have opened."""
    run = Run(TOP, state={"n": 0}, children={"mid": MID, "low": LOW}, reducers={})
    run.give("s")
    run.give("g.m", {})
    return run


def nested_and_over() -> Run:
    """Behind all of that."""
    run = nested()
    run.give("g.m[1].h.l")
    run.give("g.m[0].h.l")
    assert run.nodes == ["e"]
    return run


def undo_the_rest(run: Run) -> list[tuple[str, str, Json]]:
    """Where compensations ran, and of what."""
    told = []
    while run.running:
        (start,) = run.running.values()
        phase = run.state.compensating
        assert phase is not None
        assert isinstance(start, StartStep)
        assert start.compensates == phase.current.step
        told.append((start.path, start.node, phase.current.inputs["of"]))
        run.feed(StepCompleted(step=start.step, attempt=start.attempt))
    return told


def test_what_ran_in_subgraphs_that_are_over_is_undone_in_the_graphs_it_belongs_to() -> None:
    run = nested_and_over()
    run.fail("e")
    assert undo_the_rest(run) == [
        ("", "g", "all"),
        ("g.m[0].h", "l", 1),
        ("g.m[1].h", "l", 2),
        ("", "s", 0),
    ]
    assert (run.status, run.errors) == ("failed", [("e", "ValueError")])
    assert run.reopen() == ()
    assert_recovers_at_every_cut(run)


def test_what_ran_in_subgraphs_that_are_open_or_stuck_is_undone() -> None:
    run = nested()
    run.give("g.m[1].h.l")
    run.fail("g.m[0].h.l")
    assert CompensationStarted(reason="failed") in run.events
    assert undo_the_rest(run) == [("g.m[1].h", "l", 2), ("", "s", 0)]
    assert run.status == "failed"
    assert_recovers_at_every_cut(run)


@pytest.mark.parametrize("graceful", [False, True])
def test_a_cancelled_run_undoes_what_ran_in_subgraphs(graceful: bool) -> None:
    run = nested()
    g, h = step_at(run, "g"), step_at(run, "m")
    run.give("g.m[1].h.l")
    waiting = run.start("g.m[0].h.l")
    run.feed(StepWaiting(step=waiting.step, wait=WAIT))
    events = run.feed(RunCancelled(graceful=graceful))
    told = {event.step for event in events if isinstance(event, StepCancelled)}
    assert told > {waiting.step, g, h}
    # what is open is given up: neither its time nor its failure means anything now
    assert run.feed(StepFailed(step=g, error=ERROR)) == ()
    assert run.feed(AttemptFailed(step=g, error=ERROR, retry_at="")) == ()
    assert undo_the_rest(run) == [("g.m[1].h", "l", 2), ("", "s", 0)]
    assert (run.status, run.events[-1]) == ("cancelled", RunStopped())
    assert_recovers_at_every_cut(run)


def test_every_execution_of_a_subgraph_is_undone() -> None:
    run = Run({"g": {"graph": "low"}}, start="g", children={"low": two_steps()}, reducers={}, state={"n": 0})
    run.give("g.a")
    run.feed(AttemptFailed(step=ids.first(), error=ERROR, retry_at=""))
    run.give("g.a")
    run.fail("g.b")
    assert undo_the_rest(run) == [("g", "a", 1), ("g", "a", 1)]
    undone = [event.step for event in run.events if isinstance(event, StepCompleted)][-2:]
    assert undone == [ids.compensation(ids.child(ids.first(), attempt)) for attempt in (2, 1)]
    assert_recovers_at_every_cut(run)


def two_steps() -> Plan:
    return compiled({"a": {"next": "b", "compensate": {"tool": "undo", "inputs": {"of": "= 1"}}}, "b": {}}, start="a")


def test_a_compensation_has_attempts_and_parts_and_waits_like_any_step() -> None:
    run = nested_and_over()
    run.feed(RunCancelled())
    (undoing,) = run.running
    run.feed(PartRecorded(step=undoing, name="ask", value=1))
    run.feed(AttemptFailed(step=undoing, error=ERROR, retry_at=LATER))
    assert run.running[undoing] == in_flight(run.state)[0]
    assert (failures_of(run.state, undoing), parts_of(run.state, undoing)) == (1, {"ask": 1})
    run.feed(StepWaiting(step=undoing, attempt=2, wait=WAIT))
    assert (run.state.only_waits, wait_of(run.state, undoing)) == (True, WAIT)
    opened = ChildStarted(step=undoing, attempt=2, graph="low", digest="low", state={})
    assert run.feed(opened) == ()
    run.feed(StepRescheduled(step=undoing, attempt=3, reason="it was answered"))
    run.feed(RunPaused())
    run.feed(AttemptFailed(step=undoing, attempt=3, error=ERROR, retry_at=LATER))
    assert in_flight(run.state) == ()
    run.feed(RunResumed())
    (start,) = in_flight(run.state)
    assert isinstance(start, StartStep)
    assert (start.attempt, start.not_before, start.compensates) == (4, LATER, ids.successor(ids.first()))
    assert len(undo_the_rest(run)) == 4
    assert run.status == "cancelled"
    assert_recovers_at_every_cut(run)


def test_a_compensation_that_waits_fails_without_a_handler() -> None:
    run = Run({"a": {"next": "b", **UNDOABLE, "on_error": "b"}, "b": {}}, start="a", state={"n": 0}, reducers={})
    run.give("a")
    run.fail("b")
    undoing = ids.compensation(ids.first())
    run.feed(StepWaiting(step=undoing, wait=WAIT))
    outcome = resolve(run.state, undoing, 1, Raised(error=ERROR))
    assert outcome == StepFailed(step=undoing, error=ERROR)
    run.feed(outcome)
    failed = run.events[-1]
    assert isinstance(failed, RunFailed)
    assert [(node, error.type) for _, node, error in failed.errors] == [("b", "ValueError"), ("a", "OSError")]
    assert (run.state.waiting, run.state.pending) == (0, 0)
    assert_recovers_at_every_cut(run)
