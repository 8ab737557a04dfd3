"""Compiling definitions: edges, masks, ranks, inferred joins of maps."""

from __future__ import annotations

from typing import Any

import pytest

from graphs.errors import DefinitionInvalid
from graphs.plan import Plan, ScopePlan, UnknownReducer, compiler, moves_of
from graphs.spec import parse_definition
from tests.unit.engine.driving import compiled

Json = Any


def names(plan: Plan, mask: int) -> set[str]:
    return {name for index, name in enumerate(plan.names) if mask >> index & 1}


def reached(plan: Plan, scope: ScopePlan, node: str) -> set[str]:
    return names(plan, scope.reach[plan.index[node]])


def map_to(*to: str, **more: Json) -> dict[str, Json]:
    return {"next": {"map": "= xs", "to": list(to), **more}}


@pytest.mark.parametrize(
    ("node", "moves"),
    [
        ({}, ("end",)),
        ({"next": "a"}, ("a",)),
        ({"next": ["b", "a", "end", "b"]}, ("b", "a", "end")),
        ({"next": {"condition": "x", "if_true": "a", "if_false": ["b", "c"]}}, ("a", "b", "c")),
        ({"next": {"switch": [{"when": "x", "to": "b"}]}}, ("b",)),
        ({"next": {"switch": [{"when": "x", "to": "b"}], "default": "a"}}, ("b", "a")),
        ({"next": {"each": [{"when": "x", "to": "b"}]}}, ("b", "end")),
        ({"next": {"dynamic": ["c", "a"]}}, ("c", "a")),
        ({**map_to("a", join="b"), "on_error": "c"}, ("b", "c")),
        ({"next": "a", "on_error": [{"match": "OSError", "to": ["b", "c"]}, {"to": "end"}]}, ("a", "b", "c", "end")),
        ({"human": {"title": "?", "due_s": 5, "on_due": "c"}, "next": "a"}, ("a", "c")),
        ({"human": {"title": "?", "due_s": 5, "on_due": {"answer": {}}}, "next": "a"}, ("a",)),
        ({"wait": {"signal": "go", "timeout_s": 5, "on_timeout": ["b", "c"]}, "next": "a"}, ("a", "b", "c")),
        ({"wait": {"any": [{"seconds": 5, "next": "b"}, {"signal": "go"}]}, "next": "a"}, ("a", "b")),
    ],
)
def test_moves_are_all_targets_that_a_node_may_take(node: dict[str, Json], moves: tuple[str, ...]) -> None:
    node = node if {"human", "wait"} & node.keys() else {"tool": "t", **node}
    nodes = {"s": node, "a": {}, "b": {}, "c": {}}
    spec = parse_definition({"name": "graph", "start_node": "s", "nodes": nodes}).nodes["s"]
    assert moves_of(spec, map_join="b") == moves


def test_a_node_reaches_what_comes_after_it_and_itself_only_on_a_cycle() -> None:
    """
    s ── a ──┬─ b ── c
         ▲   │
         └── d
    """
    plan = compiled({"s": {"next": "a"}, "a": {"next": ["b", "d"]}, "b": {"next": "c"}, "c": {}, "d": {"next": "a"}})
    assert reached(plan, plan.root, "s") == {"a", "b", "c", "d"}
    assert reached(plan, plan.root, "a") == {"a", "b", "c", "d"}
    assert reached(plan, plan.root, "b") == {"c"}
    assert reached(plan, plan.root, "c") == set()
    assert reached(plan, plan.root, "end") == set()


def test_a_self_loop_reaches_itself() -> None:
    plan = compiled({"s": {"next": ["s", "end"]}})
    assert reached(plan, plan.root, "s") == {"s"}


def test_the_masks_of_a_join_hold_who_can_come_to_it() -> None:
    plan = compiled({"s": {"next": ["a", "b"]}, "a": {"next": "j"}, "b": {}, "j": {"join": "all"}})
    assert names(plan, plan.root.coreach[plan.index["j"]]) == {"s", "a"}


def test_a_map_is_left_through_its_join_and_its_body_is_a_scope_of_its_own() -> None:
    """
    s ══► w ── v ══► j ── e
    """
    plan = compiled({"s": map_to("w", join="j"), "w": {"next": "v"}, "v": {"next": "j"}, "j": {"next": "e"}, "e": {}})
    body = plan.items[plan.index["s"]]
    assert reached(plan, plan.root, "s") == {"j", "e"}
    assert set(body.successors) == {plan.index["w"], plan.index["v"]}
    assert reached(plan, body, "w") == {"v"}


def test_joins_of_one_cycle_are_ranked_in_list_order_and_those_that_count_come_last() -> None:
    """
    s ──► j3(any) ──► j1(all) ◄──► j2(all) ──► j3
    """
    plan = compiled(
        {
            "s": {"next": ["j3", "j2", "j1"]},
            "j1": {"join": "all", "next": "j2"},
            "j2": {"join": "all", "next": ["j1", "j3"]},
            "j3": {"join": "any", "next": "j1"},
        }
    )
    index, later = plan.index, plan.root.later
    assert names(plan, later[index["j1"]]) == {"j2", "j3"}
    assert names(plan, later[index["j2"]]) == {"j3"}
    assert names(plan, later[index["j3"]]) == set()


def test_joins_of_different_cycles_do_not_excuse_each_other() -> None:
    plan = compiled({"s": {"next": ["j1", "j2"]}, "j1": {"join": "all", "next": "j2"}, "j2": {"join": "all"}})
    assert set(plan.root.later.values()) == {0}


@pytest.mark.parametrize(
    ("nodes", "join"),
    [
        ({"s": map_to("w"), "w": {"next": "j"}, "j": {"next": "e"}, "e": {}}, "j"),
        ({"s": map_to("w"), "w": {"next": ["a", "b"]}, "a": {"next": "j"}, "b": {"next": "j"}, "j": {}}, "j"),
        ({"s": map_to("w"), "w": {"next": ["a", "b"]}, "a": {"next": "j"}, "b": {}, "j": {}}, "end"),
        ({"s": map_to("w"), "w": {"next": ["w", "j"]}, "j": {}}, "j"),
        ({"s": map_to("w"), "w": {}}, "end"),
        ({"s": map_to("a", "b"), "a": {"next": "b"}, "b": {"next": "j"}, "j": {}}, "j"),
        ({"s": map_to("w"), "w": map_to("v"), "v": {"next": "u"}, "u": {"next": "j"}, "j": {}}, "u"),
        ({"s": map_to("w"), "w": map_to("v", join="u"), "v": {"next": "end"}, "u": {"next": "j"}, "j": {}}, "u"),
        ({"s": map_to("w"), "w": {"next": "j", "on_error": "h"}, "h": {"next": "j"}, "j": {}}, "j"),
    ],
    ids=[
        "chain",
        "fork",
        "one way ends",
        "loop",
        "nothing after",
        "two starts",
        "map inside",
        "map with join",
        "error",
    ],
)
def test_a_map_without_a_join_goes_on_where_all_ways_meet(nodes: dict[str, Json], join: str) -> None:
    plan = compiled(nodes)
    opened = plan.node("s").map
    assert opened is not None
    assert plan.names[opened.join] == join
    assert opened.join_is_known


def test_a_map_whose_body_never_ends_has_no_join() -> None:
    opened = compiled({"s": map_to("w"), "w": {"next": "w"}}).node("s").map
    assert opened is not None
    assert not opened.join_is_known


def test_equal_definitions_have_equal_indexes_whatever_the_order_of_their_nodes() -> None:
    nodes = {"s": {"next": ["b", "a"]}, "a": {}, "b": {}}
    assert compiled(nodes).names == compiled(dict(reversed(nodes.items()))).names == ("a", "b", "s", "end")


def test_a_reducer_that_is_not_registered_is_named() -> None:
    with pytest.raises(UnknownReducer, match='"sum_of_squares@3"'):
        compiled({"s": {}}, state={"reducers": {"k": "sum_of_squares@3"}})


def test_maps_that_all_share_their_nodes_are_too_complex(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "MAX_SCOPE_NODES", 100)
    maps = {f"m{i}": map_to(f"m{(i + 1) % 20}", join="j") for i in range(20)}
    tangle = {f"m{i}": {**node, "on_error": f"m{(i + 1) % 20}"} for i, (_, node) in enumerate(maps.items())}
    with pytest.raises(DefinitionInvalid, match="share their nodes"):
        compiled({**tangle, "j": {}}, start="m0")


def test_a_plan_of_five_thousand_nodes_in_a_row_is_compiled() -> None:
    nodes = {f"n{i}": {"next": f"n{i + 1}" if i < 4_999 else "end"} for i in range(5_000)}
    plan = compiled(nodes, start="n0")
    assert plan.root.reach[plan.index["n0"]].bit_count() == 4_999
