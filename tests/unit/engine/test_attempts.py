"""Attempts: what is tried again, and what a step keeps between its attempts (rules R14 and R19)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runs.engine import (
    advance,
    dump_state,
    failures_of,
    heartbeat_of,
    in_flight,
    is_waiting,
    load_state,
    parts_of,
    replay,
    wait_of,
)
from runs.engine.attempts import failures_counted
from runs.engine.decisions import AwaitStep, CancelStep, MapItem, StartStep
from runs.engine.events import (
    AttemptFailed,
    Event,
    Failure,
    PartRecorded,
    RunCancelled,
    RunReopened,
    RunTimedOut,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepRescheduled,
    StepWaiting,
)
from tests.unit.engine.driving import Run

Json = Any

FORK: dict[str, Json] = {
    # s ──<  a | b  >── j(all)
    "s": {"next": ["a", "b"]},
    "a": {"next": "j"},
    "b": {"next": "j"},
    "j": {"join": "all"},
    "h": {"next": "j"},
}
LATER = "2026-11-23T09:30:00Z"
MUCH_LATER = "2026-11-23T09:31:00Z"
ERROR = Failure(type="OSError", message="No route to host.")


def forked(**options: Json) -> Run:
    run = Run(FORK, **options)
    run.give("s", {"log": "s"})
    return run


def fail_attempt(run: Run, place: str, *, retry_at: str = LATER, **more: Any) -> tuple[Event, ...]:
    start = run.start(place)
    return run.feed(AttemptFailed(step=start.step, attempt=start.attempt, error=ERROR, retry_at=retry_at, **more))


def wait(run: Run, place: str, **what: Json) -> tuple[Event, ...]:
    start = run.start(place)
    return run.feed(StepWaiting(step=start.step, attempt=start.attempt, wait=what))


def record(run: Run, place: str, name: str, value: Json = None) -> tuple[Event, ...]:
    start = run.start(place)
    return run.feed(PartRecorded(step=start.step, attempt=start.attempt, name=name, value=value))


def assert_recoverable(run: Run) -> None:
    """The state is what a fold of the journal gives, cut by a snapshot anywhere; and what is in flight is known."""
    expected = dump_state(run.state)
    for cut in range(1, len(run.events) + 1):
        before = replay(run.plan, None, run.events[:cut])
        assert before is not None
        text = json.dumps(dump_state(before))
        loaded = load_state(run.plan, json.loads(text))
        assert json.dumps(dump_state(loaded)) == text
        after = replay(run.plan, loaded, run.events[cut:])
        assert after is not None
        assert dump_state(after) == expected
        assert (after.pending, after.waiting, after.status) == (run.state.pending, run.state.waiting, run.status)
        awaited = {decision.step: decision for decision in in_flight(after)}
        assert awaited == run.running


def test_an_attempt_that_failed_is_followed_by_the_next_when_it_is_due() -> None:
    run = forked()
    start = run.start("a")
    transition = advance(run.plan, run.state, AttemptFailed(step=start.step, error=ERROR, retry_at=LATER))
    again = StartStep(step=start.step, node="a", attempt=2, not_before=LATER)
    assert transition.decisions == (again,)
    assert again in in_flight(run.state)
    assert [type(event) for event in transition.events] == [AttemptFailed]


def test_a_join_waits_for_the_attempts_of_a_step() -> None:
    run = forked()
    run.give("b", {"log": "b"})
    fail_attempt(run, "a")
    fail_attempt(run, "a", retry_at=MUCH_LATER)
    assert run.start("a").not_before == MUCH_LATER
    assert_recoverable(run)
    run.give("a", {"log": "a"})
    assert run.seen("j") == {"log": ["s", "a", "b"]}


def test_failures_are_counted_and_deaths_of_workers_are_not() -> None:
    run = forked()
    step = run.start("a").step
    assert (failures_of(run.state, step), heartbeat_of(run.state, step)) == (0, None)
    fail_attempt(run, "a", heartbeat={"page": 3})
    run.feed(StepRescheduled(step=step, attempt=3, reason="its worker died"))
    assert run.start("a") == StartStep(step=step, node="a", attempt=3)
    assert (failures_of(run.state, step), heartbeat_of(run.state, step)) == (1, {"page": 3})
    fail_attempt(run, "a", heartbeat=0)
    assert (failures_of(run.state, step), heartbeat_of(run.state, step)) == (2, 0)
    assert_recoverable(run)


def test_each_retry_policy_counts_what_it_allows_for() -> None:
    run = forked()
    step = run.start("a").step
    for policy in (1, 0, 1):
        fail_attempt(run, "a", policy=policy)
    assert [failures_counted(run.state, step, policy) for policy in (0, 1, 2)] == [1, 2, 0]
    assert failures_of(run.state, step) == 3
    assert_recoverable(run)


def test_a_death_leaves_the_heartbeat_that_is_known_of_the_attempt_or_that_of_the_one_before() -> None:
    run = forked()
    step = run.start("a").step
    for attempt, known, left in [(2, 41, 41), (3, None, 41), (4, 0, 0)]:
        run.feed(StepRescheduled(step=step, attempt=attempt, reason="its worker died", heartbeat=known))
        assert (failures_of(run.state, step), heartbeat_of(run.state, step)) == (0, left)
    assert_recoverable(run)


def test_an_unknown_step_has_no_failures_and_no_heartbeat() -> None:
    run = forked()
    assert (failures_of(run.state, b"0123456789"), heartbeat_of(run.state, b"0123456789")) == (0, None)


def test_a_step_that_was_never_tried_again_keeps_nothing() -> None:
    run = forked()
    run.feed(StepRescheduled(step=run.start("a").step, attempt=2, reason="its worker died"))
    assert all(branch.progress is None for branch in run.state.branches.values())


@pytest.mark.parametrize(
    "late",
    [
        lambda step: StepCompleted(step=step, attempt=1, route=("j",)),
        lambda step: StepFailed(step=step, attempt=1, error=ERROR),
        lambda step: AttemptFailed(step=step, attempt=1, error=ERROR, retry_at=MUCH_LATER),
        lambda step: AttemptFailed(step=step, attempt=3, error=ERROR, retry_at=MUCH_LATER),
        lambda step: AttemptFailed(step=b"0123456789", attempt=2, error=ERROR, retry_at=MUCH_LATER),
        lambda step: StepRescheduled(step=step, attempt=2, reason="its worker died"),
        lambda step: StepWaiting(step=step, attempt=1, wait={"for": "signal"}),
        lambda step: PartRecorded(step=step, attempt=1, name="late", value=1),
    ],
)
def test_outcomes_of_another_attempt_than_the_current_one_are_dropped(late: Any) -> None:
    run = forked()
    step = run.start("a").step
    fail_attempt(run, "a")
    before = dump_state(run.state)
    assert run.feed(late(step)) == ()
    assert dump_state(run.state) == before
    assert run.start("a").attempt == 2


def test_no_attempt_follows_in_a_run_that_is_over() -> None:
    run = forked()
    step = run.start("a").step
    run.feed(RunTimedOut(limit_s=1))
    assert run.feed(AttemptFailed(step=step, error=ERROR, retry_at=LATER)) == ()


def test_a_step_that_failed_for_good_has_all_its_tries_again_after_a_retry() -> None:
    run = forked()
    step = run.start("a").step
    run.give("b")
    fail_attempt(run, "a", heartbeat=7)
    run.fail("a")
    assert_recoverable(run)
    run.feed(RunReopened(steps=(step,)))
    assert run.start("a") == StartStep(step=step, node="a", attempt=3)
    assert (failures_of(run.state, step), heartbeat_of(run.state, step)) == (0, 7)
    assert_recoverable(run)


def test_the_handler_of_an_error_is_told_which_attempt_was_the_last_and_starts_afresh() -> None:
    run = Run({**FORK, "a": {"next": "j", "on_error": "h"}})
    run.give("s")
    fail_attempt(run, "a")
    run.fail("a")
    assert run.start("h").attempt == 1
    assert run.start("h").not_before == ""
    assert run.seen("h")["error"]["attempt"] == 2
    assert failures_of(run.state, run.start("h").step) == 0
    assert_recoverable(run)


def test_the_steps_after_one_that_was_tried_again_keep_nothing_of_it() -> None:
    run = Run({"s": {"next": "t"}, "t": {}})
    fail_attempt(run, "s", heartbeat=1)
    run.give("s")
    start = run.start("t")
    assert (start.attempt, start.not_before, heartbeat_of(run.state, start.step)) == (1, "", None)


def test_a_map_that_opened_at_the_second_attempt_keeps_nothing_of_the_first() -> None:
    run = Run({"s": {"next": {"map": "= [1]", "to": "w", "join": "end"}}, "w": {}})
    fail_attempt(run, "s", heartbeat=1)
    step = run.start("s").step
    run.give("s")
    assert heartbeat_of(run.state, step) is None
    fail_attempt(run, "s[0].w")
    assert_recoverable(run)
    run.give("s[0].w")
    assert run.status == "completed"


def test_what_is_in_flight_when_a_run_stops_on_a_failure_is_tried_again() -> None:
    run = forked(on_failure="stop")
    run.fail("b")
    fail_attempt(run, "a")
    assert run.nodes == ["a"]
    run.give("a")
    assert run.status == "failed"


def test_an_attempt_to_come_is_cancelled_with_its_branch() -> None:
    run = Run({**FORK, "j": {"join": "any"}})
    run.give("s")
    fail_attempt(run, "a")
    events = run.give("b")
    assert [event.node for event in events if isinstance(event, StepCancelled)] == ["a"]
    assert run.nodes == ["j"]


def test_a_step_that_waits_is_in_flight_with_nothing_to_run() -> None:
    run = Run({"s": {"next": {"map": "= [1, 2]", "to": "w", "join": "end"}}, "w": {}})
    step = run.start("s").step
    run.give("s")
    waiting = run.start("s[1].w").step
    wait(run, "s[1].w", signal="paid")
    item = MapItem(step, "s", 1)
    decision = AwaitStep(step=waiting, node="w", path="s[1]", items=(item,), wait={"signal": "paid"})
    assert run.running[waiting] == decision
    assert decision in in_flight(run.state)
    assert (is_waiting(run.state, waiting), wait_of(run.state, waiting)) == (True, {"signal": "paid"})
    assert (is_waiting(run.state, step), wait_of(run.state, step)) == (False, None)
    assert_recoverable(run)


def test_a_run_only_waits_when_all_that_is_in_flight_waits() -> None:
    run = forked()
    assert (run.state.waiting, run.state.only_waits) == (0, False)
    wait(run, "a", until=LATER)
    assert (run.state.waiting, run.state.only_waits) == (1, False)
    wait(run, "b")
    assert (run.state.waiting, run.state.only_waits) == (2, True)
    assert run.status == "running"
    assert_recoverable(run)
    run.give("a")
    run.give("b")
    assert (run.state.waiting, run.state.only_waits) == (0, False)
    assert run.nodes == ["j"]


def test_a_wait_is_replaced_by_what_is_still_awaited() -> None:
    run = forked()
    step = run.start("a").step
    wait(run, "a", approvals=2, by=[])
    wait(run, "a", approvals=2, by=["ann"])
    assert wait_of(run.state, step) == {"approvals": 2, "by": ["ann"]}
    assert run.state.waiting == 1
    assert_recoverable(run)


ENDS: dict[str, Any] = {
    "completed": lambda run, step: run.give("a", {"log": "a"}),
    "failed": lambda run, step: run.fail("a"),
    "failed this time": lambda run, step: fail_attempt(run, "a"),
    "called again": lambda run, step: run.feed(StepRescheduled(step=step, attempt=2, reason="it was answered")),
    "cancelled with the run": lambda run, step: run.feed(RunCancelled()),
    "out of time": lambda run, step: run.feed(RunTimedOut(limit_s=1)),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_wait_ends_with_every_outcome_of_its_step(how: str) -> None:
    run = forked()
    step = run.start("a").step
    wait(run, "a", signal="paid")
    ENDS[how](run, step)
    assert not is_waiting(run.state, step)
    assert run.state.waiting == 0
    assert not any(isinstance(decision, AwaitStep) for decision in in_flight(run.state))
    assert_recoverable(run)


def test_a_wait_that_failed_may_go_to_an_error_handler() -> None:
    run = Run({**FORK, "a": {"next": "j", "on_error": "h"}})
    run.give("s")
    wait(run, "a")
    run.fail("a", "TimedOut")
    assert (run.nodes, run.state.waiting) == (["b", "h"], 0)


def test_a_wait_may_open_a_map() -> None:
    run = Run({"s": {"next": {"map": "= [1]", "to": "w", "join": "end"}}, "w": {}})
    wait(run, "s")
    run.give("s")
    assert (run.nodes, run.state.waiting) == (["s[0].w"], 0)
    assert_recoverable(run)


def test_what_waits_is_cancelled_like_what_runs() -> None:
    run = forked()
    step = run.start("a").step
    wait(run, "a")
    transition = advance(run.plan, run.state, RunCancelled())
    assert CancelStep(step=step) in transition.decisions
    assert [event.node for event in transition.events if isinstance(event, StepCancelled)] == ["a", "b"]


def test_a_join_that_fires_without_it_ends_a_wait_and_those_in_a_map() -> None:
    """
    s ──<  a | m ══ w  >── j(any)
    """
    nodes: dict[str, Json] = {
        "s": {"next": ["a", "m", "b"]},
        "a": {"next": "j"},
        "b": {"next": "j"},
        "m": {"next": {"map": "= [1, 2]", "to": "w", "join": "j"}},
        "w": {},
        "j": {"join": "any"},
    }
    run = Run(nodes)
    run.give("s")
    run.give("m")
    for place in ("b", "m[0].w", "m[1].w"):
        wait(run, place)
    assert run.state.waiting == 3
    run.give("a")
    assert (run.nodes, run.state.waiting, run.state.pending) == (["j"], 0, 1)
    assert_recoverable(run)


def test_a_step_that_waited_when_time_ran_out_starts_anew() -> None:
    run = forked()
    step = run.start("a").step
    run.give("b")
    fail_attempt(run, "a")
    wait(run, "a")
    transition = advance(run.plan, run.state, RunTimedOut(limit_s=1))
    assert transition.decisions == (CancelStep(step=step),)
    assert run.status == "failed"
    run.reopen()
    assert run.start("a") == StartStep(step=step, node="a", attempt=3)
    assert (run.state.pending, run.state.waiting) == (1, 0)


def test_a_failed_attempt_and_a_heartbeat_outlive_a_wait() -> None:
    run = forked()
    step = run.start("a").step
    fail_attempt(run, "a", heartbeat=[1])
    wait(run, "a")
    run.feed(StepRescheduled(step=step, attempt=3, reason="it was answered"))
    assert (failures_of(run.state, step), heartbeat_of(run.state, step)) == (1, [1])


def test_a_part_is_recorded_once_and_nothing_is_given_out_for_it() -> None:
    run = forked()
    start = run.start("a")
    assert parts_of(run.state, start.step) == {}
    transition = advance(run.plan, run.state, PartRecorded(step=start.step, name="fetch", value=None))
    assert transition.decisions == ()
    assert record(run, "a", "fetch", 2) == ()
    assert parts_of(run.state, start.step) == {"fetch": None}
    assert run.start("a") == start


def test_a_part_that_a_tool_reads_does_not_change_under_it() -> None:
    run = forked()
    step = run.start("a").step
    record(run, "a", "fetch", 1)
    parts = parts_of(run.state, step)
    dumped = dump_state(run.state)
    record(run, "a", "parse", 2)
    assert parts == {"fetch": 1}
    assert dumped != dump_state(run.state)


def test_parts_outlive_attempts_waits_and_a_failure_for_good() -> None:
    run = forked()
    step = run.start("a").step
    record(run, "a", "fetch", 1)
    fail_attempt(run, "a")
    assert record(run, "a", "fetch", 2) == ()
    record(run, "a", "parse", {"n": 2})
    wait(run, "a", interrupt="sure?")
    record(run, "a", "sure?", True)
    assert is_waiting(run.state, step)
    run.feed(StepRescheduled(step=step, attempt=3, reason="it was answered"))
    run.fail("a")
    run.give("b")
    assert run.status == "failed"
    assert_recoverable(run)
    run.reopen()
    assert parts_of(run.state, step) == {"fetch": 1, "parse": {"n": 2}, "sure?": True}
    assert_recoverable(run)
    run.give("a")
    assert parts_of(run.state, step) == {}


def test_a_step_after_one_with_parts_has_none_of_them() -> None:
    run = Run({"s": {"next": "t"}, "t": {}})
    record(run, "s", "fetch", 1)
    run.give("s")
    assert parts_of(run.state, run.start("t").step) == {}


def test_a_part_of_a_step_that_is_over_is_dropped() -> None:
    run = forked()
    step = run.start("a").step
    run.give("a")
    assert run.feed(PartRecorded(step=step, name="fetch", value=1)) == ()
