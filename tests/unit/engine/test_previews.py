"""The state that people see while branches run (rule R15)."""

from __future__ import annotations

from runs.engine import Preview, preview
from tests.unit.engine.driving import Run

FORK = {"s": {"next": ["a", "b"]}, "a": {"next": "j"}, "b": {"next": "j"}, "j": {"join": "all"}}


def test_a_preview_merges_all_branches_in_list_order() -> None:
    run = Run(FORK, state={"x": 1})
    run.give("s", {"log": "s"})
    run.give("b", {"log": "b"})
    run.give("a", {"log": "a"})
    assert preview(run.state) == Preview(values={"x": 1, "log": ["s", "a", "b"]}, conflicts=())


def test_a_preview_shows_the_last_branch_of_a_conflict_and_names_the_key() -> None:
    run = Run({**FORK, "a": {"next": "c"}, "c": {"next": "j"}})
    run.give("s")
    run.give("b", {"k": "b"})
    run.give("a", {"k": "a"})
    assert preview(run.state) == Preview(values={"k": "b"}, conflicts=("k",))


def test_a_run_that_failed_over_a_conflict_still_names_it() -> None:
    run = Run(FORK)
    run.give("s")
    run.give("b", {"k": "b"})
    run.give("a", {"k": "a"})
    assert run.status == "failed"
    assert preview(run.state) == Preview(values={"k": "b"}, conflicts=("k",))


def test_a_preview_survives_updates_that_no_reducer_can_combine() -> None:
    run = Run({**FORK, "a": {"next": "c"}, "c": {"next": "j"}}, state={"x": 1})
    run.give("s")
    run.give("a", replace={"log": "a text"})
    run.give("b", {"log": "b"})
    assert preview(run.state) == Preview(values={"x": 1}, conflicts=("log",))


def test_what_items_do_is_not_shown_before_their_map_is_over() -> None:
    run = Run({"s": {"next": {"map": "= [1]", "to": "w", "join": "end"}}, "w": {"next": "v"}, "v": {}})
    run.give("s", {"log": "s"})
    run.give("s[0].w", {"log": "w"})
    assert preview(run.state).values == {"log": ["s"]}


def test_at_the_end_the_preview_is_the_final_state() -> None:
    run = Run(FORK).play({})
    assert preview(run.state) == Preview(values=run.final or {}, conflicts=())
