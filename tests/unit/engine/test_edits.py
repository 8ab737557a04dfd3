"""Editing the state (rule R16)."""

from __future__ import annotations

from runs.engine import preview
from runs.engine.events import StateEdited
from tests.unit.engine.driving import LOG, Run


def test_every_branch_sees_an_edit_and_earlier_writes_of_the_key_are_forgotten() -> None:
    run = Run(
        {"s": {"next": ["a", "b"]}, "a": {"next": "c"}, "b": {"next": "j"}, "c": {"next": "j"}, "j": {"join": "all"}}
    )
    run.give("s", {"k": 0, "log": "s"})
    run.give("a", {"k": 1, "log": "a"})
    run.feed(StateEdited(values={"k": 9, "log": ["edited"]}))
    assert run.seen("b") == run.seen("c") == {"k": 9, "log": ["edited"]}
    run.give("b", {"log": "b"})
    run.give("c", {"log": "c"})
    assert run.seen("j") == {"k": 9, "log": ["edited", "c", "b"]}


def test_a_write_after_an_edit_does_not_conflict_with_one_before_it() -> None:
    run = Run({"s": {"next": ["a", "b"]}, "a": {"next": "j"}, "b": {"next": "j"}, "j": {"join": "all"}})
    run.give("s")
    run.give("a", {"k": 1})
    run.feed(StateEdited(values={"k": 5}))
    run.give("b", {"k": 2})
    assert run.seen("j") == {"k": 2}


def test_an_edit_may_delete_keys() -> None:
    run = Run({"s": {}}, state={"k": 1, "l": 2})
    run.feed(StateEdited(delete=("k", "unknown")))
    assert run.seen("s") == {"l": 2}


def test_open_items_see_an_edit_too() -> None:
    """
    s ══► w ══► v ══► end
    """
    inner = {"map": "= [1]", "to": "v", "join": "end"}
    run = Run({"s": {"next": {"map": "= [1, 2]", "to": "w", "join": "end"}}, "w": {"next": inner}, "v": {}})
    run.give("s", {"k": 0, "gone": 1})
    run.give("s[0].w")
    run.feed(StateEdited(values={"k": 9}, delete=("gone",)))
    for place in ("s[0].w[0].v", "s[1].w"):
        seen = run.seen(place)
        assert seen["k"] == 9
        assert "gone" not in seen


def test_what_items_have_written_to_an_edited_key_does_not_come_out() -> None:
    run = Run(
        {"s": {"next": {"map": "= [0, 1, 2]", "to": "w", "join": "end"}}, "w": {"next": "v"}, "v": {}},
        reducers={**LOG, "n": "add"},
    )
    run.give("s")
    for place in ("s[0].w", "s[0].v", "s[1].w"):
        run.give(place, {"n": 1, "log": place})
    run.feed(StateEdited(values={"n": 100}))
    for place in ("s[1].v", "s[2].w", "s[2].v"):
        run.give(place, {"n": 1, "log": place})
    assert run.final == {"n": 103, "log": ["s[0].w", "s[0].v", "s[1].w", "s[1].v", "s[2].w", "s[2].v"]}


def test_an_edit_takes_a_conflict_out_of_the_preview() -> None:
    run = Run({"s": {"next": ["a", "b"]}, "a": {"next": "c"}, "b": {"next": "c"}, "c": {}})
    run.give("s")
    run.give("a", {"k": 1})
    run.give("b", {"k": 2})
    assert preview(run.state).conflicts == ("k",)
    run.feed(StateEdited(values={"k": 3}))
    shown = preview(run.state)
    assert (shown.values, shown.conflicts) == ({"k": 3}, ())
