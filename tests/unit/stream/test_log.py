"""Journal entries in words."""

import json
from datetime import UTC, datetime
from typing import Any, get_args

import pytest

from runs.engine.events import Event
from runs.log import log_lines, message_of, render
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
    ("StepFailed", {"node": "read", "error": ERROR}, ["Failed node: read: ValueError: no such file"]),
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
    ("StepFailed", {"node": "read", "error": ERROR}, "Failed node: read: ValueError: no such file"),
    (
        "StepRescheduled",
        {"node": "read", "attempt": 2, "reason": "its worker died"},
        "Starting again node: read: attempt 2, its worker died",
    ),
    ("ItemCollected", {"node": "fan", "index": 3, "values": {}}, "Collected item 3 of node: fan"),
    ("ItemFailed", {"node": "fan", "index": 3, "error": ERROR}, "Failed item 3 of node: fan: ValueError: no such file"),
    ("MapClosed", {"node": "fan"}, "Completed node: fan"),
    ("MapFailed", {"node": "fan", "error": ERROR}, "Failed node: fan: ValueError: no such file"),
    ("StateEdited", {"values": {"b": 1}, "delete": ["a"]}, "State edited: a, b"),
    ("RunReopened", {}, "Run reopened"),
    ("RunCancelled", {"reason": "not needed"}, "Run cancelled: not needed"),
    ("RunCancelled", {}, "Run cancelled"),
    ("RunTimedOut", {"limit_s": 1.5}, "Run timed out after 1.5 s"),
    ("BranchFrozen", {"node": "join", "error": ERROR}, "Failed node: join: ValueError: no such file"),
    ("StepCancelled", {"node": "slow"}, "Cancelled node: slow"),
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


def test_a_rendered_entry_has_the_fields_that_clients_know() -> None:
    data = {"node": "extract", "step": STEP, "update": {"n": 1}}
    at = datetime(2026, 11, 23, 9, 30, 0, 250_000, tzinfo=UTC)
    assert render(EventRow(7, "StepCompleted", 1, at, json.dumps(data))) == {
        "seq": 7,
        "type": "StepCompleted",
        "at": "2026-11-23T09:30:00.250000Z",
        "node": "extract",
        "step": STEP,
        "message": "Completed node: extract",
        "data": data,
    }


def test_what_concerns_the_whole_run_has_no_node() -> None:
    rendered = render(EventRow(1, "RunCompleted", 1, datetime(2026, 11, 23, tzinfo=UTC), "{}"))
    assert rendered["node"] is None
    assert rendered["step"] is None
