"""A journal entry in words: for people, for the published execution log, and as the message that clients receive."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from runs.engine.moments import in_words
from runs.redaction import Redaction

Data = Mapping[str, Any]
_DAMAGED = (LookupError, TypeError, ValueError, AttributeError)


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
    """Say what happened in one sentence for people; name by its type what is damaged or of a later release."""
    phrase = _PHRASES.get(type)
    try:
        return phrase(data) if phrase else type
    except _DAMAGED:
        return type


def data_of(text: str) -> dict[str, Any]:
    """The data of an entry; empty if it is damaged, which must not keep anybody from the entries beside it."""
    try:
        data = json.loads(text)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def log_lines(type: str, data: Data) -> list[str]:
    """The lines of the published execution log: `Started node: x`, `Completed node: x`, `Failed node: x: why`.

    None of a damaged entry.
    """
    try:
        return _log_lines(type, data)
    except _DAMAGED:
        return []


def _log_lines(type: str, data: Data) -> list[str]:
    lines = []
    if type == "MapClosed" or (type == "StepCompleted" and data.get("items") is None):
        lines.append(f"{'Undone' if data.get('compensates') else 'Completed'} node: {data['node']}")
    elif type in {"StepFailed", "AttemptFailed", "MapFailed", "BranchFrozen"}:
        lines.append(f"Failed {'to undo ' if data.get('compensates') else ''}node: {data['node']}: {_why(data)}")
    begun = "Undoing" if data.get("undoing") else "Started"
    lines.extend(f"{begun} node: {node}" for _, node, _ in data.get("scheduled", ()))
    return lines


def render(entry: JournalEntry, redaction: Redaction) -> dict[str, Any]:
    """The entry as REST and the WebSocket send it. `node` and `step` are null for what concerns the whole run."""
    data = data_of(entry.data)
    shown = redaction.entry(data)
    return {
        "seq": entry.seq,
        "type": entry.type,
        "at": entry.at.isoformat().replace("+00:00", "Z"),
        "node": data.get("node"),
        "step": data.get("step"),
        "message": message_of(entry.type, shown),
        "data": shown,
    }


def _why(data: Data) -> str:
    error = data["error"]
    return f"{error['type']}: {error['message']}" if error["message"] else error["type"]


def _next_try(retry_at: str) -> str:
    return f"next at {in_words(retry_at)}" if retry_at else "no next by itself"


def _awaited(wait: Any) -> str:
    """What a step waits for; empty where it is not said, or not to be shown."""
    if not isinstance(wait, Mapping):
        return ""
    match wait.get("kind"):
        case "human":
            return "a person's answer"
        case "lock":
            return f'the lock "{wait["name"]}"'
    return " or ".join(map(_way, wait.get("entries", ())))


def _way(entry: Data) -> str:
    return f"signal {entry['signal']}" if "signal" in entry else f"until {in_words(entry['at'])}"


def _items_at_once(limit: int | None) -> str:
    return "any number of items at once" if limit is None else f"{_count(limit, 'item')} at once"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _cancelled(data: Data) -> str:
    return "Run cancelled gracefully" if data.get("graceful") else "Run cancelled"


def _named(phrase: str) -> Callable[[Data], str]:
    """`phrase` followed by the node, and by the map items around it."""

    def say(data: Data) -> str:
        place = f" ({data['path']})" if data.get("path") else ""
        return f"{phrase} node: {data.get('node', '?')}{place}"

    return say


def _completed(data: Data) -> str:
    if data.get("compensates"):
        return _named("Undone")(data)
    if data.get("items") is not None:
        return f"{_named('Opened map at')(data)}: {_count(len(data['items']), 'item')}"
    return _named("Completed")(data)


def _with(phrase: Callable[[Data], str], more: Callable[[Data], str]) -> Callable[[Data], str]:
    """`phrase`, and what `more` adds, if anything."""

    def say(data: Data) -> str:
        added = more(data)
        return f"{phrase(data)}: {added}" if added else phrase(data)

    return say


def _fixed(phrase: str) -> Callable[[Data], str]:
    return lambda data: phrase


_IS_OVER = {"failed": "failed", "cancelled": "been cancelled"}

_PHRASES: dict[str, Callable[[Data], str]] = {
    "RunStarted": _fixed("Run started"),
    "RunForked": lambda data: f"Run forked from run {data['run']} after event {data['seq']}",
    "StepCompleted": lambda data: _completed(data) + (", from the cache" if "cached_from" in data else ""),
    "StepFailed": _with(lambda data: _named("Failed to undo" if data.get("compensates") else "Failed")(data), _why),
    "AttemptFailed": lambda data: (
        f"{_named('Failed')(data)}: attempt {data.get('attempt', 1)}, {_next_try(data['retry_at'])}: {_why(data)}"
    ),
    "StepRescheduled": lambda data: f"{_named('Starting again')(data)}: attempt {data['attempt']}, {data['reason']}",
    "ChildStarted": lambda data: f"{_named('Began subgraph of')(data)}: {data['graph'] or 'a computed definition'}",
    "StepWaiting": _with(_named("Waiting at"), lambda data: _awaited(data["wait"])),
    "PartRecorded": _with(_named("Recorded a part of"), lambda data: str(data["name"])),
    "ItemCollected": lambda data: f"Collected item {data['index']} of node: {data.get('node', '?')}",
    "ItemFailed": lambda data: f"Failed item {data['index']} of node: {data.get('node', '?')}: {_why(data)}",
    "MapClosed": _named("Completed"),
    "MapFailed": _with(_named("Failed"), _why),
    "StateEdited": lambda data: (
        f"State edited: {', '.join(sorted([*data.get('values', ()), *data.get('delete', ())]))}"
    ),
    "RunMigrated": lambda data: f"Run migrated to {data['version']}",
    "RunReopened": _fixed("Run reopened"),
    "RunPaused": _with(_fixed("Run paused"), lambda data: str(data.get("reason", ""))),
    "RunResumed": _fixed("Run resumed"),
    "StepReleased": lambda data: f"Step {data.get('mode', 'into')}",
    "BreakpointsSet": lambda data: f"Breakpoints set: {len(data['breakpoints'])}",
    "BreakpointHit": lambda data: (
        f"{_named('Stopped at' if data['stops'] else 'Passed')(data)}: breakpoint {data['breakpoint']}"
    ),
    "MapLimited": lambda data: f"{_named('Limited')(data)}: {_items_at_once(data['max_parallel'])}",
    "RunCancelled": _with(_cancelled, lambda data: str(data.get("reason", ""))),
    "RunTimedOut": lambda data: f"Run timed out after {data['limit_s']:g} s",
    "BranchFrozen": _with(_named("Failed"), _why),
    "StepCancelled": _named("Cancelled"),
    "StepMoved": _named("Goes on at"),
    "ConflictForeseen": lambda data: f"Branches will conflict over {data['key']}: {', '.join(data['nodes'])}",
    "CompensationStarted": lambda data: f"Undoing what was done: the run has {_IS_OVER[data['reason']]}",
    "RunStopped": _fixed("Run stopped"),
    "RunCompleted": _fixed("Run completed"),
    "RunFailed": _fixed("Run failed"),
    "RunParked": lambda data: f"Run parked: {data['reason']}",
    "MailRefused": lambda data: f"Refused a message: {data['reason']}",
    "LogWritten": lambda data: str(data["message"]),
}
