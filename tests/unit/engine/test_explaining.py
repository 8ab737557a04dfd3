"""Why a run is where it is."""

from __future__ import annotations

from typing import Any

import pytest

from runs.engine.events import AttemptFailed, Failure, RunPaused, StepFailed, StepWaiting
from runs.engine.explaining import explain
from tests.unit.engine.driving import Run

Json = Any


def reasons(run: Run) -> list[tuple[str, str, str]]:
    return [(one.because, one.path, one.node) for one in explain(run.state)]


def test_a_step_in_flight_and_the_join_that_waits_for_it() -> None:
    """s ──< a | b ── c >── j(all)"""
    run = Run(
        {"s": {"next": ["a", "b"]}, "a": {"next": "j"}, "b": {"next": "c"}, "c": {"next": "j"}, "j": {"join": "all"}}
    )
    run.give("s")
    run.give("a")
    found = list(explain(run.state))
    assert reasons(run) == [("running", "", "b"), ("join", "", "j")]
    assert found[1].data == {"arrived": 1, "waits_for": ["b"]}
    assert found[1].message == 'Node "j" has 1 branch and waits for those at b.'
    run.fail("b")
    assert run.status == "failed"
    assert reasons(run) == [("failed", "", "b"), ("join", "", "j")]


def test_a_conflict_names_the_keys_to_edit() -> None:
    run = Run({"s": {"next": ["a", "b"]}, "a": {"next": "j"}, "b": {"next": "j"}, "j": {"join": "all"}})
    run.give("s")
    run.give("a", {"k": 1})
    run.give("b", {"k": 2})
    (found,) = explain(run.state)
    assert (found.because, found.data["keys"]) == ("conflict", ["k"])
    assert found.message.endswith("Edit k, then try it again.")


def test_what_a_pause_holds_and_what_goes_on_beside_it() -> None:
    run = Run({"s": {"next": ["a", "b"]}, "a": {"next": "c"}, "b": {}, "c": {}})
    run.give("s")
    run.feed(RunPaused())
    run.give("a")
    assert reasons(run) == [("running", "", "b"), ("held", "", "c")]


def test_a_next_attempt_that_is_not_due_yet() -> None:
    run = Run({"s": {}})
    step = run.start("s").step
    run.feed(AttemptFailed(step=step, error=Failure(type="E", message="no"), retry_at="2030-01-01T00:00:00+00:00"))
    (found,) = explain(run.state)
    assert (found.because, found.data["until"], found.data["attempt"]) == ("retry", "2030-01-01T00:00:00+00:00", 2)
    assert found.message == 'Node "s" has failed once and is tried again at 2030-01-01 00:00:00 UTC.'


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (Failure(type="ValueError", message=""), 'Node "s" failed: ValueError.'),
        (Failure(type="KeyError", message="'id'"), "Node \"s\" failed: KeyError: 'id'."),
        (Failure(type="OSError", message="Why not?"), 'Node "s" failed: OSError: Why not?'),
    ],
)
def test_a_failure_is_a_sentence_whatever_the_exception_says(error: Failure, sentence: str) -> None:
    run = Run({"s": {}})
    run.feed(StepFailed(step=run.start("s").step, error=error))
    (found,) = explain(run.state)
    assert found.message == sentence


LATE, SOON = "2030-01-02T00:00:00+00:00", "2030-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("wait", "because", "data"),
    [
        ({"entries": [{"at": SOON}]}, "timer", {"until": SOON}),
        ({"entries": [{"signal": "paid"}], "timeout_at": LATE}, "signal", {"signals": ["paid"], "until": LATE}),
        ({"entries": [{"signal": "paid"}, {"at": SOON}]}, "signal", {"signals": ["paid"], "until": SOON}),
        ({"kind": "human"}, "person", {}),
        ({"kind": "lock", "name": "press", "timeout_at": None}, "lock", {"name": "press"}),
    ],
)
def test_a_step_that_waits_for_the_outside(wait: Json, because: str, data: Json) -> None:
    run = Run({"s": {}})
    run.feed(StepWaiting(step=run.start("s").step, wait=wait))
    (found,) = explain(run.state)
    assert (found.because, found.data) == (because, data)
    assert ("2030-01-01 00:00:00 UTC" in found.message) == (data.get("until") == SOON)


def test_a_map_that_lets_few_items_run_at_once() -> None:
    run = Run(
        {
            "s": {"next": {"map": "= [1, 2, 3]", "as": "i", "to": "w", "join": "e", "max_parallel": 2}},
            "w": {"next": "e"},
            "e": {},
        }
    )
    run.give("s")
    run.give("s[0].w")
    assert [one for one in reasons(run) if one[0] == "running"] == [("running", "s[1]", "w"), ("running", "s[2]", "w")]
    assert "map" not in {because for because, _, _ in reasons(run)}
    few = Run(
        {
            "s": {"next": {"map": "= [1, 2, 3]", "as": "i", "to": "w", "join": "e", "max_parallel": 2}},
            "w": {"next": "e"},
            "e": {},
        }
    )
    few.give("s")
    (found,) = [one for one in explain(few.state) if one.because == "map"]
    assert found.data == {"max_parallel": 2, "items": 3}


def test_a_run_that_has_completed_has_no_obstacle() -> None:
    run = Run({"s": {}})
    run.give("s")
    assert reasons(run) == []
