"""Joins of all kinds (rules R6 and R10)."""

from __future__ import annotations

from typing import Any

import pytest

from runs.engine.events import BranchFrozen, StepCancelled, StepCompleted
from tests.unit.engine.driving import Run

Json = Any


def raced(rest: str, count: int = 1) -> Run:
    """
         ┌─ a ─┐
    s ──<├─ b ─┼─ j(count) ── k
         └─ c ─┘
    """
    join = {"count": count, "rest": rest}
    run = Run(
        {
            "s": {"next": ["a", "b", "c"]},
            "a": {"next": "j"},
            "b": {"next": "j"},
            "c": {"next": "j"},
            "j": {"join": join, "next": "k"},
            "k": {},
        }
    )
    run.give("s")
    return run


def test_a_join_waits_for_every_branch_that_can_come() -> None:
    run = Run(
        {"s": {"next": ["a", "b"]}, "a": {"next": "j"}, "b": {"next": "c"}, "c": {"next": "j"}, "j": {"join": "all"}}
    )
    run.give("s")
    run.give("a")
    assert run.nodes == ["b"]
    run.give("b")
    assert run.nodes == ["c"]
    run.give("c")
    assert run.nodes == ["j"]


def test_a_join_fires_when_the_last_that_could_come_goes_elsewhere() -> None:
    run = Run(
        {
            "s": {"next": ["a", "b"]},
            "a": {"next": "j"},
            "b": {"next": {"condition": "skip", "if_true": "x", "if_false": "j"}},
            "x": {},
            "j": {"join": "all"},
        },
        state={"skip": True},
    )
    run.give("s")
    run.give("a")
    run.give("b")
    assert run.nodes == ["j", "x"]


def test_a_join_that_one_branch_reaches_fires_at_once() -> None:
    run = Run({"s": {"next": "j"}, "j": {"join": "all"}})
    run.give("s")
    assert run.nodes == ["j"]


def test_a_run_may_start_at_a_join() -> None:
    assert Run({"s": {"join": "all"}}).nodes == ["s"]


def test_the_first_arrival_cancels_the_rest() -> None:
    run = raced("cancel")
    events = run.give("b")
    assert run.nodes == ["j"]
    assert {event.node for event in events if isinstance(event, StepCancelled)} == {"a", "c"}


def test_the_outcome_of_a_cancelled_step_is_dropped() -> None:
    run = raced("cancel")
    late = run.start("a")
    run.give("b")
    assert run.feed(StepCompleted(step=late.step, update={"log": "late"}, route=("j",))) == ()


def test_what_is_ignored_runs_on_and_is_absorbed_with_its_updates() -> None:
    run = raced("ignore")
    run.give("b", {"log": "b"})
    run.give("j")
    run.give("a", {"log": "a"})
    run.give("k")
    run.give("c", {"log": "c"})
    assert run.status == "completed"
    assert run.final == {"log": ["b"]}


def test_a_count_of_two_takes_two_in_list_order() -> None:
    run = raced("cancel", count=2)
    run.give("c", {"log": "c"})
    assert run.nodes == ["a", "b"]
    run.give("a", {"log": "a"})
    assert run.nodes == ["j"]
    assert run.seen("j") == {"log": ["a", "c"]}


def test_branches_that_arrive_in_one_turn_are_counted_together() -> None:
    """
         ┌──────┐
    s ──<├──────┼─ j(any)
         └─ b ──┘
    """
    run = Run({"s": {"next": ["j", "j", "b"]}, "b": {"next": "j"}, "j": {"join": "any"}})
    events = run.give("s")
    assert run.nodes == ["j"]
    assert [event.node for event in events if isinstance(event, StepCancelled)] == ["b"]


def test_a_count_that_nobody_can_fill_any_more_is_unsatisfied() -> None:
    run = Run({"s": {"next": ["a", "b"]}, "a": {"next": "j"}, "b": {}, "j": {"join": {"count": 2}}})
    run.give("s")
    run.give("b")
    events = run.give("a")
    assert [(event.node, event.error.type) for event in events if isinstance(event, BranchFrozen)] == [
        ("j", "JoinUnsatisfied")
    ]
    assert run.errors == [("j", "JoinUnsatisfied")]


def test_an_unsatisfied_join_that_is_retried_goes_on_with_those_who_came() -> None:
    run = Run({"s": {"next": ["a", "b"]}, "a": {"next": "j"}, "b": {}, "j": {"join": {"count": 2}}})
    for node in "sba":
        run.give(node)
    run.reopen()
    run.give("j")
    assert run.status == "completed"


def test_a_count_waits_for_a_frozen_branch_that_could_still_come() -> None:
    run = raced("cancel", count=3)
    run.fail("a")
    run.give("b")
    run.give("c")
    assert run.errors == [("a", "ValueError")]


@pytest.mark.parametrize("rest", ["cancel", "ignore"])
def test_a_frozen_branch_that_is_retried_does_not_fire_the_join_again(rest: str) -> None:
    run = raced(rest)
    run.fail("a")
    run.give("b")
    run.give("j")
    for node in set(run.nodes) & {"c"}:
        run.give(node)
    run.give("k")
    assert run.errors == [("a", "ValueError")]
    run.reopen()
    run.give("a")
    assert run.status == "completed"
    assert run.state.scheduled == 6


def test_a_cancelled_branch_takes_what_its_map_does_with_it() -> None:
    """
         ┌─ a ─────────────┐
    s ──<                   >── j(any)
         └─ m ══ map ══► w ┘
    """
    run = Run(
        {
            "s": {"next": ["a", "m"]},
            "a": {"next": "j"},
            "m": {"next": {"map": "= [1, 2]", "to": "w", "join": "j", "collect": {"out": "= item"}}},
            "w": {"next": "j"},
            "j": {"join": "any"},
        }
    )
    run.give("s")
    run.give("m")
    run.give("m[0].w")
    events = run.give("a")
    assert [event.node for event in events if isinstance(event, StepCancelled)] == ["m", "w"]
    assert run.nodes == ["j"]
    run.give("j")
    assert run.final == {}


def test_a_cancelled_branch_leaves_no_conflict_behind() -> None:
    run = raced("cancel")
    nodes = ("b", "j", "k")
    for node in nodes:
        run.give(node, {"k": node})
    assert run.final == {"k": "k"}


def test_a_join_waits_for_a_branch_that_is_parked_where_it_may_still_come_from() -> None:
    """
         ┌─ a ─► j1(all) ──┐
    s ──<├─ b ─────► j1    ├─► j2(all)
         └─ c ─────────────┘
    """
    run = Run(
        {
            "s": {"next": ["a", "b", "c"]},
            "a": {"next": "j1"},
            "b": {"next": "j1"},
            "c": {"next": "j2"},
            "j1": {"join": "all", "next": "j2"},
            "j2": {"join": "all"},
        }
    )
    for node in "sac":
        run.give(node, {"log": node})
    assert run.nodes == ["b"]
    for node in ("b", "j1"):
        run.give(node, {"log": node})
    assert run.seen("j2") == {"log": ["s", "a", "b", "j1", "c"]}


def test_updates_of_a_branch_that_comes_too_late_are_dropped_even_if_it_is_the_last_of_all() -> None:
    run = raced("ignore")
    for node in ("b", "j", "k", "a"):
        run.give(node)
    run.give("c", {"log": "c"})
    assert run.final == {}


def test_a_join_that_fires_may_take_its_branches_from_one_that_was_just_filled() -> None:
    """
         ┌─► j1(any) ◄─┐
    s ──<├─► j2(2) ────┘
         └─► j2
    """
    run = Run({"s": {"next": ["j1", "j2", "j2"]}, "j1": {"join": "any"}, "j2": {"join": {"count": 2}, "next": "j1"}})
    run.give("s")
    assert run.nodes == ["j1"]
