"""Limits of a run (rule R17)."""

from __future__ import annotations

from typing import Any

import pytest

from runs.engine.events import BranchFrozen
from tests.unit.engine.driving import Run

Json = Any
LOOP = {"s": {"next": {"condition": "n < goal", "if_true": "s", "if_false": "end"}}}


def looped(goal: int, limits: dict[str, int]) -> Run:
    run = Run(LOOP, reducers={"n": "add"}, state={"n": 0, "goal": goal}, limits=limits)
    return run.play({"s": lambda _: {"n": 1}})


@pytest.mark.parametrize("limit", ["max_steps", "max_iterations"])
def test_a_run_may_use_up_its_limit_but_not_more(limit: str) -> None:
    assert looped(5, {limit: 5}).status == "completed"
    over = looped(6, {limit: 5})
    assert over.errors == [("s", "LimitExceeded")]
    frozen = [event for event in over.events if isinstance(event, BranchFrozen)]
    assert len(frozen) == 1
    assert limit in frozen[0].error.message
    assert "5" in frozen[0].error.message


def test_iterations_are_counted_for_each_node_in_each_item() -> None:
    nodes = {
        "s": {"next": {"map": "= [1, 2, 3]", "to": "w", "join": "end", "collect": {"out": "= n"}}},
        "w": {"next": {"condition": "n < 4", "if_true": "w", "if_false": "end"}},
    }
    tools = {"s": lambda _: None, "w": lambda _: {"n": 1}}
    options: dict[str, Json] = {"reducers": {"n": "add"}, "state": {"n": 0}}
    assert Run(nodes, limits={"max_iterations": 4}, **options).play(tools).final == {"n": 0, "out": [4, 4, 4]}
    assert Run(nodes, limits={"max_iterations": 3}, **options).play(tools).errors == [
        ("s", "MapFailed"),
        *[("w", "LimitExceeded")] * 3,
    ]


@pytest.mark.parametrize("order", range(8))
def test_whether_a_run_has_too_many_steps_does_not_depend_on_timing(order: int) -> None:
    nodes = {
        "s": {"next": {"map": "= [1, 2, 3]", "to": "w", "join": "end", "tolerated_failures": 2}},
        "w": {"next": "v"},
        "v": {},
    }
    assert Run(nodes, limits={"max_steps": 7}).play({}, order).status == "completed"
    assert Run(nodes, limits={"max_steps": 6}).play({}, order).status == "failed"


def test_attempts_do_not_count_as_steps() -> None:
    run = Run({"s": {}}, limits={"max_steps": 1})
    for _ in range(3):
        run.fail("s")
        run.reopen()
    run.give("s")
    assert run.status == "completed"


def test_a_branch_at_its_limit_is_asked_again_when_the_run_is_reopened() -> None:
    run = looped(6, {"max_steps": 5})
    assert run.reopen()
    assert run.errors == [("s", "LimitExceeded")]
    assert run.nodes == []


def test_a_map_may_not_have_more_items_than_the_run_may_have_steps() -> None:
    run = Run(
        {"s": {"next": {"map": "= xs", "to": "w", "join": "end"}}, "w": {}},
        state={"xs": [0] * 6},
        limits={"max_steps": 5},
    )
    run.give("s")
    assert run.errors == [("s", "LimitExceeded")]


def test_maps_may_not_nest_deeper_than_the_limit() -> None:
    """
    s ══► s ══► s ══► …
    """
    nodes = {"s": {"next": {"map": "= [1]", "to": "s", "join": "end"}}}
    run = Run(nodes, limits={"max_depth": 3}).play({"s": lambda _: None})
    assert run.errors == [("s", "LimitExceeded"), *[("s", "MapFailed")] * 3]
    assert run.state.scheduled == 4
