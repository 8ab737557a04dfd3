"""Nodes that wait: from their definition to what the journal says they wait for, and what came to a result.

A wait is recorded when it begins, as a JSON object with moments and names in place of expressions, so that whoever
takes the run up later waits for the same:

    {"kind": "wait", "entries": [{"at": "2026-11-25T12:00:00+00:00"}, {"signal": "paid"}], "timeout_at": null, …}

An entry is named by its place in the list; the first that comes wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any

from graphs.expressions import compile_value
from graphs.moments import with_zone
from graphs.spec import WaitEntry, WaitSpec
from runs.engine.events import Failure, Json, JsonObject
from runs.engine.resolving import Raised, Returned

WAIT = "wait"
MAX_NAME_CHARACTERS = 255
MAX_DELAY_S = 100 * 366 * 24 * 3600.0


class WaitInvalid(Exception):
    """What an expression of a wait gave is no time, or no name of a signal."""


def begin_wait(spec: WaitSpec, names: Mapping[str, Json], *, now: datetime) -> JsonObject:
    """What a step that begins at `now` waits for. Raises WaitInvalid and ExpressionError."""
    entries = spec.any if spec.any is not None else (WaitEntry(**_cause(spec)),)
    timeout_at = None if spec.timeout_s is None else _in(spec.timeout_s, names, now)
    return {
        "kind": WAIT,
        "entries": [_entry(entry, names, now) for entry in entries],
        "since": now.isoformat(),
        "timeout_at": timeout_at,
    }


def _cause(spec: WaitSpec) -> dict[str, Any]:
    return {"seconds": spec.seconds, "until": spec.until, "signal": spec.signal}


def _entry(entry: WaitEntry, names: Mapping[str, Json], now: datetime) -> JsonObject:
    if entry.signal is not None:
        return {"signal": _name(compile_value(entry.signal)(names))}
    if entry.seconds is not None:
        return {"at": _in(entry.seconds, names, now)}
    return {"at": _moment(compile_value(entry.until)(names)).isoformat()}


def _in(delay: float | str, names: Mapping[str, Json], now: datetime) -> str:
    return (now + timedelta(seconds=_seconds(compile_value(delay)(names)))).isoformat()


def _name(value: Json) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME_CHARACTERS:
        raise WaitInvalid(
            f"The name of a signal has 1 to {MAX_NAME_CHARACTERS} characters, which is not {value!r:.100}."
        )
    return value


def _seconds(value: Json) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_DELAY_S:
        raise WaitInvalid(f"A wait lasts a number of seconds from 0 to {MAX_DELAY_S:.0f}, not {value!r:.100}.")
    return float(value)


def _moment(value: Json) -> datetime:
    moment = with_zone(value)
    if moment is None:
        raise WaitInvalid(f"A wait lasts until an ISO 8601 time with its zone, not {value!r:.100}.")
    return moment.astimezone(UTC)


def moments_of(wait: Mapping[str, Json]) -> list[tuple[datetime, int | None]]:
    """When something comes by itself: the entry of that place, or None for the end of all waiting.

    In order of time, at one moment in that of the list: the first decides, however late somebody looks.
    """
    moments: list[tuple[datetime, int | None]] = [
        (datetime.fromisoformat(entry["at"]), place)
        for place, entry in enumerate(wait.get("entries", ()))
        if "at" in entry
    ]
    if wait.get("timeout_at"):
        moments.append((datetime.fromisoformat(wait["timeout_at"]), None))
    return sorted(moments, key=itemgetter(0))


def signals_of(wait: Mapping[str, Json]) -> dict[str, int]:
    """The names of the signals that end the wait, with the places of their entries; the first of a name counts."""
    entries = list(enumerate(wait.get("entries", ())))
    return {entry["signal"]: place for place, entry in reversed(entries) if "signal" in entry}


def came(spec: WaitSpec, place: int, what: JsonObject) -> Returned:
    """The result of a wait that an entry ended: `{"at"}` of a timer, `{"payload", "name"}` of a signal."""
    entry_route = None if spec.any is None else spec.any[place].next
    payload = what.get("payload")
    return Returned(
        value={**what, "fired": place} if spec.any is not None else what,
        implied=payload if isinstance(payload, dict) else {},
        route=entry_route,
    )


def timed_out(spec: WaitSpec, wait: Mapping[str, Json]) -> Returned | Raised:
    """The result of a wait that nothing has ended in time."""
    if spec.on_timeout is not None:
        return Returned(value={"at": wait["timeout_at"]}, implied={}, route=spec.on_timeout, is_nothing=True)
    limit_s = spec.timeout_s
    if isinstance(limit_s, str):
        since, until = (datetime.fromisoformat(wait[moment]) for moment in ("since", "timeout_at"))
        limit_s = (until - since).total_seconds()
    message = f"Nothing came within the timeout_s of {limit_s:g} s."
    return Raised(error=Failure(type="TimeoutError", message=message))
