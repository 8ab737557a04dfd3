"""Maps (rule R11)."""

from __future__ import annotations

from typing import Any

import pytest

from runs.engine import in_flight
from runs.engine.events import (
    BranchFrozen,
    Failure,
    ItemCollected,
    ItemFailed,
    MapClosed,
    MapFailed,
    MapLimited,
    RunFailed,
    StateEdited,
    StepCompleted,
)
from tests.unit.engine.driving import LOG, Run, assert_recovers_at_every_cut, compiled

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
        "message": '1 of 3 items failed; 0 are tolerated. Item 0 failed at "w": ValueError: It broke.',
        "node": "s",
        "attempt": 1,
    }
    run.give("h")
    assert run.status == "completed"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_a_failed_map_tells_why_its_first_failed_item_failed_in_whatever_order_they_end(order: tuple[int, ...]) -> None:
    run = mapped(node={"on_error": "h"})
    for item in order:
        if item == 0:
            run.give("s[0].w", {"r": 1})
        else:
            run.fail(f"s[{item}].w", f"Error{item}")
    told = 'Item 1 failed at "w": Error1: It broke.'
    assert run.seen("h")["error"]["message"] == f"2 of 3 items failed; 0 are tolerated. {told}"


def test_limits_that_expressions_give_are_recorded_and_outlive_snapshots() -> None:
    route = {"map": [1, 2], "to": "w", "join": "j", "max_parallel": "= n", "tolerated_failures": "= share"}
    run = Run({"f": {"next": route}, "w": {"next": "j"}, "j": {}}, start="f", state={"n": 7, "share": "50%"})
    run.give("f")
    (opened,) = [event for event in run.events if isinstance(event, StepCompleted) and event.items]
    assert (opened.max_parallel, opened.tolerated_failures) == (7, 1)
    assert run.state.max_items(opened.step) == 7
    run.fail("f[0].w")
    run.give("f[1].w")
    assert run.nodes == ["j"]
    assert_recovers_at_every_cut(run)


@pytest.mark.parametrize("matches_inside", [True, False])
def test_a_handler_names_what_failed_in_an_item_but_in_runs_of_earlier_releases(matches_inside: bool) -> None:
    nodes = {
        "f": {"next": {"map": [1, 2], "to": "w", "join": "j"}, "on_error": [{"match": "ValueError", "to": "h"}]},
        "w": {"next": "j"},
        "j": {},
        "h": {},
    }
    run = Run(nodes, start="f", matches_inside=matches_inside)
    run.give("f")
    run.fail("f[0].w")
    run.give("f[1].w")
    assert run.nodes == (["h"] if matches_inside else [])
    assert_recovers_at_every_cut(run)


def test_a_map_in_a_map_tells_the_cause_at_the_bottom() -> None:
    nodes = {
        "s": {"next": {"map": "= [1, 2]", "to": "t", "join": "j"}},
        "t": {"next": {"map": "= [1, 2]", "to": "w", "join": "u"}},
        "w": {"next": "u"},
        "u": {"next": "j"},
        "j": {},
    }
    run = Run(nodes)
    run.give("s")
    for place in ("s[1].t", "s[0].t"):
        run.give(place)
    for place in ("s[1].t[0].w", "s[1].t[1].w", "s[0].t[0].w"):
        run.give(place)
    run.give("s[1].u")
    run.fail("s[0].t[1].w")
    failed = [event for event in run.events if isinstance(event, RunFailed)][-1]
    (message,) = (error.message for _, node, error in failed.errors if node == "s")
    assert 'Item 0 failed at "t": MapFailed: ' in message
    assert message.endswith('Item 1 failed at "w": ValueError: It broke.')


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


def test_a_map_that_is_cancelled_while_its_last_item_ends_stays_cancelled() -> None:
    """
         ┌─ m1 ══► a, b ══┐
    s ──<                  >── j(any)      both maps are frozen over a conflict of their only item, and retried at once
         └─ m2 ══► a, b ══┘
    """
    fan = {"next": {"map": "= [1]", "to": ["a", "b"], "join": "j"}}
    run = Run({"s": {"next": ["m1", "m2"]}, "m1": fan, "m2": fan, "a": {}, "b": {}, "j": {"join": "any"}})
    for place in ("s", "m1", "m2", "m1[0].a", "m1[0].b", "m2[0].a", "m2[0].b"):
        run.give(place, {"k": place} if "." in place else None)
    run.feed(StateEdited(values={"k": 0}))
    run.reopen()
    assert run.nodes == ["j"]
    run.give("j")
    assert run.status == "completed"


@pytest.mark.parametrize("named", [False, True])
def test_a_map_whose_write_failed_waits_again_for_an_item_that_is_retried(named: bool) -> None:
    route = {"map": "= [1, 2]", "to": "w", "join": "j", "collect": {"n": "= item"}, "tolerated_failures": 1}
    run = Run({"s": {"next": route}, "w": {"next": "j"}, "j": {}}, reducers={"n": "extend"}, state={"n": "text"})
    run.give("s")
    item, opened = run.start("s[0].w").step, run.events[1].step
    run.fail("s[0].w")
    run.give("s[1].w")
    assert run.errors == [("s", "ReducerError"), ("w", "ValueError")]
    run.feed(StateEdited(values={"n": [0]}))
    run.reopen(*((item, opened) if named else ()))
    assert run.nodes == ["s[0].w"]
    run.give("s[0].w")
    assert run.seen("j") == {"n": [0, 1, 2]}


def test_the_values_of_an_item_are_taken_once() -> None:
    run = mapped("= [1, 2]")
    run.give("s[0].w", {"r": 1})
    step = run.events[1].step
    assert run.feed(ItemCollected(step=step, index=0, values={"out": 2})) == ()
    late = ItemFailed(step=step, index=0, error=Failure(type="Late", message=""))
    assert run.feed(late) == ()


CONFLICTING = {"next": {"map": "= [1]", "to": ["a", "b"], "join": "j"}}
UNCOLLECTED = {"next": {"map": "= [1]", "to": "a", "join": "j", "collect": {"out": "= missing"}}}
NESTED = {"next": {"map": "= [1]", "to": "w", "join": "j"}}


@pytest.mark.parametrize(
    ("nodes", "places"),
    [
        ({"m2": UNCOLLECTED}, ["m2", "m2[0].a"]),
        ({"m2": CONFLICTING}, ["m2", "m2[0].a", "m2[0].b"]),
        ({"m2": NESTED, "w": UNCOLLECTED}, ["m2", "m2[0].w", "m2[0].w[0].a"]),
        ({"m2": NESTED, "w": CONFLICTING}, ["m2", "m2[0].w", "m2[0].w[0].a", "m2[0].w[0].b"]),
    ],
    ids=["not collected", "conflicting", "inner not collected", "inner conflicting"],
)
def test_a_map_that_loses_a_race_when_both_are_retried_is_not_waited_for(
    nodes: dict[str, Json], places: list[str]
) -> None:
    """
         ┌─ m1 ══► a ══┐
    s ──<               >── j(any)      what m1 gave cannot be written, m2 is frozen inside; both are retried at once
         └─ m2 ══► … ══┘
    """
    m1 = {"next": {"map": "= [1]", "to": "a", "join": "j", "collect": {"n": "= item"}}}
    run = Run(
        {"s": {"next": ["m1", "m2"]}, "m1": m1, "a": {}, "b": {}, "j": {"join": "any"}, **nodes},
        reducers={"n": "extend"},
        state={"n": "text"},
    )
    for place in ("s", "m1", "m1[0].a", *places):
        run.give(place, {"k": place})
    assert run.status == "failed"
    run.feed(StateEdited(values={"n": [0], "missing": 1, "k": 0}))
    run.reopen()
    assert run.nodes == ["j"]
    assert in_flight(run.state) == tuple(run.running.values())
    run.fail("j")
    assert run.errors == [("j", "ValueError")]


def test_the_limit_of_an_open_map_may_be_changed() -> None:
    run = Run({"s": {"next": {"map": "= [1, 2]", "to": "w", "join": "end", "max_parallel": 1}}, "w": {}})
    step = run.start("s").step
    assert run.feed(MapLimited(step=step, max_parallel=2)) == ()
    run.give("s")
    assert run.state.max_items(step) == 1
    assert run.feed(MapLimited(step=step, max_parallel=1)) == ()
    for limit in (3, None):
        assert run.feed(MapLimited(step=step, max_parallel=limit))
        assert run.state.max_items(step) == limit
        assert_recovers_at_every_cut(run)
    assert run.feed(MapLimited(step=b"0123456789", max_parallel=1)) == ()
    run.give("s[0].w")
    run.give("s[1].w")
    assert run.status == "completed"
    assert run.feed(MapLimited(step=step, max_parallel=1)) == ()


@pytest.mark.parametrize(
    ("tolerated", "items", "allowed"),
    [
        ("10%", 0, 0),
        ("10%", 9, 0),
        ("10%", 10, 1),
        ("10%", 19, 1),
        ("1%", 10_000, 100),
        ("99%", 1, 0),
        ("100%", 3, 3),
        ("0%", 10_000, 0),
        (2, 10_000, 2),
        (2, 1, 2),
    ],
)
def test_a_share_of_the_items_may_fail_of_which_the_whole_part_counts(
    tolerated: int | str, items: int, allowed: int
) -> None:
    plan = compiled({"s": {"next": {"map": "= xs", "to": "w", "tolerated_failures": tolerated}}, "w": {}})
    assert plan.node("s").map.tolerated_failures.allowed(items) == allowed


@pytest.mark.parametrize(("failing", "status"), [(1, "completed"), (2, "failed")])
def test_a_map_closes_if_no_more_than_its_share_of_items_failed(failing: int, status: str) -> None:
    run = mapped("= [1, 2, 3, 4, 5]", tolerated_failures="20%")
    for index in range(5):
        if index < failing:
            run.fail(f"s[{index}].w")
        else:
            run.give(f"s[{index}].w", {"r": index})
    assert run.play({}).status == status


def test_a_map_of_no_items_closes_whatever_share_may_fail() -> None:
    assert mapped("= []", tolerated_failures="10%").play({}).status == "completed"


def test_each_map_of_a_nest_has_its_own_share() -> None:
    """
    s ══ [1, 2] ══► t ══ [1, 2, 3, 4] ══► w      a half of each may fail
    """
    inner = {"map": "= [1, 2, 3, 4]", "to": "w", "join": "end", "tolerated_failures": "50%"}
    run = Run(
        {
            "s": {"next": {"map": "= [1, 2]", "to": "t", "join": "end", "tolerated_failures": "50%"}},
            "t": {"next": inner},
            "w": {},
        }
    )
    run.give("s")
    for item, failing in ((0, 3), (1, 2)):
        run.give(f"s[{item}].t")
        for index in range(4):
            place = f"s[{item}].t[{index}].w"
            if index < failing:
                run.fail(place)
            else:
                run.give(place)
    assert run.status == "completed"
    assert [event.failed for event in run.events if isinstance(event, MapClosed)] == [2, 1]


@pytest.mark.parametrize(("items", "nodes"), [(4, ["s[1].w", "s[2].w", "s[3].w"]), (3, ["s[1].w", "s[2].w"])])
def test_a_share_that_tolerates_no_item_stops_a_run_that_stops_on_failures(items: int, nodes: list[str]) -> None:
    run = Run(
        {
            "s": {"next": {"map": f"= {[0] * items}", "to": "w", "join": "end", "tolerated_failures": "25%"}},
            "w": {"next": "v"},
            "v": {},
        },
        on_failure="stop",
    )
    run.give("s")
    run.fail("s[0].w")
    assert run.nodes == nodes
    run.give("s[1].w")
    assert ("s[1].v" in run.nodes) is (items == 4)
