"""A list that grows in place stays what it was for everybody who has seen it."""

from __future__ import annotations

import copy
from typing import Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from runs.engine import dump_state, preview, view
from runs.engine.scopes import Scope
from tests.unit.engine.driving import Run, assert_recovers_at_every_cut

Json = Any

# s goes wherever its tool says: back to itself; over `alias`, which gives the lists to other keys; over `fan`, whose
# items write to the list of the state around them; or over two branches.
NODES: dict[str, Json] = {
    "s": {"next": {"dynamic": ["s", "alias", "fan", "fork", "end"]}},
    "alias": {"outputs": {"log": "= log", "kept": "= log", "all": "= state"}, "next": "s"},
    "fan": {"next": {"map": "= log", "to": "w", "join": "s", "collect": {"seen": "= log"}}},
    "w": {"next": "v"},
    "v": {},
    "fork": {"next": ["a", "b"]},
    "a": {"next": "j"},
    "b": {"next": "j"},
    "j": {"join": "all", "next": "s"},
}
REDUCERS = {"log": "append", "flat": "extend"}

digits = st.integers(0, 9)
turns = st.tuples(
    st.sampled_from(["s"] * 6 + ["alias", "fan", "fork"]),
    st.fixed_dictionaries({}, optional={"log": digits, "flat": st.lists(digits, max_size=3)}),
    st.one_of(st.just({}), st.just({}), st.fixed_dictionaries({"log": st.lists(digits, max_size=2)})),
    st.sampled_from([*["nothing"] * 4, "view", "a key", "preview", "snapshot"]),
)


def looked_at(run: Run, how: str) -> Json:
    match how:
        case "view":
            return dict(view(run.state, run.start("s").step))
        case "a key":
            return view(run.state, run.start("s").step)["log"]
        case "preview":
            return preview(run.state).values
        case "snapshot":
            return dump_state(run.state)


def played(turns: list[Any], seen: list[tuple[Json, Json]]) -> Run:
    """The run at its end; `seen` gets all that was looked at, each with a copy from that moment."""
    run = Run(NODES, reducers=REDUCERS, state={"log": [1], "flat": [2]})

    def keep(value: Json) -> None:
        seen.append((value, copy.deepcopy(value)))

    for target, update, replace, how in turns:
        keep(looked_at(run, how))
        keep(run.give("s", update, goto=(target,), replace=replace))
        for _ in iter(lambda: run.nodes == ["s"], True):
            place = run.nodes[0]
            keep(run.give(place, None if place == "alias" else {"log": place, "flat": [place]}))
    keep(run.give("s", goto=("end",)))
    return run


@given(st.lists(turns, max_size=25))
def test_nothing_that_was_seen_changes_and_all_is_as_with_copies(turns: list[Any]) -> None:
    seen: list[tuple[Json, Json]] = []
    run = played(turns, seen)
    assert all(value == then for value, then in seen)
    with patch.object(Scope, "own_list", lambda *_: None):
        copying = played(turns, [])
    assert run.status == copying.status == "completed"
    assert (run.events, run.final) == (copying.events, copying.final)


def test_a_run_with_growing_lists_recovers_at_every_cut() -> None:
    run = played(
        [(target, {"log": 1, "flat": [2, 3]}, {}, "nothing") for target in ("s", "s", "alias", "s", "fan")], []
    )
    assert_recovers_at_every_cut(run)


def test_a_list_that_nobody_looks_at_is_not_copied() -> None:
    run = Run({"s": {"next": {"dynamic": ["s", "end"]}}})
    run.give("s", {"log": 0}, goto=("s",))
    held = run.state.root.base["log"]
    run.give("s", {"log": 1}, goto=("s",))
    assert run.state.root.base["log"] is held
    assert held == [0, 1]


def test_nothing_is_written_when_one_of_two_lists_refuses_its_update() -> None:
    run = Run({"s": {"next": {"dynamic": ["s", "end"]}}}, reducers=REDUCERS)
    run.give("s", {"log": 0, "flat": [0]}, goto=("s",))
    run.give("s", {"log": 1, "flat": "no list"}, goto=("s",))
    assert run.errors == [("s", "ReducerError")]
    assert preview(run.state).values == {"log": [0], "flat": [0]}
