"""Snapshots: the whole state as JSON and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs.engine import dump_state, load_state, preview
from runs.engine.events import StateEdited
from runs.engine.masks import MaskCodec, bits, mask_from_data
from tests.unit.engine.driving import LOG, Run

Json = Any

FORK: dict[str, Json] = {
    "s": {"next": ["a", "b", "m"]},
    "a": {"next": "j"},
    "b": {"next": "c"},
    "c": {"next": "j"},
    "m": {
        "next": {"map": "= [1, 2, 3]", "to": "w", "join": "j", "collect": {"out": "= item"}, "tolerated_failures": 1}
    },
    "w": {"next": "v"},
    "v": {"next": "j"},
    "j": {"join": "all", "next": "e"},
    "e": {},
}


def reloaded(run: Run) -> Run:
    """The same run, gone on with from a snapshot of its state."""
    text = json.dumps(dump_state(run.state))
    run._state = load_state(run.plan, json.loads(text))
    assert json.dumps(dump_state(run.state)) == text
    return run


def test_a_run_goes_on_from_a_snapshot_as_if_nothing_had_happened() -> None:
    def play(through: Any) -> Run:
        run = Run(FORK, reducers={**LOG, "n": "add"}, state={"k": 0, "n": 0})
        for place in ("s", "m", "a", "m[0].w", "m[1].w", "b", "m[0].v", "c", "m[2].w", "m[2].v", "m[1].v", "j", "e"):
            if place == "m[2].w":
                through(run).fail(place)
                break
            through(run).give(place, {"log": place, "n": 1}, replace={"own": 1} if place == "b" else {})
        through(run).give("m[1].v", delete=("k",))
        assert through(run).seen("j")["out"] == [1, 2, None]
        for place in ("j", "e"):
            through(run).give(place, {"log": place})
        return through(run)

    straight, cut = play(lambda run: run), play(reloaded)
    assert cut.status == straight.status == "completed"
    assert cut.final == straight.final
    assert cut.events == straight.events


def test_a_failed_run_is_edited_and_reopened_from_a_snapshot() -> None:
    run = Run(FORK, on_failure="stop")
    for place in ("s", "m", "b"):
        run.give(place, {"k": place} if place != "s" else None)
    run.give("a", {"k": "a"})
    run.fail("c")
    for place in ("m[0].w", "m[1].w", "m[2].w"):
        run.give(place)
    reloaded(run)
    assert run.status == "failed"
    assert preview(run.state).conflicts == ("k",)
    run.feed(StateEdited(values={"k": "edited"}))
    reloaded(run).reopen()
    assert run.nodes == ["c", "m[0].v", "m[1].v", "m[2].v"]
    for place in run.nodes:
        reloaded(run).give(place)
    assert run.seen("j") == {"k": "edited", "out": [1, 2, 3]}


def test_a_completed_run_knows_its_final_state_again() -> None:
    run = Run(FORK).play({})
    assert reloaded(run).final == preview(run.state).values


@pytest.mark.parametrize("turns", [400])
def test_a_snapshot_grows_with_the_writes_and_not_with_their_square(turns: int) -> None:
    """
    r ──┬─ s ⟲
        └─ z         every turn replaces a key while z waits, so every write keeps its past
    """
    nodes = {
        "r": {"next": ["s", "z"]},
        "s": {"next": {"condition": "n < 400", "if_true": "s", "if_false": "end"}},
        "z": {},
    }
    run = Run(nodes, start="r", reducers={"n": "add"}, state={"n": 0})
    run.give("r")
    for _ in range(turns - 1):
        run.give("s", {"n": 1, "k": "x"})
    assert len(json.dumps(dump_state(run.state))) < 200 * turns


def test_a_snapshot_of_another_format_is_refused() -> None:
    run = Run({"s": {}})
    with pytest.raises(ValueError, match="format 99"):
        load_state(run.plan, {**dump_state(run.state), "format": 99})


def test_an_open_map_where_the_plan_has_none_is_refused() -> None:
    run = Run({"s": {"next": {"map": "= [1]", "to": "w", "join": "end"}}, "w": {}})
    run.give("s")
    with pytest.raises(ValueError, match='open map at "s"'):
        load_state(Run({"s": {"next": "w"}, "w": {}}).plan, dump_state(run.state))


@given(st.lists(st.frozensets(st.integers(0, 30), max_size=4), max_size=30), st.data())
def test_masks_survive_json(parents: list[frozenset[int]], data: st.DataObject) -> None:
    """Writes that follow on earlier ones, of which some keep their past."""
    causes: list[int] = []
    for number, before in enumerate(parents):
        past = 1 << number
        for parent in before:
            past |= causes[parent] if parent < number else 0
        causes.append(past)
    pasts = [past if data.draw(st.booleans()) else 0 for past in causes]
    codec, read = MaskCodec(pasts), []
    for number, past in enumerate(pasts):
        written = json.loads(json.dumps(codec.to_data(past, below=number)))
        read.append(mask_from_data(written, read) if past else 0)
    assert read == pasts
    mask = 0
    for number in data.draw(st.sets(st.integers(0, max(len(causes) - 1, 0)))) if causes else ():
        mask |= causes[number]
    assert mask_from_data(json.loads(json.dumps(codec.to_data(mask))), pasts) == mask
    assert sum(1 << number for number in bits(mask)) == mask
