"""A journal entry in words: for people, for the published execution log, and as the message that clients receive."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

Data = Mapping[str, Any]


class JournalEntry(Protocol):
    """An `Event` row, or a tuple with the same names."""

    @property
    def seq(self) -> int: ...
    @property
    def type(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def data(self) -> str: ...


def message_of(type: str, data: Data) -> str:
    """Say what happened in one sentence for people. A type of a later release is named as it is."""
    phrase = _PHRASES.get(type)
    return phrase(data) if phrase else type


def log_lines(type: str, data: Data) -> list[str]:
    """The lines of the published execution log: `Started node: x`, `Completed node: x`, `Failed node: x: why`."""
    lines = []
    if type == "MapClosed" or (type == "StepCompleted" and data.get("items") is None):
        lines.append(f"Completed node: {data['node']}")
    elif type in {"StepFailed", "MapFailed", "BranchFrozen"}:
        lines.append(f"Failed node: {data['node']}: {_why(data)}")
    lines.extend(f"Started node: {node}" for _, node, _ in data.get("scheduled", ()))
    return lines


def render(entry: JournalEntry) -> dict[str, Any]:
    """The entry as REST and the WebSocket send it. `node` and `step` are null for what concerns the whole run."""
    data = json.loads(entry.data)
    return {
        "seq": entry.seq,
        "type": entry.type,
        "at": entry.at.isoformat().replace("+00:00", "Z"),
        "node": data.get("node"),
        "step": data.get("step"),
        "message": message_of(entry.type, data),
        "data": data,
    }


def _why(data: Data) -> str:
    error = data["error"]
    return f"{error['type']}: {error['message']}" if error["message"] else error["type"]


def _named(phrase: str) -> Callable[[Data], str]:
    """`phrase` followed by the node, and by the map items around it."""

    def say(data: Data) -> str:
        place = f" ({data['path']})" if data.get("path") else ""
        return f"{phrase} node: {data.get('node', '?')}{place}"

    return say


def _with(phrase: Callable[[Data], str], more: Callable[[Data], str]) -> Callable[[Data], str]:
    """`phrase`, and what `more` adds, if anything."""

    def say(data: Data) -> str:
        added = more(data)
        return f"{phrase(data)}: {added}" if added else phrase(data)

    return say


def _fixed(phrase: str) -> Callable[[Data], str]:
    return lambda data: phrase


_PHRASES: dict[str, Callable[[Data], str]] = {
    "RunStarted": _fixed("Run started"),
    "StepCompleted": _named("Completed"),
    "StepFailed": _with(_named("Failed"), _why),
    "StepRescheduled": lambda data: f"{_named('Starting again')(data)}: attempt {data['attempt']}, {data['reason']}",
    "ItemCollected": lambda data: f"Collected item {data['index']} of node: {data.get('node', '?')}",
    "ItemFailed": lambda data: f"Failed item {data['index']} of node: {data.get('node', '?')}: {_why(data)}",
    "MapClosed": _named("Completed"),
    "MapFailed": _with(_named("Failed"), _why),
    "StateEdited": lambda data: (
        f"State edited: {', '.join(sorted([*data.get('values', ()), *data.get('delete', ())]))}"
    ),
    "RunReopened": _fixed("Run reopened"),
    "RunCancelled": _with(_fixed("Run cancelled"), lambda data: str(data.get("reason", ""))),
    "RunTimedOut": lambda data: f"Run timed out after {data['limit_s']:g} s",
    "BranchFrozen": _with(_named("Failed"), _why),
    "StepCancelled": _named("Cancelled"),
    "ConflictForeseen": lambda data: f"Branches will conflict over {data['key']}: {', '.join(data['nodes'])}",
    "RunCompleted": _fixed("Run completed"),
    "RunFailed": _fixed("Run failed"),
    "LogWritten": lambda data: str(data["message"]),
}
