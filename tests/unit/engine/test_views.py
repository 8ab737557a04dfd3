"""What steps and expressions see (rule R4)."""

from __future__ import annotations

import pytest

from runs.engine import view
from tests.unit.engine.driving import Run


def forked() -> Run:
    run = Run({"s": {"next": ["a", "b"]}, "a": {"next": "c"}, "b": {}, "c": {}}, state={"x": 1, "y": 2})
    run.give("s")
    run.give("a", {"x": 10, "z": 3}, delete=("y",))
    return run


def test_a_view_is_a_mapping_of_the_state_as_its_branch_sees_it() -> None:
    run = forked()
    seen = view(run.state, run.start("c").step)
    assert dict(seen.state) == {"x": 10, "z": 3}
    assert len(seen.state) == 2
    assert "y" not in seen
    assert "x" in seen
    assert seen.get("y", "nothing") == "nothing"
    with pytest.raises(KeyError):
        seen["y"]
    assert dict(view(run.state, run.start("b").step).state) == {"x": 1, "y": 2}


def test_the_name_state_is_the_whole_state_as_plain_json() -> None:
    run = forked()
    seen = view(run.state, run.start("c").step)
    assert seen["state"] == {"x": 10, "z": 3}
    assert type(seen["state"]) is dict
    assert set(seen) == {"state", "x", "z"}
    assert len(seen) == 3


def test_local_names_hide_keys_of_the_state_but_not_in_state() -> None:
    run = Run({"s": {"next": {"map": "= [5]", "to": "w", "join": "end"}}, "w": {}}, state={"item": 1, "index": 2})
    run.give("s")
    seen = view(run.state, run.start("s[0].w").step)
    assert (seen["item"], seen["index"]) == (5, 0)
    assert seen["state"] == {"item": 1, "index": 2}


def test_a_view_stays_what_it_is_while_the_run_goes_on() -> None:
    run = forked()
    seen = view(run.state, run.start("c").step)
    before = dict(seen)
    run.give("b", {"w": 1})
    assert dict(seen) == before


def test_there_is_no_view_of_a_step_that_the_run_is_not_at() -> None:
    run = forked()
    with pytest.raises(KeyError):
        view(run.state, b"0123456789")
