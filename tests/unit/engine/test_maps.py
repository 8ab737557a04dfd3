"""Maps (rule R11)."""

from __future__ import annotations

from typing import Any

import pytest

from runs.engine.events import BranchFrozen, ItemFailed, MapClosed, MapFailed, StateEdited
from tests.unit.engine.driving import LOG, Run

Json = Any


def mapped(items: str = "= [10, 20, 30]", *, node: dict[str, Json] | None = None, **route: Json) -> Run:
    """
    s ══ map ══► w ──► j
    """
    route = {"map": items, "to": "w", "join": "j", "collect": {"out": "= r"}, **route}
    run = Run({"s": {"next": route, **(node or {})}, "w": {"next": "j"}, "j": {}, "h": {}, "x": {}})
    run.give("s", {"log": "s"})
    return run


def test_values_come_out_in_item_order_whatever_order_they_came_in() -> None:
    run = mapped()
    for place in ("s[2].w", "s[0].w", "s[1].w"):
        run.give(place, {"r": run.seen(place)["item"] + run.seen(place)["index"]})
    assert run.seen("j") == {"log": ["s"], "out": [10, 21, 32]}


def test_an_item_sees_the_state_its_item_and_its_index() -> None:
    run = mapped(**{"as": "file"})
    assert run.seen("s[1].w") == {"log": ["s"], "file": 20, "index": 1}
    assert run.start("s[1].w").path == "s[1]"
    assert [(item.node, item.index) for item in run.start("s[1].w").items] == [("s", 1)]


def test_items_do_not_see_each_other_and_nothing_else_leaves_them() -> None:
    run = mapped("= [1, 2]")
    run.give("s[0].w", {"r": 1, "private": 1, "log": "w"})
    assert "private" not in run.seen("s[1].w")
    run.give("s[1].w", {"r": 2})
    assert run.seen("j") == {"log": ["s"], "out": [1, 2]}


def test_a_collected_list_goes_through_the_reducer_of_its_key_as_one_update() -> None:
    run = mapped("= [1, 2]", collect={"log": "= item"})
    run.give("s[0].w")
    run.give("s[1].w")
    assert run.seen("j") == {"log": ["s", [1, 2]]}


def test_without_collect_the_updates_of_keys_with_a_reducer_come_out_in_item_order() -> None:
    """
    s ══ map ══► w ──┬─ a ─► j
                     └─ b ─► j
    """
    run = Run(
        {
            "s": {"next": {"map": "= [0, 1]", "to": "w", "join": "j"}},
            "w": {"next": ["a", "b"]},
            "a": {"next": "j"},
            "b": {"next": "j"},
            "j": {},
        },
        reducers={**LOG, "n": "add"},
    )
    run.give("s")
    for place in ("s[1].w", "s[0].w", "s[1].b", "s[0].b", "s[0].a", "s[1].a"):
        run.give(place, {"log": place, "n": 1, f"own_{place[-1]}": 1})
    assert run.seen("j") == {"log": ["s[0].w", "s[0].a", "s[0].b", "s[1].w", "s[1].a", "s[1].b"], "n": 6}


def test_a_set_inside_an_item_stays_there() -> None:
    run = Run({"s": {"next": {"map": "= [0]", "to": "w", "join": "j"}}, "w": {"next": "j"}, "j": {}})
    run.give("s", {"log": "s"})
    run.give("s[0].w", replace={"log": []})
    assert run.seen("j") == {"log": ["s"]}


@pytest.mark.parametrize("collect", [{"out": "= r"}, {}], ids=["collect", "no collect"])
def test_a_map_of_nothing_closes_at_once(collect: dict[str, str]) -> None:
    run = mapped("= []", collect=collect)
    assert run.seen("j") == {"log": ["s"], **({"out": []} if collect else {})}
    assert MapClosed(step=run.events[1].step, node="s") in run.events


def test_an_item_that_goes_nowhere_is_over_at_once() -> None:
    run = mapped("= [1, 2]", to="end", collect={"out": "= item * 2"})
    assert run.seen("j") == {"log": ["s"], "out": [2, 4]}


def test_the_run_goes_on_after_a_map_that_leads_to_the_end() -> None:
    run = mapped("= [1]", join="end")
    run.give("s[0].w", {"r": 1})
    run.give("s[0].j")
    assert run.final == {"log": ["s"], "out": [1]}


def test_the_join_of_a_map_may_be_a_join_of_other_branches() -> None:
    """
         ┌─ m ══ map ══► w ═╗
    s ──<                   ╠══► j(all)
         └─ a ──────────────╝
    """
    run = Run(
        {
            "s": {"next": ["m", "a"]},
            "m": {"next": {"map": "= [1, 2]", "to": "w", "join": "j", "collect": {"out": "= item"}}},
            "w": {"next": "j"},
            "a": {"next": "j"},
            "j": {"join": "all"},
        }
    )
    for place in ("s", "m", "a", "m[1].w"):
        run.give(place, {"log": place})
    assert run.nodes == ["m[0].w"]
    run.give("m[0].w")
    assert run.seen("j") == {"log": ["s", "m", "a"], "out": [1, 2]}


def test_maps_nest() -> None:
    """
    s ══► m ══► w ══► k ══► j
    """
    run = Run(
        {
            "s": {
                "next": {
                    "map": "= [1, 2]",
                    "to": "m",
                    "join": "j",
                    "collect": {"all": "= [outer, rows]"},
                    "as": "outer",
                }
            },
            "m": {
                "next": {"map": "= [outer, outer + 1]", "to": "w", "join": "k", "collect": {"rows": "= [outer, item]"}}
            },
            "w": {"next": "k"},
            "k": {"next": "j"},
            "j": {},
        }
    )
    run.play({})
    assert run.final == {
        "log": ["s", "j"],
        "all": [[1, [[1, 1], [1, 2]]], [2, [[2, 2], [2, 3]]]],
    }
    assert {item["index"] for item in run.saw("w")} == {0, 1}


def test_a_failed_item_within_tolerance_is_null() -> None:
    run = mapped(tolerated_failures=1)
    run.give("s[0].w", {"r": 0})
    run.fail("s[1].w")
    assert run.nodes == ["s[2].w"]
    run.give("s[2].w", {"r": 2})
    assert run.seen("j") == {"log": ["s"], "out": [0, None, 2]}
    assert MapClosed(step=run.events[1].step, node="s", failed=1) in run.events


def test_more_failed_items_than_tolerated_freeze_the_map_when_all_are_over() -> None:
    run = mapped(tolerated_failures=1)
    run.fail("s[0].w")
    run.fail("s[1].w")
    assert run.status == "running"
    run.give("s[2].w", {"r": 2})
    assert run.errors == [("s", "MapFailed"), ("w", "ValueError"), ("w", "ValueError")]


def test_a_failed_map_leads_to_its_handler() -> None:
    run = mapped(node={"on_error": "h"})
    run.fail("s[0].w")
    run.give("s[1].w", {"r": 1})
    events = run.give("s[2].w", {"r": 2})
    assert [event.route for event in events if isinstance(event, MapFailed)] == [("h",)]
    assert run.seen("h")["error"] == {
        "type": "MapFailed",
        "message": "1 of 3 items failed; 0 are tolerated.",
        "node": "s",
        "attempt": 1,
    }
    run.give("h")
    assert run.status == "completed"


def test_a_handler_for_another_error_does_not_take_a_failed_map() -> None:
    run = mapped("= [1]", node={"on_error": [{"match": "OSError", "to": "h"}]})
    run.fail("s[0].w")
    assert run.errors == [("s", "MapFailed"), ("w", "ValueError")]


@pytest.mark.parametrize("named", ["all", "item", "map"])
def test_a_map_that_failed_goes_on_when_its_items_are_retried(named: str) -> None:
    run = mapped("= [1, 2]")
    failing, opening = run.start("s[1].w").step, run.events[1].step
    run.fail("s[1].w")
    run.give("s[0].w", {"r": 1})
    assert run.status == "failed"
    run.reopen(*{"all": (), "item": (failing,), "map": (opening,)}[named])
    assert run.start("s[1].w").attempt == 2
    run.give("s[1].w", {"r": 2})
    run.give("j")
    assert run.final == {"log": ["s"], "out": [1, 2]}


def test_a_collect_that_cannot_be_evaluated_fails_its_item() -> None:
    run = mapped("= [1, 2]", tolerated_failures=1)
    events = run.give("s[0].w", {"other": 1})
    assert [(event.index, event.error.type) for event in events if isinstance(event, ItemFailed)] == [
        (0, "ExpressionError")
    ]
    run.give("s[1].w", {"r": 2})
    assert run.seen("j")["out"] == [None, 2]


def test_an_event_of_a_frozen_branch_tells_the_items_around_it() -> None:
    run = Run({"s": {"next": {"map": "= [1]", "to": ["a", "b"], "join": "j"}}, "a": {}, "b": {}, "j": {}})
    for place in ("s", "s[0].a", "s[0].b"):
        run.give(place, {"k": 1})
    frozen = [(event.path, event.node) for event in run.events if isinstance(event, BranchFrozen)]
    assert frozen == [("s[0]", "end"), ("", "s")]


def test_a_collect_that_failed_is_evaluated_again_after_an_edit() -> None:
    run = mapped("= [1]")
    run.give("s[0].w")
    assert run.errors == [("end", "ExpressionError"), ("s", "MapFailed")]
    run.feed(StateEdited(values={"r": 7}))
    run.reopen()
    assert run.seen("j") == {"log": ["s"], "r": 7, "out": [7]}


def test_a_conflict_inside_an_item_fails_that_item() -> None:
    """
    s ══ map ══► w ──┬─ a: k ─► end
                     └─ b: k ─► end
    """
    run = Run(
        {
            "s": {"next": {"map": "= [0, 1]", "to": "w", "join": "j", "tolerated_failures": 1}},
            "w": {"next": ["a", "b"]},
            "a": {},
            "b": {},
            "j": {},
        }
    )
    run.give("s")
    for place in ("s[0].w", "s[1].w", "s[0].a", "s[0].b", "s[1].a", "s[1].b"):
        run.give(place, {"k": 1, "log": place} if place.startswith("s[0]") else {"log": place})
    assert run.seen("j") == {"log": ["s[1].w", "s[1].a", "s[1].b"]}


def test_a_write_of_a_map_that_its_reducer_refuses_freezes_the_map_until_an_edit() -> None:
    run = Run(
        {
            "s": {"next": {"map": "= [1]", "to": "w", "join": "j", "collect": {"n": "= item"}}},
            "w": {"next": "j"},
            "j": {},
        },
        reducers={"n": "merge"},
    )
    run.give("s")
    run.give("s[0].w")
    assert run.errors == [("s", "ReducerError")]
    assert run.reopen()
    assert run.errors == [("s", "ReducerError")]
    assert run.feed(StateEdited(delete=("n",)))
    run.reopen()
    assert run.status == "failed"


def test_a_failed_write_of_a_map_may_lead_to_its_handler() -> None:
    run = Run(
        {
            "s": {
                "next": {"map": "= [1]", "to": "w", "join": "j", "collect": {"n": "= item"}},
                "on_error": [{"match": "ReducerError", "to": "h"}],
            },
            "w": {"next": "j"},
            "j": {},
            "h": {},
        },
        reducers={"n": "add"},
    )
    run.give("s")
    run.give("s[0].w")
    assert run.nodes == ["h"]


def test_a_loop_through_a_map_opens_new_items_each_turn() -> None:
    """
    s ══► w ══► j ──► s
    """
    run = Run(
        {
            "s": {"next": {"map": "= [1, 2]", "to": "w", "join": "j", "collect": {"out": "= item + n"}}},
            "w": {"next": "j"},
            "j": {"next": {"condition": "n < 3", "if_true": "s", "if_false": "end"}},
        },
        reducers={"n": "add"},
        state={"n": 0},
    )
    run.play({"s": lambda _: {"n": 1}, "w": lambda _: None, "j": lambda _: None})
    assert run.final == {"n": 3, "out": [4, 5]}
