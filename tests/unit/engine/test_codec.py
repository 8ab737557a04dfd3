"""Events as JSON."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from runs.engine import codec
from runs.engine import events as vocabulary
from runs.engine.events import (
    AttemptFailed,
    BranchFrozen,
    BreakpointHit,
    BreakpointsSet,
    ChildStarted,
    CompensationStarted,
    ConflictForeseen,
    Event,
    Failure,
    ItemCollected,
    ItemFailed,
    MapClosed,
    MapFailed,
    MapLimited,
    PartRecorded,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunForked,
    RunMigrated,
    RunPaused,
    RunReopened,
    RunResumed,
    RunStarted,
    RunStopped,
    RunTimedOut,
    StateEdited,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepMoved,
    StepReleased,
    StepRescheduled,
    StepWaiting,
)

STEP = bytes(range(10))
HEX = "00010203040506070809"
ERROR = Failure(type="KeyError", message="'k'")
ERROR_DATA = {"type": "KeyError", "message": "'k'"}

CASES: list[tuple[Event, dict[str, Any]]] = [
    (RunStarted(state={"k": 1}), {"state": {"k": 1}}),
    (RunStarted(state={}, max_state_bytes=9), {"state": {}, "max_state_bytes": 9}),
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
    (StepCompleted(step=STEP, compensation={}), {"step": HEX, "compensation": {}}),
    (StepCompleted(step=STEP, items=()), {"step": HEX, "items": []}),
    (StepCompleted(step=STEP, items=(1, None)), {"step": HEX, "items": [1, None]}),
    (StepFailed(step=STEP, error=ERROR), {"step": HEX, "error": ERROR_DATA}),
    (StepFailed(step=STEP, error=ERROR, route=()), {"step": HEX, "error": ERROR_DATA, "route": []}),
    (
        AttemptFailed(step=STEP, error=ERROR, retry_at="2026-11-23T09:30:00Z"),
        {"step": HEX, "error": ERROR_DATA, "retry_at": "2026-11-23T09:30:00Z"},
    ),
    (
        AttemptFailed(step=STEP, attempt=2, error=ERROR, retry_at="2026-11-23T09:30:00Z", heartbeat=0),
        {"step": HEX, "attempt": 2, "error": ERROR_DATA, "retry_at": "2026-11-23T09:30:00Z", "heartbeat": 0},
    ),
    (StepRescheduled(step=STEP, attempt=3, reason="r"), {"step": HEX, "attempt": 3, "reason": "r"}),
    (
        StepRescheduled(step=STEP, attempt=3, reason="r", heartbeat=[1]),
        {"step": HEX, "attempt": 3, "reason": "r", "heartbeat": [1]},
    ),
    (
        ChildStarted(step=STEP, graph="review@7", digest="ab", state={"k": 1}),
        {"step": HEX, "graph": "review@7", "digest": "ab", "state": {"k": 1}},
    ),
    (
        StepCompleted(step=STEP, route=("a", "b"), payloads=(None, {"k": 1})),
        {"step": HEX, "route": ["a", "b"], "payloads": [None, {"k": 1}]},
    ),
    (StepWaiting(step=STEP, wait={"for": "signal"}), {"step": HEX, "wait": {"for": "signal"}}),
    (StepWaiting(step=STEP, attempt=2, wait={}), {"step": HEX, "attempt": 2, "wait": {}}),
    (PartRecorded(step=STEP, name="fetch", value=None), {"step": HEX, "name": "fetch", "value": None}),
    (
        PartRecorded(step=STEP, attempt=2, name="fetch", value=[1]),
        {"step": HEX, "attempt": 2, "name": "fetch", "value": [1]},
    ),
    (ItemCollected(step=STEP, index=0, values={"k": 1}), {"step": HEX, "index": 0, "values": {"k": 1}}),
    (ItemFailed(step=STEP, index=1, error=ERROR), {"step": HEX, "index": 1, "error": ERROR_DATA}),
    (StateEdited(values={"k": 1}, delete=("l",)), {"values": {"k": 1}, "delete": ["l"]}),
    (StateEdited(values={"k": 1}, within=STEP), {"values": {"k": 1}, "within": HEX}),
    (RunForked(snapshot={"root": {}}, run="r", seq=3), {"snapshot": {"root": {}}, "run": "r", "seq": 3}),
    (RunMigrated(version="g@2", digest="d"), {"version": "g@2", "digest": "d"}),
    (
        RunMigrated(version="g@2", digest="d", mapping={"a": "b"}),
        {"version": "g@2", "digest": "d", "mapping": {"a": "b"}},
    ),
    (StepMoved(step=STEP, node="b"), {"step": HEX, "node": "b"}),
    (RunReopened(steps=(STEP,)), {"steps": [HEX]}),
    (RunReopened(), {}),
    (RunCancelled(graceful=True), {"graceful": True}),
    (CompensationStarted(reason="failed"), {"reason": "failed"}),
    (RunStopped(), {}),
    (RunPaused(), {}),
    (RunPaused(reason="lunch", held=(STEP,)), {"reason": "lunch", "held": [HEX]}),
    (RunResumed(), {}),
    (StepReleased(), {}),
    (BreakpointsSet(breakpoints=({"id": "b"},)), {"breakpoints": [{"id": "b"}]}),
    (BreakpointHit(step=STEP, breakpoint="b", stops=False), {"step": HEX, "breakpoint": "b", "stops": False}),
    (
        BreakpointHit(step=STEP, breakpoint="b", stops=True, held=(STEP,)),
        {"step": HEX, "breakpoint": "b", "stops": True, "held": [HEX]},
    ),
    (MapLimited(step=STEP, max_parallel=None), {"step": HEX, "max_parallel": None}),
    (StepReleased(steps=(STEP,), mode="over"), {"steps": [HEX], "mode": "over"}),
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
