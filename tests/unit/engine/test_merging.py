"""What comes out where branches meet (rules R4, R5, R7, R8)."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from runs.engine import merging
from runs.engine.events import BranchFrozen, ConflictForeseen
from tests.unit.engine.driving import LOG, Run

Json = Any

FORK = {
    # s ──<  a | b  >── j(all)
    "s": {"next": ["a", "b"]},
    "a": {"next": "j"},
    "b": {"next": "j"},
    "j": {"join": "all"},
}


def joined(a: dict[str, Json], b: dict[str, Json], *, before: Json = None, **options: Json) -> Run:
    """The run at the join, whichever branch came first; `a` and `b` are what the two gave."""
    runs = []
    for order in itertools.permutations("ab"):
        run = Run(FORK, **options)
        run.give("s", before)
        for node in order:
            run.give(node, **{"a": a, "b": b}[node])
        runs.append(run)
    assert len({repr((r.status, r.nodes, r.nodes and r.seen("j"))) for r in runs}) == 1
    return runs[0]


def test_a_step_sees_what_leads_to_it_and_nothing_else() -> None:
    run = Run(FORK)
    run.give("s", {"x": 1})
    run.give("a", {"y": 2})
    assert run.seen("b") == {"x": 1}


@pytest.mark.parametrize("values", [(1, 2), (1, 1)], ids=["different", "equal"])
def test_two_branches_that_replace_one_key_conflict_where_they_meet(values: tuple[int, int]) -> None:
    run = joined({"value": {"k": values[0]}}, {"value": {"k": values[1]}})
    frozen = [event for event in run.events if isinstance(event, BranchFrozen)]
    assert [(event.node, event.error.type, event.error.keys) for event in frozen] == [
        ("j", "ConcurrentUpdateError", ("k",))
    ]
    assert frozen[0].error.message == (
        'Concurrent branches replaced the state key "k" at the nodes "a", "b"; '
        "join them first, or give the key a reducer."
    )


def test_a_conflict_is_foreseen_as_soon_as_both_have_written() -> None:
    run = Run(FORK)
    run.give("s")
    assert not any(isinstance(event, ConflictForeseen) for event in run.give("a", {"k": 1, "other": 1}))
    assert ConflictForeseen(key="k", nodes=("a", "b")) in run.give("b", {"k": 2})


def test_a_conflict_is_foreseen_once() -> None:
    run = Run({"s": {"next": ["a", "b"]}, "a": {"next": "c"}, "b": {}, "c": {}})
    run.give("s")
    for node in "bac":
        run.give(node, {"k": node})
    assert sum(isinstance(event, ConflictForeseen) for event in run.events) == 1


def test_no_conflict_is_foreseen_with_a_branch_that_was_cancelled() -> None:
    """
         ┌─ a ── a2 ─┐
    s ──<├─ b ───────┴─ j(any)
         └─ z
    """
    run = Run(
        {
            "s": {"next": ["a", "b", "z"]},
            "a": {"next": "a2"},
            "a2": {"next": "j"},
            "b": {"next": "j"},
            "z": {},
            "j": {"join": "any"},
        }
    )
    run.give("s")
    run.give("a", {"k": "a"})
    run.give("b")
    run.give("j")
    run.give("z", {"k": "z"})
    assert run.final == {"k": "z"}
    assert not any(isinstance(event, ConflictForeseen) for event in run.events)


def test_updates_of_a_key_with_a_reducer_come_in_list_order() -> None:
    run = joined({"value": {"log": "a"}}, {"value": {"log": "b"}})
    assert run.seen("j") == {"log": ["a", "b"]}


def test_floats_add_up_to_the_same_last_digit_in_every_order() -> None:
    nodes: dict[str, Json] = {"s": {"next": [f"n{i}" for i in range(6)]}, "j": {"join": "all"}}
    nodes |= {f"n{i}": {"next": "j"} for i in range(6)}
    sums = set()
    for order in range(20):
        tools = {f"n{i}": lambda _, i=i: {"sum": 10.0**i / 3} for i in range(6)}
        sums.add(Run(nodes, reducers={"sum": "add", **LOG}).play(tools, order).final["sum"])
    assert len(sums) == 1


def test_a_set_replaces_what_its_step_saw() -> None:
    run = joined({"replace": {"log": ["new"]}}, {}, before={"log": "old"})
    assert run.seen("j") == {"log": ["new"]}


def test_updates_that_a_set_did_not_see_are_folded_onto_it() -> None:
    for a, b in itertools.permutations(({"replace": {"log": ["new"]}}, {"value": {"log": "beside"}})):
        assert joined(a, b, before={"log": "old"}).seen("j") == {"log": ["new", "beside"]}


def test_two_concurrent_sets_of_a_key_with_a_reducer_conflict() -> None:
    assert joined({"replace": {"log": [1]}}, {"replace": {"log": [1]}}).errors == [("j", "ConcurrentUpdateError")]


def test_a_deleted_key_is_gone_and_may_be_written_anew() -> None:
    run = Run({"s": {"next": "a"}, "a": {"next": "b"}, "b": {}}, state={"old": 1, "log": ["x"]})
    run.give("s", delete=("old", "log"))
    assert run.seen("a") == {}
    run.give("a", {"log": "y"})
    run.give("b")
    assert run.final == {"log": ["y"]}


def test_a_delete_in_one_branch_conflicts_with_a_replace_in_the_other() -> None:
    assert joined({"delete": ("k",)}, {"value": {"k": 1}}, before={"k": 0}).errors == [("j", "ConcurrentUpdateError")]


def test_a_delete_in_one_branch_holds_at_the_join() -> None:
    assert joined({"delete": ("k",)}, {"value": {"other": 1}}, before={"k": 0}).seen("j") == {"other": 1}


def test_a_reducer_that_cannot_combine_freezes_the_join() -> None:
    run = joined({"replace": {"log": "a text now"}}, {"value": {"log": "b"}})
    assert run.errors == [("j", "ReducerError")]
    frozen = next(event for event in run.events if isinstance(event, BranchFrozen))
    assert frozen.error.keys == ("log",)
    assert 'The state key "log" cannot take the update: append needs a list, not a string.' in frozen.error.message


def test_a_join_takes_in_only_what_the_branch_that_has_seen_most_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """
         ┌─ x0 ─<───────────────┐
         │       ╲              b0 (x0, m)
    s ──<│        >── m ──<
         │       ╱              b1 (x1, m) …      (every b starts from what m saw: it lacks nothing)
         └─ x1 ─<───────────────┘
    """
    taken: list[int] = []
    original = merging._take_in
    monkeypatch.setattr(merging, "_take_in", lambda *call: (taken.append(call[-1].bit_count()), original(*call)))
    numbers = range(20)
    graph: dict[str, Json] = {"s": {"next": [f"x{i}" for i in numbers]}}
    graph |= {f"x{i}": {"next": [f"b{i}", "m"]} for i in numbers}
    graph |= {"m": {"join": "all", "next": [f"b{i}" for i in numbers]}}
    graph |= {f"b{i}": {"join": "all"} for i in numbers}
    run = Run(graph).play({})
    assert run.final == {"log": ["s", *(f"x{i}" for i in numbers), "m", *(f"b{i}" for i in numbers)]}
    assert sum(taken) <= 2 * len(graph)


def test_a_join_folds_anew_only_where_a_write_belongs_before_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """
         ┌─ a ──┬─ a1 ────────┐
         │      └─ a2 ─┐      │
    s ──<├─ b ─────────┴─ j1 ─┼─┐
         └─ d ────────────────┴─ j2 ── j3      (j3 starts from what j1 saw, and a1 belongs before a2)
    """
    anew: list[str] = []
    original = merging._fold_anew
    monkeypatch.setattr(merging, "_fold_anew", lambda *call: (anew.append(call[-1]), original(*call)))
    Run(FORK).play({})
    assert anew == []
    crossing = {
        "s": {"next": ["a", "b", "d"]},
        "a": {"next": ["a1", "a2"]},
        "a1": {"next": "j2"},
        "a2": {"next": "j1"},
        "b": {"next": "j1"},
        "d": {"next": "j2"},
        "j1": {"join": "all", "next": "j3"},
        "j2": {"join": "all", "next": "j3"},
        "j3": {"join": "all"},
    }
    Run(crossing).play({})
    assert anew == ["log"]


def test_a_sequence_keeps_no_writes() -> None:
    run = Run({"s": {"next": {"condition": "n < 50", "if_true": "s", "if_false": "end"}}}, reducers={"n": "add"})
    for _ in range(49):
        run.give("s", {"n": 1})
        assert run.state.root.ledger is None
    run.give("s", {"n": 1})
    assert run.final == {"n": 50}


def test_writes_are_forgotten_when_one_branch_has_seen_them_all() -> None:
    run = Run(FORK)
    for node in "sab":
        run.give(node, {"log": node})
    assert run.nodes == ["j"]
    assert run.state.root.ledger is None


LONG_LOOP = {
    # s ──<  a ⟲ b | c  >── j(all)
    "s": {"next": ["a", "c"]},
    "a": {"next": "b"},
    "b": {"next": {"condition": "n < 3", "if_true": "a", "if_false": "j"}},
    "c": {"next": "j"},
    "j": {"join": "all"},
}


def looped(*, turns: int) -> Run:
    run = Run(LONG_LOOP, state={"n": 0}, limits={"max_iterations": 2000, "max_steps": 5000})
    run.give("s")
    for turn in range(turns):
        run.give("a", {"n": min(turn, 2), "log": f"a{turn}"})
        run.give("b", {"m": turn})
    return run


def test_a_loop_beside_a_branch_that_has_seen_nothing_of_it_leaves_one_write() -> None:
    run = looped(turns=1000)
    assert run.state.root.ledger is not None
    assert len(run.state.root.ledger.writes) == 1
    assert max(branch.mask for branch in run.state.root.branches.values()) == 1
    run.give("c", {"log": "c"})
    run.give("a", {"n": 3})
    run.give("b")
    assert run.seen("j") == {"n": 3, "m": 999, "log": [*(f"a{turn}" for turn in range(1000)), "c"]}


def test_a_conflict_names_the_node_that_set_the_key_however_long_ago() -> None:
    run = looped(turns=2)
    assert ConflictForeseen(key="n", nodes=("a", "c")) in run.give("c", {"n": 7})


def test_a_write_that_a_branch_has_seen_is_not_changed_any_more() -> None:
    run = Run({"s": {"next": ["a", "c"]}, "a": {"next": ["b", "d"]}, "b": {"next": "b2"}, "b2": {}, "c": {}, "d": {}})
    run.give("s")
    run.give("a", {"k": 1})
    run.give("b", {"k": 2})
    run.give("b2", {"k": 3})
    assert run.seen("d") == {"k": 1}
    assert run.state.root.ledger is not None
    assert len(run.state.root.ledger.writes) == 2


def test_updates_that_follow_a_replacement_in_the_same_branch_are_folded_behind_those_of_others() -> None:
    """
    s ──<  x | a ── a2  >── j(all)
    """
    nodes = {
        "s": {"next": ["x", "a"]},
        "x": {"next": "j"},
        "a": {"next": "a2"},
        "a2": {"next": "j"},
        "j": {"join": "all"},
    }
    run = Run(nodes)
    run.give("s")
    run.give("a", replace={"log": ["set"]})
    run.give("a2", {"log": "after"})
    run.give("x", {"log": "other"})
    assert run.seen("j") == {"log": ["set", "other", "after"]}
