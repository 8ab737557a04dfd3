"""Events as JSON."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from runs.engine import codec
from runs.engine import events as vocabulary
from runs.engine.events import (
    BranchFrozen,
    ConflictForeseen,
    Event,
    Failure,
    ItemCollected,
    ItemFailed,
    MapClosed,
    MapFailed,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunReopened,
    RunStarted,
    RunTimedOut,
    StateEdited,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepRescheduled,
)

STEP = bytes(range(10))
HEX = "00010203040506070809"
ERROR = Failure(type="KeyError", message="'k'")
ERROR_DATA = {"type": "KeyError", "message": "'k'"}

CASES: list[tuple[Event, dict[str, Any]]] = [
    (RunStarted(state={"k": 1}), {"state": {"k": 1}}),
    (StepCompleted(step=STEP), {"step": HEX}),
    (
        StepCompleted(
            step=STEP, attempt=2, update={"k": 1}, replace={"l": 2}, delete=("m",), route=("a", "end"), result=[1]
        ),
        {
            "step": HEX,
            "attempt": 2,
            "update": {"k": 1},
            "replace": {"l": 2},
            "delete": ["m"],
            "route": ["a", "end"],
            "result": [1],
        },
    ),
    (StepCompleted(step=STEP, items=()), {"step": HEX, "items": []}),
    (StepCompleted(step=STEP, items=(1, None)), {"step": HEX, "items": [1, None]}),
    (StepFailed(step=STEP, error=ERROR), {"step": HEX, "error": ERROR_DATA}),
    (StepFailed(step=STEP, error=ERROR, route=()), {"step": HEX, "error": ERROR_DATA, "route": []}),
    (StepRescheduled(step=STEP, attempt=3, reason="r"), {"step": HEX, "attempt": 3, "reason": "r"}),
    (ItemCollected(step=STEP, index=0, values={"k": 1}), {"step": HEX, "index": 0, "values": {"k": 1}}),
    (ItemFailed(step=STEP, index=1, error=ERROR), {"step": HEX, "index": 1, "error": ERROR_DATA}),
    (StateEdited(values={"k": 1}, delete=("l",)), {"values": {"k": 1}, "delete": ["l"]}),
    (RunReopened(steps=(STEP,)), {"steps": [HEX]}),
    (RunReopened(), {}),
    (RunCancelled(reason="enough"), {"reason": "enough"}),
    (RunTimedOut(limit_s=1.5), {"limit_s": 1.5}),
    (
        BranchFrozen(step=STEP, node="j", error=Failure(type="X", message="m", keys=("k",))),
        {"step": HEX, "node": "j", "error": {"type": "X", "message": "m", "keys": ["k"]}},
    ),
    (StepCancelled(step=STEP, node="a"), {"step": HEX, "node": "a"}),
    (MapClosed(step=STEP, node="m"), {"step": HEX, "node": "m"}),
    (MapClosed(step=STEP, node="m", failed=2), {"step": HEX, "node": "m", "failed": 2}),
    (
        MapFailed(step=STEP, node="m", error=ERROR, route=("h",)),
        {"step": HEX, "node": "m", "error": ERROR_DATA, "route": ["h"]},
    ),
    (ConflictForeseen(key="k", nodes=("a", "b")), {"key": "k", "nodes": ["a", "b"]}),
    (RunCompleted(), {}),
    (RunFailed(errors=((STEP, "a", ERROR),)), {"errors": [[HEX, "a", ERROR_DATA]]}),
]


@pytest.mark.parametrize(("event", "data"), CASES, ids=lambda value: type(value).__name__)
def test_an_event_is_written_without_its_defaults_and_read_back(event: Event, data: dict[str, Any]) -> None:
    assert codec.to_data(event) == data
    text = json.dumps(codec.to_data(event))
    assert codec.from_data(type(event).__name__, codec.VERSION, json.loads(text)) == event


def test_every_kind_of_event_is_covered_here() -> None:
    assert {type(event) for event, _ in CASES} == set(get_args(vocabulary.Event))


def test_keys_that_the_driver_adds_are_ignored() -> None:
    data = {"step": HEX, "node": "a", "path": "m[0]", "scheduled": [], "took_ms": 1.5}
    assert codec.from_data("StepCompleted", 1, data) == StepCompleted(step=STEP)


@pytest.mark.parametrize(("type_", "v"), [("LogWritten", 1), ("StepCompleted", 2), ("Failure", 1)])
def test_what_this_release_does_not_know_is_refused(type_: str, v: int) -> None:
    with pytest.raises(ValueError, match=f"{type_} of version {v}"):
        codec.from_data(type_, v, {})
