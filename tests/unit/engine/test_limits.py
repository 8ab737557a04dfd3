"""Limits of a run (rule R17), and the schema of its state where no step is checked (rule R26)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runs.engine import dump_state, load_state
from runs.engine.events import BranchFrozen, RunCancelled, StateEdited
from tests.unit.engine.driving import LOG, Run, assert_recovers_at_every_cut, compiled

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


def test_maps_may_nest_a_hundred_deep_if_they_are_allowed_to() -> None:
    nodes = {"s": {"next": {"map": "= [1]", "to": "s", "join": "end"}}}
    run = Run(nodes, limits={"max_depth": 100})
    for depth in range(100):
        run.give(".".join(["s[0]"] * depth + ["s"]))
    assert load_state(run.plan, json.loads(json.dumps(dump_state(run.state)))).scheduled == 101
    run.feed(RunCancelled())
    assert run.status == "cancelled"


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
@pytest.mark.parametrize(("room", "status"), [(0, "completed"), (-1, "failed")], ids=["at the limit", "one byte more"])
def test_branches_that_are_too_large_together_freeze_at_the_end(order: tuple[str, ...], room: int, status: str) -> None:
    #   s ──► a        both end
    #    └──► b
    limit = len('{"log":["aaaa","bbbb"]}') + room
    run = Run({"s": {"next": ["a", "b"]}, "a": {}, "b": {}}, state={"log": []}, max_state_bytes=limit)
    run.give("s")
    for node in order:
        run.give(node, {"log": node * 4})
    assert run.status == status
    if status == "failed":
        assert run.errors == [("end", "StateTooLarge")]
        run._state = load_state(run.plan, dump_state(run.state))
        run.reopen()
        assert run.status == "failed", "nothing has changed"
        run.feed(StateEdited(values={"log": []}))
        run.reopen()
        assert run.final == {"log": []}


ONE = {"properties": {"log": {"type": "array", "maxItems": 1, "items": {"type": "string"}}, "n": {"type": "integer"}}}
JOINED = {"s": {"next": ["a", "b"]}, "a": {"next": "j"}, "b": {"next": "j"}, "j": {"join": "all"}}
ENDED = {"s": {"next": ["a", "b"]}, "a": {}, "b": {}}


def both(nodes: dict[str, Json], order: tuple[str, ...] = ("a", "b"), **options: Json) -> Run:
    """Each branch appends one element, which is all that there may be."""
    run = Run(nodes, schema=ONE, **options)
    run.give("s")
    for node in order:
        run.give(node, {"log": node})
    return run


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
@pytest.mark.parametrize(("nodes", "where"), [(JOINED, "j"), (ENDED, "end")], ids=["join", "end"])
def test_what_branches_make_together_has_to_keep_the_schema(
    nodes: dict[str, Json], where: str, order: tuple[str, ...]
) -> None:
    run = both(nodes, order)
    assert run.errors == [(where, "StateSchemaError")]
    assert_recovers_at_every_cut(run)
    run._state = load_state(run.plan, dump_state(run.state))
    assert run.reopen() == (), "the key must be edited first"
    run.feed(StateEdited(values={"log": ["c"]}))
    run.reopen()
    if where == "j":
        run.give("j")
    assert run.final == {"log": ["c"]}


def test_what_only_one_branch_has_written_is_not_checked_again() -> None:
    run = Run(JOINED, schema=ONE)
    run.give("s")
    run.give("a", {"log": "a"})
    run.give("b", {"n": "no integer"})  # a driver would have refused it
    run.give("j")
    assert run.status == "completed"


@pytest.mark.parametrize(
    ("collect", "key"),
    [
        ({"collect": {"n": "= i"}}, "n"),  # a list in place of an integer
        ({"collect": {"log": "= i"}}, "log"),  # the list is appended as one element
        ({}, "log"),  # each item appends one element
    ],
    ids=["set", "update", "exported"],
)
@pytest.mark.parametrize("handler", [None, "h"])
def test_what_a_map_gives_has_to_keep_the_schema(collect: Json, key: str, handler: str | None) -> None:
    """
    s ══► w ══► j
    └─ on error ──► h
    """
    route = {"map": "= [1, 2]", "as": "i", "to": "w", "join": "j", **collect}
    nodes: dict[str, Json] = {"s": {"next": route}, "w": {"next": "j"}, "j": {}, "h": {}}
    if handler is not None:
        nodes["s"]["on_error"] = [{"match": "StateSchemaError", "to": handler}]
    run = Run(nodes, schema=ONE)
    run.give("s")
    for index in range(2):
        run.give(f"s[{index}].w", None if collect else {"log": "w"})
    if handler is None:
        assert run.errors == [("s", "StateSchemaError")]
        run.reopen()
        assert run.errors == [("s", "StateSchemaError")], "nothing has changed"
    else:
        assert run.seen("h")["error"]["message"].startswith(f"/{key}")
        run.give("h")
        assert run.final == {}, "nothing of it was written"
    assert_recovers_at_every_cut(run)


def test_a_subgraph_is_held_against_its_own_schema() -> None:
    child = compiled(ENDED, state={"schema": ONE, "reducers": LOG})
    run = Run({"s": {"graph": "child"}}, children={"child": child})
    for node in ("s", "a", "b"):
        [place] = [place for place in run.nodes if place.endswith(node)]
        run.give(place, {"log": node} if node != "s" else None)
    assert ("end", "StateSchemaError") in run.errors


def test_a_run_that_began_when_nobody_looked_comes_to_the_same_end() -> None:
    run = both(ENDED, checks_schema=False)
    assert run.final == {"log": ["a", "b"]}
    assert "checks_schema" not in dump_state(run.state)
