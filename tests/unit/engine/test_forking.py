"""Runs that begin where another one was (rule R25)."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from runs.engine import advance, codec, dump_state, fork, in_flight, load_state, obstacle_to_fork, replay
from runs.engine.events import (
    ChildStarted,
    RunCancelled,
    RunForked,
    RunPaused,
    StepCompleted,
    StepRescheduled,
    StepWaiting,
)
from runs.engine.forking import standing
from tests.unit.engine.driving import LOG, Run, assert_recovers_at_every_cut, compiled

NODES: dict[str, Any] = {
    "s": {"next": ["m", "c", "a"]},
    "m": {"next": {"map": "= [1, 2]", "to": "w", "join": "j", "collect": {"out": "= index"}}},
    "w": {},
    "c": {"graph": "child", "outputs": {}, "next": "j"},
    "a": {"next": "j"},
    "j": {"join": "all"},
}


def a_run() -> Run:
    child = compiled({"x": {"next": "y"}, "y": {}}, start="x", state={"reducers": LOG})
    return Run(NODES, children={"child": child})


def fork_of(run: Run, cut: int) -> RunForked:
    """A fork after so many events of the journal."""

    def find_plan(digest: str, _: Any) -> Any:
        return run.children[digest]

    state = replay(run.plan, None, run.events[:cut], find_plan)
    assert state is not None
    event = fork(state, run="other", seq=cut, delay=timedelta())
    again = codec.from_data("RunForked", codec.VERSION, json.loads(json.dumps(codec.to_data(event))))
    assert isinstance(again, RunForked)
    return again


def forked(run: Run, event: RunForked) -> Run:
    other = Run.__new__(Run)
    other.children, other.plan, other._state = run.children, run.plan, None
    other.events, other.running, other.calls = [], {}, []
    transition = advance(run.plan, None, event, lambda digest, _: run.children[digest])
    other._state, other.events = transition.state, list(transition.events)
    for decision in transition.decisions:
        other.take_up(decision)
    return other


def test_a_fork_at_any_event_ends_like_the_run_itself() -> None:
    run = a_run().play({})
    assert run.status == "completed"
    before = dump_state(run.state)
    for cut in range(1, len(run.events)):
        event = fork_of(run, cut)
        other = forked(run, event)
        if other.status == "completed":
            continue
        other.play({})
        assert other.final == run.final
        assert_recovers_at_every_cut(other)
    assert dump_state(run.state) == before


def test_what_was_in_flight_is_in_flight_again_as_the_same_attempt() -> None:
    run = a_run()
    run.give("s")
    step = run.start("a").step
    run.feed(StepRescheduled(step=step, attempt=2, reason="its worker died"))
    other = forked(run, fork_of(run, len(run.events)))
    assert in_flight(other.state) == in_flight(run.state)
    assert other.start("a").attempt == 2


def test_waits_go_on() -> None:
    run = Run({"s": {"wait": {"signal": "go"}}})
    run.feed(StepWaiting(step=run.start("s").step, wait={"entries": [1]}))
    other = forked(run, fork_of(run, 2))
    assert other.running == run.running


def test_a_fork_does_not_undo_what_the_other_run_did() -> None:
    run = Run({"s": {"compensate": {"tool": "u", "inputs": {}}, "next": "a"}, "a": {}})
    run.feed(StepCompleted(step=run.start("s").step, route=("a",), compensation={}))
    other = forked(run, fork_of(run, 2))
    other.feed(RunCancelled())
    assert other.status == "cancelled"
    run.feed(RunCancelled())
    assert run.nodes == ["s"]


def test_an_open_subgraph_has_the_time_left_that_it_had() -> None:
    child = compiled({"x": {}}, start="x")
    run = Run({"s": {"graph": "child"}}, children={"child": child})
    (started,) = [event for event in run.events if isinstance(event, ChildStarted)]
    at = "2030-01-01T00:00:00+00:00"
    events = [run.events[0], ChildStarted(step=started.step, graph="c", digest="child", state={}, timeout_at=at)]
    state = replay(run.plan, None, events, lambda digest, _: child)
    assert state is not None
    snapshot = fork(state, run="other", seq=2, delay=timedelta(hours=1)).snapshot
    assert snapshot["root"]["branches"][0]["child"]["timeout_at"] == "2030-01-01T01:00:00+00:00"


def test_what_is_over_or_ending_is_not_forked() -> None:
    run = Run({"s": {}})
    assert obstacle_to_fork(run.state) is None
    run.feed(RunCancelled(graceful=True))
    assert obstacle_to_fork(run.state) == "the run was being cancelled"
    run.give("s")
    assert obstacle_to_fork(run.state) == "the run was completed"
    run = Run({"s": {"compensate": {"tool": "u", "inputs": {}}, "next": "a"}, "a": {}})
    run.feed(StepCompleted(step=run.start("s").step, route=("a",), compensation={}))
    run.fail("a")
    assert obstacle_to_fork(run.state) == "the run was undoing what it did"


def test_a_run_that_has_begun_cannot_begin_as_a_fork() -> None:
    run = a_run()
    assert run.feed(fork_of(run, 1)) == ()


def test_the_steps_of_a_snapshot_are_those_that_are_not_over() -> None:
    run = a_run()
    run.give("s")
    run.give("m")
    run.fail("a")
    run.fail("m[0].w")
    run.feed(StepWaiting(step=run.start("m[1].w").step, wait={}))
    found = {(one.path, one.node): one for one in standing(dump_state(run.state))}
    assert set(found) == {("", "m"), ("m[0]", "w"), ("m[1]", "w"), ("", "c"), ("c", "x"), ("", "a")}
    assert [place for place, one in found.items() if one.is_waiting] == [("m[1]", "w")]
    assert sorted(place for place, one in found.items() if one.error) == [("", "a"), ("m[0]", "w")]
    run.feed(RunPaused(held=(run.start("c.x").step,)))
    assert {(one.path, one.node): one for one in standing(dump_state(run.state))}["c", "x"].is_waiting


def test_a_snapshot_of_a_fork_is_one_of_a_run() -> None:
    run = a_run()
    run.give("s")
    snapshot = fork_of(run, len(run.events)).snapshot
    loaded = load_state(run.plan, snapshot, lambda digest, _: run.children[digest])
    assert dump_state(loaded) == snapshot


def test_what_waits_at_a_join_is_no_step_yet() -> None:
    run = Run({"s": {"next": ["a", "b"]}, "a": {"next": "j"}, "b": {"next": "j"}, "j": {"join": "all"}})
    run.give("s")
    run.give("b")
    assert [one.node for one in standing(dump_state(run.state))] == ["a"]
