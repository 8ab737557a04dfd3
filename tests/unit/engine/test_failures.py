"""Failures, retries, attempts, and ends from outside (rules R9 and R14)."""

from __future__ import annotations

from typing import Any

import pytest

from runs.engine import advance, in_flight
from runs.engine.decisions import CollectItem
from runs.engine.events import (
    BranchFrozen,
    Failure,
    RunCancelled,
    RunReopened,
    RunStarted,
    RunTimedOut,
    StateEdited,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepRescheduled,
)
from tests.unit.engine import driving
from tests.unit.engine.driving import Run

Json = Any

FORK = {**driving.FORK, "h": {"next": "j"}}


def forked(**options: Json) -> Run:
    return driving.forked(FORK, **options)


def test_a_failure_freezes_its_branch_and_the_others_go_on_until_nothing_can_run() -> None:
    run = forked()
    events = run.fail("a")
    assert [type(event) for event in events] == [StepFailed]
    run.give("b")
    assert run.status == "running"
    run.give("c")
    assert run.status == "failed"
    assert run.errors == [("a", "ValueError")]


def test_all_errors_of_a_run_are_listed_in_the_order_of_step_ids() -> None:
    run = forked()
    failed = {node: run.start(node).step for node in "ab"}
    run.fail("b", "OSError")
    errors = run.fail("a")[-1].errors
    assert [node for _, node, _ in errors] == sorted("ab", key=lambda node: failed[node])


def test_a_retried_run_ends_like_one_that_never_failed() -> None:
    run = forked()
    run.fail("a")
    run.give("b", {"log": "b"})
    run.give("c", {"log": "c"})
    run.reopen()
    run.give("a", {"log": "a"})
    assert run.seen("j") == {"log": ["s", "a", "b", "c"]}
    run.give("j")
    assert run.status == "completed"


def test_a_step_may_be_retried_while_others_run() -> None:
    run = forked()
    step = run.start("a").step
    run.fail("a")
    run.reopen(step)
    assert run.start("a").attempt == 2
    assert run.nodes == ["a", "b"]


def test_only_the_named_steps_are_retried() -> None:
    run = forked()
    step = run.start("a").step
    run.fail("a")
    run.fail("b")
    run.reopen(step)
    assert run.nodes == ["a"]
    run.give("a")
    assert run.errors == [("b", "ValueError")]


def test_a_handled_failure_goes_on_at_the_handler_which_sees_the_error() -> None:
    run = Run({**FORK, "a": {"next": "j", "on_error": "h"}})
    run.give("s")
    events = run.fail("a", "KeyError")
    assert events == (run.events[-1],)
    assert run.seen("h") == {"error": {"type": "KeyError", "message": "It broke.", "node": "a", "attempt": 1}}
    run.give("h", {"log": "h"})
    run.give("b")
    run.give("c")
    assert run.seen("j") == {"log": ["h"]}


def test_a_handler_may_fork_and_each_branch_sees_the_error() -> None:
    run = Run({"s": {"on_error": ["a", "b"]}, "a": {"next": "c"}, "b": {}, "c": {}})
    run.fail("s")
    assert run.nodes == ["a", "b"]
    assert {run.seen(node)["error"]["node"] for node in "ab"} == {"s"}
    run.give("a")
    assert "error" not in run.seen("c")


@pytest.mark.parametrize(
    ("type_", "names", "handler"),
    [
        ("TimeoutError", (), "b"),
        ("HTTPError", ("requests.exceptions.HTTPError", "OSError"), "a"),
        ("ConnectionError", ("OSError", "Exception"), "a"),
        ("ValueError", ("Exception",), "c"),
    ],
)
def test_the_first_case_that_matches_a_name_of_the_error_takes_it(
    type_: str, names: tuple[str, ...], handler: str
) -> None:
    cases = [{"match": "OSError", "to": "a"}, {"match": "TimeoutError", "to": "b"}, {"to": "c"}]
    run = Run({"s": {"on_error": cases}, "a": {}, "b": {}, "c": {}})
    run.fail("s", type_, names)
    assert run.nodes == [handler]


def test_stop_starts_nothing_new_but_takes_what_is_in_flight() -> None:
    run = forked(on_failure="stop")
    run.fail("a")
    assert run.status == "running"
    run.give("b", {"log": "b"})
    assert run.nodes == []
    assert run.status == "failed"


def test_a_run_that_stopped_goes_on_where_it_was_held() -> None:
    run = forked(on_failure="stop")
    run.fail("a")
    run.give("b", {"log": "b"})
    run.reopen()
    assert run.nodes == ["a", "c"]
    run.give("c", {"log": "c"})
    run.give("a", {"log": "a"})
    run.give("j")
    assert run.final == {"log": ["s", "a", "b", "c"]}


def test_a_run_stays_stopped_while_one_failure_is_left() -> None:
    run = forked(on_failure="stop")
    steps = {node: run.start(node).step for node in "ab"}
    run.fail("a")
    run.fail("b")
    run.reopen(steps["b"])
    run.give("b")
    assert run.status == "failed"
    run.reopen(steps["a"])
    assert run.nodes == ["a", "c"]


@pytest.mark.parametrize("option", [{"tolerated_failures": 1}, {"on_error": "h"}], ids=["tolerated", "handled"])
def test_a_failed_item_does_not_stop_a_run_whose_map_can_live_with_it(option: dict[str, Json]) -> None:
    route = {"map": "= [1, 2]", "to": "w", "join": "j"} | {k: v for k, v in option.items() if k != "on_error"}
    node = {"next": route} | {k: v for k, v in option.items() if k == "on_error"}
    run = Run({"s": node, "w": {"next": "v"}, "v": {"next": "j"}, "j": {}, "h": {}}, on_failure="stop")
    run.give("s")
    run.fail("s[0].w")
    run.give("s[1].w")
    run.give("s[1].v")
    assert run.nodes == ["h" if "on_error" in option else "j"]


def test_a_failed_item_stops_a_run_whose_map_cannot() -> None:
    route = {"map": "= [1, 2]", "to": "w", "join": "j"}
    run = Run({"s": {"next": route}, "w": {"next": "v"}, "v": {"next": "j"}, "j": {}}, on_failure="stop")
    run.give("s")
    run.fail("s[0].w")
    run.give("s[1].w")
    assert run.nodes == []
    assert run.status == "failed"
    run.reopen()
    assert run.nodes == ["s[0].w", "s[1].v"]


def test_a_step_that_is_rescheduled_runs_as_the_next_attempt() -> None:
    run = forked()
    start = run.start("a")
    run.feed(StepRescheduled(step=start.step, attempt=2, reason="its worker died"))
    assert run.start("a").attempt == 2
    assert run.feed(StepCompleted(step=start.step, attempt=1, route=("j",))) == ()
    assert run.feed(StepRescheduled(step=start.step, attempt=2, reason="again")) == ()
    assert run.feed(StepCompleted(step=start.step, attempt=2, route=("j",)))


def test_the_outcome_of_the_attempt_before_a_retry_is_dropped() -> None:
    run = forked()
    step = run.start("a").step
    run.fail("a")
    run.reopen(step)
    assert run.feed(StepCompleted(step=step, attempt=1, route=("j",))) == ()
    assert run.feed(StepFailed(step=step, attempt=1, error=Failure(type="Late", message=""))) == ()
    assert run.nodes == ["a", "b"]


def test_duplicates_unknown_steps_and_a_second_start_have_no_effect() -> None:
    run = forked()
    done = run.give("a")[0]
    assert run.feed(done) == ()
    assert run.feed(StepCompleted(step=b"0123456789")) == ()
    assert run.feed(StepRescheduled(step=b"0123456789", attempt=2, reason="")) == ()
    assert run.feed(RunStarted(state={})) == ()


def test_a_run_begins_with_its_start() -> None:
    with pytest.raises(ValueError, match="begins with RunStarted or RunForked, not with RunCancelled"):
        advance(Run(FORK).plan, None, RunCancelled())


def test_cancelling_gives_up_everything_and_is_final() -> None:
    run = forked()
    step = run.start("a").step
    events = run.feed(RunCancelled(reason="enough"))
    assert {event.node for event in events if isinstance(event, StepCancelled)} == {"a", "b"}
    assert run.status == "cancelled"
    assert in_flight(run.state) == ()
    for outcome in (StepCompleted(step=step), RunReopened(), StateEdited(values={"k": 1}), RunCancelled()):
        assert run.feed(outcome) == ()


def test_cancelling_ends_open_maps_too() -> None:
    run = Run({"s": {"next": {"map": "= [1]", "to": "w", "join": "end"}}, "w": {}})
    run.give("s")
    events = run.feed(RunCancelled())
    assert [event.node for event in events if isinstance(event, StepCancelled)] == ["s", "w"]


def test_a_run_out_of_time_fails_and_can_be_opened_again_where_it_was() -> None:
    run = forked()
    run.give("a", {"log": "a"})
    events = run.feed(RunTimedOut(limit_s=1.5))
    assert [event.node for event in events if isinstance(event, BranchFrozen)] == ["b"]
    assert run.errors == [("b", "RunTimedOut")]
    run.reopen()
    assert run.start("b").attempt == 2
    for node in "bc":
        run.give(node, {"log": node})
    assert run.seen("j") == {"log": ["s", "a", "b", "c"]}


def test_an_item_that_waits_to_be_collected_when_time_runs_out_is_collected_after_a_retry() -> None:
    run = Run({"s": {"next": {"map": "= [1]", "to": "w", "join": "end", "collect": {"out": "= item"}}}, "w": {}})
    run.give("s")
    done = StepCompleted(step=run.start("s[0].w").step, route=("end",))
    decision = advance(run.plan, run.state, done).decisions
    assert decision == in_flight(run.state) == (CollectItem(step=run.events[1].step, index=0),)
    run.running.clear()
    run.feed(RunTimedOut(limit_s=1))
    assert run.errors == [("end", "RunTimedOut")]
    run.reopen()
    assert run.final == {"out": [1]}


def test_nothing_is_reopened_where_nothing_is_frozen() -> None:
    run = forked()
    assert run.reopen() == ()
    assert run.reopen(run.start("a").step) == ()


def test_a_conflict_can_be_retried_only_after_all_its_keys_were_edited() -> None:
    run = forked()
    run.give("a", {"k": 1, "l": 1})
    run.give("b")
    run.give("c", {"k": 2, "l": 2})
    assert run.errors == [("j", "ConcurrentUpdateError")]
    assert run.reopen() == ()
    run.feed(StateEdited(values={"k": 3}))
    assert run.reopen() == ()
    run.feed(StateEdited(values={"l": 4}))
    run.reopen()
    assert run.seen("j") == {"log": ["s"], "k": 3, "l": 4}
    run.give("j")
    assert run.status == "completed"


def test_a_conflict_at_the_end_is_settled_by_an_edit_and_a_retry() -> None:
    run = Run({"s": {"next": ["a", "b"]}, "a": {}, "b": {}})
    run.give("s")
    run.give("a", {"k": 1})
    run.give("b", {"k": 2})
    assert run.errors == [("end", "ConcurrentUpdateError")]
    run.feed(StateEdited(values={"k": 3}))
    run.reopen()
    assert run.status == "completed"
    assert run.final == {"k": 3}


def test_an_update_that_a_reducer_refuses_only_now_freezes_its_step() -> None:
    """`resolve` makes no such outcome; a journal folded with another reducer may."""
    run = forked()
    run.feed(StepCompleted(step=run.start("a").step, update={"log": "a"}, replace={"k": 1}, route=("j",)))
    run.feed(StepCompleted(step=run.start("b").step, replace={"log": 1}, route=("c",)))
    events = run.feed(StepCompleted(step=run.start("c").step, update={"log": "c"}, route=("j",)))
    assert [event.error.type for event in events if isinstance(event, BranchFrozen)] == ["ReducerError"]
    assert run.errors == [("c", "ReducerError")]
