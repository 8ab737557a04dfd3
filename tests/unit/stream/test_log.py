"""Journal entries in words."""

import json
from datetime import UTC, datetime
from typing import Any, get_args

import pytest

from runs.engine.events import Event
from runs.log import log_lines, message_of, render
from runs.redaction import Redaction
from runs.store.writes import EventRow

STEP = "00" * 10
ERROR = {"type": "ValueError", "message": "no such file"}

PUBLISHED_LINES: list[tuple[str, dict[str, Any], list[str]]] = [
    ("RunStarted", {"state": {}, "scheduled": [[STEP, "extract", ""]]}, ["Started node: extract"]),
    (
        "StepCompleted",
        {"node": "extract", "scheduled": [[STEP, "a", ""], [STEP, "b", "fan[1]"]]},
        ["Completed node: extract", "Started node: a", "Started node: b"],
    ),
    ("StepCompleted", {"node": "fan", "items": [1], "scheduled": [[STEP, "a", "fan[0]"]]}, ["Started node: a"]),
    ("MapClosed", {"node": "fan"}, ["Completed node: fan"]),
    (
        "StepFailed",
        {"node": "read", "error": ERROR, "scheduled": [[STEP, "s", ""]], "undoing": True},
        ["Failed node: read: ValueError: no such file", "Undoing node: s"],
    ),
    ("StepCompleted", {"node": "s", "compensates": True}, ["Undone node: s"]),
    ("StepFailed", {"node": "read", "error": ERROR}, ["Failed node: read: ValueError: no such file"]),
    (
        "AttemptFailed",
        {"node": "read", "error": ERROR, "scheduled": [[STEP, "read", ""]]},
        ["Failed node: read: ValueError: no such file", "Started node: read"],
    ),
    ("MapFailed", {"node": "fan", "error": ERROR}, ["Failed node: fan: ValueError: no such file"]),
    ("BranchFrozen", {"node": "join", "error": {**ERROR, "message": ""}}, ["Failed node: join: ValueError"]),
    ("LogWritten", {"node": "read", "message": "opening"}, []),
    ("RunCompleted", {}, []),
    ("StepCancelled", {"node": "slow"}, []),
]


@pytest.mark.parametrize(("type_", "data", "lines"), PUBLISHED_LINES)
def test_the_published_log_has_three_kinds_of_lines(type_: str, data: dict[str, Any], lines: list[str]) -> None:
    assert log_lines(type_, data) == lines


SENTENCES: list[tuple[str, dict[str, Any], str]] = [
    ("RunStarted", {"state": {}}, "Run started"),
    ("StepCompleted", {"node": "extract"}, "Completed node: extract"),
    ("StepCompleted", {"node": "work", "path": "fan[3]"}, "Completed node: work (fan[3])"),
    ("StepCompleted", {"node": "fan", "items": [1, 2]}, "Opened map at node: fan: 2 items"),
    ("StepCompleted", {"node": "fan", "items": [1]}, "Opened map at node: fan: 1 item"),
    ("StepCompleted", {"node": "s", "compensates": True}, "Undone node: s"),
    ("StepFailed", {"node": "read", "error": ERROR}, "Failed node: read: ValueError: no such file"),
    (
        "AttemptFailed",
        {"node": "read", "path": "fan[3]", "error": ERROR, "retry_at": "2026-11-23T09:30:00Z"},
        "Failed node: read (fan[3]): attempt 1, next at 2026-11-23 09:30:00 UTC: ValueError: no such file",
    ),
    (
        "StepRescheduled",
        {"node": "read", "attempt": 2, "reason": "its worker died"},
        "Starting again node: read: attempt 2, its worker died",
    ),
    ("ChildStarted", {"node": "call", "graph": "review@7", "state": {}}, "Began subgraph of node: call: review@7"),
    ("ChildStarted", {"node": "call", "graph": ""}, "Began subgraph of node: call: a computed definition"),
    ("StepWaiting", {"node": "ask", "path": "fan[3]", "wait": {}}, "Waiting at node: ask (fan[3])"),
    (
        "StepWaiting",
        {
            "node": "ask",
            "wait": {"kind": "wait", "entries": [{"at": "2026-11-23T09:30:00.5+00:00"}, {"signal": "paid"}]},
        },
        "Waiting at node: ask: until 2026-11-23 09:30:00 UTC or signal paid",
    ),
    ("StepWaiting", {"node": "ask", "wait": {"kind": "human"}}, "Waiting at node: ask: a person's answer"),
    ("StepWaiting", {"node": "ask", "wait": "[redacted]"}, "Waiting at node: ask"),
    (
        "AttemptFailed",
        {"node": "read", "error": ERROR, "retry_at": ""},
        "Failed node: read: attempt 1, no next by itself: ValueError: no such file",
    ),
    ("PartRecorded", {"node": "read", "name": "fetch", "value": 1}, "Recorded a part of node: read: fetch"),
    ("ItemCollected", {"node": "fan", "index": 3, "values": {}}, "Collected item 3 of node: fan"),
    ("ItemFailed", {"node": "fan", "index": 3, "error": ERROR}, "Failed item 3 of node: fan: ValueError: no such file"),
    ("MapClosed", {"node": "fan"}, "Completed node: fan"),
    ("MapFailed", {"node": "fan", "error": ERROR}, "Failed node: fan: ValueError: no such file"),
    ("StateEdited", {"values": {"b": 1}, "delete": ["a"]}, "State edited: a, b"),
    ("RunForked", {"run": "r", "seq": 3}, "Run forked from run r after event 3"),
    ("RunMigrated", {"version": "review@8"}, "Run migrated to review@8"),
    ("StepMoved", {"node": "b", "path": "m[0]"}, "Goes on at node: b (m[0])"),
    ("RunReopened", {}, "Run reopened"),
    ("RunPaused", {}, "Run paused"),
    ("RunPaused", {"reason": "lunch"}, "Run paused: lunch"),
    ("RunResumed", {}, "Run resumed"),
    ("StepReleased", {}, "Step into"),
    ("StepReleased", {"mode": "over"}, "Step over"),
    ("BreakpointsSet", {"breakpoints": [{"id": "b1"}]}, "Breakpoints set: 1"),
    ("BreakpointHit", {"breakpoint": "b1", "stops": True, "node": "x"}, "Stopped at node: x: breakpoint b1"),
    ("BreakpointHit", {"breakpoint": "b1", "stops": False, "node": "x"}, "Passed node: x: breakpoint b1"),
    ("MapLimited", {"max_parallel": 2, "node": "fan"}, "Limited node: fan: 2 items at once"),
    ("MapLimited", {"max_parallel": None, "node": "fan"}, "Limited node: fan: any number of items at once"),
    ("RunCancelled", {"graceful": True, "reason": "late"}, "Run cancelled gracefully: late"),
    ("CompensationStarted", {"reason": "failed"}, "Undoing what was done: the run has failed"),
    ("CompensationStarted", {"reason": "cancelled"}, "Undoing what was done: the run has been cancelled"),
    ("RunStopped", {}, "Run stopped"),
    ("RunCancelled", {"reason": "not needed"}, "Run cancelled: not needed"),
    ("RunCancelled", {}, "Run cancelled"),
    ("RunTimedOut", {"limit_s": 1.5}, "Run timed out after 1.5 s"),
    ("BranchFrozen", {"node": "join", "error": ERROR}, "Failed node: join: ValueError: no such file"),
    ("StepCancelled", {"node": "slow"}, "Cancelled node: slow"),
    ("RunParked", {"errors": [], "reason": "Damaged."}, "Run parked: Damaged."),
    ("MailRefused", {"kind": "sing", "reason": "Unknown."}, "Refused a message: Unknown."),
    ("ConflictForeseen", {"key": "x", "nodes": ["a", "b"]}, "Branches will conflict over x: a, b"),
    ("RunCompleted", {}, "Run completed"),
    ("RunFailed", {"errors": []}, "Run failed"),
    ("LogWritten", {"message": "opening", "node": "read"}, "opening"),
]


@pytest.mark.parametrize(("type_", "data", "sentence"), SENTENCES)
def test_every_entry_is_a_sentence_for_people(type_: str, data: dict[str, Any], sentence: str) -> None:
    assert message_of(type_, data) == sentence


def test_no_event_of_the_engine_is_without_a_sentence() -> None:
    assert {kind.__name__ for kind in get_args(Event)} <= {type_ for type_, _, _ in SENTENCES}


def test_an_entry_of_a_later_release_is_named_as_it_is() -> None:
    assert message_of("StepTeleported", {}) == "StepTeleported"
    assert log_lines("StepTeleported", {}) == []


@pytest.mark.parametrize("text", ["{", "[]", '{"error": 1, "scheduled": 1}'])
def test_a_damaged_entry_is_named_and_has_no_lines(text: str) -> None:
    rendered = render(EventRow(7, "StepFailed", 1, datetime(2026, 11, 23, tzinfo=UTC), text), Redaction(None))
    assert rendered["message"] == "StepFailed"
    assert log_lines("StepFailed", rendered["data"]) == []


def test_a_rendered_entry_has_the_fields_that_clients_know() -> None:
    data = {"node": "extract", "step": STEP, "update": {"n": 1}}
    at = datetime(2026, 11, 23, 9, 30, 0, 250_000, tzinfo=UTC)
    assert render(EventRow(7, "StepCompleted", 1, at, json.dumps(data)), Redaction(None)) == {
        "seq": 7,
        "type": "StepCompleted",
        "at": "2026-11-23T09:30:00.250000Z",
        "node": "extract",
        "step": STEP,
        "message": "Completed node: extract",
        "data": data,
    }


def test_what_concerns_the_whole_run_has_no_node() -> None:
    rendered = render(EventRow(1, "RunCompleted", 1, datetime(2026, 11, 23, tzinfo=UTC), "{}"), Redaction(None))
    assert rendered["node"] is None
    assert rendered["step"] is None
