"""The worked examples of docs/semantics.md, each in 24 orders of outcomes."""

from __future__ import annotations

from typing import Any

from tests.unit.engine.driving import LOG, Run, Tools

Json = Any
ORDERS = 24


def played(nodes: dict[str, Json], tools: Tools | None = None, **options: Json) -> Run:
    """The run, after making sure that all orders end the same and every node sees the same."""
    runs = [Run(nodes, **options).play(tools or {}, order) for order in range(ORDERS)]
    assert len({repr((run.status, run.final, sorted(map(str, run.calls)))) for run in runs}) == 1
    return runs[0]


def test_e1_a_join_folds_branches_in_list_order_whatever_ended_first() -> None:
    """
         ┌─ a ── a2 ─┐
    s ──<             >── j(all)
         └─ b ───────┘
    """
    run = played(
        {"s": {"next": ["a", "b"]}, "a": {"next": "a2"}, "a2": {"next": "j"}, "b": {"next": "j"}, "j": {"join": "all"}}
    )
    assert run.final == {"log": ["s", "a", "a2", "b", "j"]}


def test_e2_a_join_does_not_wait_for_a_branch_that_went_elsewhere() -> None:
    """
         ┌─ a ──┬─ x
    s ──<       └───────┐
         └─ b ──────────┴─ j(all)
    """
    run = played(
        {
            "s": {"next": ["a", "b"]},
            "a": {"next": {"condition": "false", "if_true": "j", "if_false": "x"}},
            "b": {"next": "j"},
            "x": {},
            "j": {"join": "all"},
        }
    )
    assert run.saw("j") == [{"log": ["s", "b"]}]
    assert run.final == {"log": ["s", "a", "x", "b", "j"]}


def test_e3_a_later_join_may_insert_into_what_an_earlier_step_saw() -> None:
    """
         ┌─ a ──┬─ a1 ────────┐
         │      └─ a2 ─┐      │
    s ──<├─ b ─────────┴─ j1 ─┼─┐
         └─ d ────────────────┴─ j2 ── j3      (j1, j2, j3: all)
    """
    run = played(
        {
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
    )
    assert run.saw("j1") == [{"log": ["s", "a", "a2", "b"]}]
    assert run.saw("j2") == [{"log": ["s", "a", "a1", "d"]}]
    assert run.saw("j3") == [{"log": ["s", "a", "a1", "a2", "b", "j1", "d", "j2"]}]


def test_e4_joins_that_can_reach_each_other_fire_by_rank() -> None:
    """
         ┌─► j1(all) ──► e
    s ──<     ▲ │
         │    │ ▼
         └─► j2(all) ──► e
    """
    route = {"condition": "n < 3", "if_false": "e"}
    run = played(
        {
            "s": {"next": ["j1", "j2"]},
            "j1": {"join": "all", "next": {**route, "if_true": "j2"}},
            "j2": {"join": "all", "next": {**route, "if_true": "j1"}},
            "e": {},
        },
        {name: lambda _, name=name: {"log": name, "n": 1} for name in ("j1", "j2")},
        reducers={**LOG, "n": "add"},
        state={"n": 0},
    )
    assert run.final == {"n": 3, "log": ["s", "j1", "j2", "j1", "e"]}


def test_e5_a_branch_that_ended_conflicts_with_one_that_went_on() -> None:
    """
         ┌─ a: k = 1
    s ──<
         └─ b ── c: k = 2
    """
    run = played(
        {"s": {"next": ["a", "b"]}, "a": {}, "b": {"next": "c"}, "c": {}},
        {"a": lambda _: {"k": 1}, "c": lambda _: {"k": 2}},
    )
    assert run.status == "failed"
    assert run.errors == [("end", "ConcurrentUpdateError")]


def test_e6_a_node_without_a_join_runs_once_a_branch() -> None:
    """
         ┌─ a ─┐
    s ──<       >── m ── j(all)
         └─ b ─┘
    """
    run = played(
        {"s": {"next": ["a", "b"]}, "a": {"next": "m"}, "b": {"next": "m"}, "m": {"next": "j"}, "j": {"join": "all"}}
    )
    assert run.final == {"log": ["s", "a", "m", "b", "m", "j"]}


def test_e7_an_item_stays_in_its_scope_even_at_nodes_outside_the_body() -> None:
    """
    s ══ map ══► w ──┬─ w1 ──► j
                     └─ w2 ── x ──► end
    """
    run = played(
        {
            "s": {"next": {"map": "= [1, 2]", "to": "w", "join": "j", "collect": {"out": "= n"}}},
            "w": {"next": ["w1", "w2"]},
            "w1": {"next": "j"},
            "w2": {"next": "x"},
            "x": {},
            "j": {},
        },
        {"w1": lambda names: {"n": names["item"]}, "x": lambda names: {"n": 100 * names["item"]}},
        reducers={**LOG, "n": "add"},
    )
    assert run.final == {"log": ["s", "j"], "out": [101, 202]}


def test_e8_a_loop_in_one_branch_of_a_fork() -> None:
    """
         ┌─ a ⟲ (three turns) ─┐
    s ──<                       >── j(all)
         └─ b ─────────────────┘
    """
    run = played(
        {
            "s": {"next": ["a", "b"]},
            "a": {"next": {"condition": "n < 3", "if_true": "a", "if_false": "j"}},
            "b": {"next": "j"},
            "j": {"join": "all"},
        },
        {"a": lambda _: {"log": "a", "n": 1}},
        reducers={**LOG, "n": "add"},
    )
    assert run.final == {"log": ["s", "a", "a", "a", "b", "j"], "n": 3}


def test_e9_a_join_in_a_loop_waits_for_a_straggler_once() -> None:
    """
         ┌──────► j(all) ── c ──► e
    s ──<         ▲  ▲      │
         └─ b ────┘  └──────┘
    """
    run = played(
        {
            "s": {"next": ["j", "b"]},
            "b": {"next": "j"},
            "j": {"join": "all", "next": "c"},
            "c": {"next": {"condition": "n < 3", "if_true": "j", "if_false": "e"}},
            "e": {},
        },
        {"c": lambda _: {"log": "c", "n": 1}},
        reducers={**LOG, "n": "add"},
        state={"n": 0},
    )
    assert run.final == {"n": 3, "log": ["s", "b", *["j", "c"] * 3, "e"]}


def test_e10_a_loop_may_leave_a_branch_behind_each_turn() -> None:
    """
    s ──┬─ l
     ▲  └─ w ──► e
     └─────┘
    """
    run = played(
        {
            "s": {"next": ["l", "w"]},
            "l": {},
            "w": {"next": {"condition": "n < 3", "if_true": "s", "if_false": "e"}},
            "e": {},
        },
        {"w": lambda _: {"log": "w", "n": 1}},
        reducers={**LOG, "n": "add"},
        state={"n": 0},
    )
    assert run.final == {"n": 3, "log": [*["s", "l", "w"] * 3, "e"]}


def test_e11_any_takes_the_first_and_leaves_unrelated_branches_alone() -> None:
    """
         ┌─ a ─┐
    s ──<├─ b ─┴─ j(any)
         └─ z
    """
    nodes = {"s": {"next": ["a", "b", "z"]}, "a": {"next": "j"}, "b": {"next": "j"}, "z": {}, "j": {"join": "any"}}
    logs = {tuple(Run(nodes).play({}, order).final["log"]) for order in range(ORDERS)}
    assert logs == {("s", "a", "j", "z"), ("s", "b", "j", "z")}


def test_e12_what_a_step_saw_it_may_replace() -> None:
    """
         ┌─ a: k = 1 ─┐
    s ──<              >── j(all): k = 2
         └─ b ────────┘
    """
    run = played(
        {"s": {"next": ["a", "b"]}, "a": {"next": "j"}, "b": {"next": "j"}, "j": {"join": "all"}},
        {"s": lambda _: {"k": 0}, "a": lambda _: {"k": 1}, "j": lambda _: {"k": 2}},
    )
    assert run.final == {"k": 2, "log": ["b"]}
