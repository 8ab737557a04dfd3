"""The functions that expressions may call. Each checks its arguments; none changes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from graphs.expressions.errors import Failed
from graphs.expressions.values import MAX_TEXT, add, bounded, contains, is_number, json_type, type_of
from graphs.expressions.work import look_at, read_text
from graphs.moments import with_zone

Json = Any
MAX_ROUND_DIGITS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function of the language. `most` None takes any number of arguments."""

    call: Callable[..., Json]
    least: int
    most: int | None
    usage: str
    looks_inside: bool = False
    """Whether it counts what it looks at (`work`)."""


def _length(value: Json) -> int:
    if type(value) is str or type(value) is list or isinstance(value, Mapping):
        return len(value)
    raise _wrong("len", "a string, a list or an object", value)


def _absolute(value: Json) -> Json:
    return abs(_number("abs", value))


def _minimum(*values: Json) -> Json:
    return min(_comparable("min", values))


def _maximum(*values: Json) -> Json:
    return max(_comparable("max", values))


def _total(values: Json) -> Json:
    total: Json = 0
    for value in _all_of("sum", values):
        total = add(total, _number("sum", value))
    return total


def _rounded(value: Json, digits: Json = None) -> Json:
    number = _number("round", value)
    if digits is None:
        return round(number)
    if type(digits) is not int or abs(digits) > MAX_ROUND_DIGITS:
        raise Failed(
            "type-mismatch",
            f"round takes a whole number of digits from -{MAX_ROUND_DIGITS} to {MAX_ROUND_DIGITS}.",
        )
    return bounded(round(number, digits))


def _lower(text: Json) -> str:
    return _whole_text("lower", text).lower()


def _upper(text: Json) -> str:
    return _whole_text("upper", text).upper()


def _startswith(text: Json, prefix: Json) -> bool:
    return _text("startswith", text).startswith(_text("startswith", prefix))


def _endswith(text: Json, suffix: Json) -> bool:
    return _text("endswith", text).endswith(_text("endswith", suffix))


def _matches(text: Json, pattern: Json) -> bool:
    """Whether the whole text is as the pattern, in which * stands for any characters, and \\* for a star.

    The parts between stars are searched for from left to right, so that nothing is looked at twice.
    """
    if len(_text("matches", pattern)) > MAX_TEXT:
        raise Failed("too-large", f"a pattern has at most {MAX_TEXT:,} characters.")
    parts = _parts_of(pattern)
    first, last, at = parts[0], parts[-1], len(parts[0])
    end = len(_whole_text("matches", text)) - len(last)
    if len(parts) == 1:
        return bool(text == first)
    if not text.startswith(first) or not text.endswith(last):
        return False
    for part in parts[1:-1]:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return at <= end


def _parts_of(pattern: str) -> list[str]:
    """The literal texts around the stars of a pattern."""
    parts, is_escaped = [""], False
    for letter in pattern:
        if letter == "*" and not is_escaped:
            parts.append("")
        elif letter == "\\" and not is_escaped:
            is_escaped = True
            continue
        else:
            parts[-1] += letter
        is_escaped = False
    return parts


def _as_text(value: Json) -> str:
    match value:
        case str():
            return value
        case None | bool() | int() | float():
            return json.dumps(value)
        case _:
            raise _wrong("str", "a string, a number, true, false or null", value)


def _timestamp(value: Json) -> Json:
    """Seconds since 1970, whole ones as a whole number; null for what is no moment with its zone."""
    moment = with_zone(value)
    if moment is None:
        return None
    seconds = moment.timestamp()
    return int(seconds) if seconds.is_integer() else seconds


def _range(start: Json, end: Json = None) -> list[Json]:
    start, end = (0, start) if end is None else (start, end)
    for bound in (start, end):
        if type(bound) is not int:
            raise _wrong("range", "whole numbers", bound)
    look_at(max(0, end - start))
    return list(range(start, end))


def _keys(value: Json) -> list[Json]:
    """Sorted, for the order of keys in an object has no meaning."""
    if not isinstance(value, Mapping):
        raise _wrong("keys", "an object", value)
    look_at(len(value))
    return sorted(value)


def _any(values: Json) -> bool:
    return any(_all_of("any", values))


def _all(values: Json) -> bool:
    return all(_all_of("all", values))


FUNCTIONS: Mapping[str, Function] = {
    "len": Function(call=_length, least=1, most=1, usage="len(items)"),
    "abs": Function(call=_absolute, least=1, most=1, usage="abs(number)"),
    "min": Function(call=_minimum, least=1, most=None, usage="min(items) or min(a, b)", looks_inside=True),
    "max": Function(call=_maximum, least=1, most=None, usage="max(items) or max(a, b)", looks_inside=True),
    "sum": Function(call=_total, least=1, most=1, usage="sum(numbers)", looks_inside=True),
    "round": Function(call=_rounded, least=1, most=2, usage="round(number) or round(number, digits)"),
    "lower": Function(call=_lower, least=1, most=1, usage="lower(text)", looks_inside=True),
    "upper": Function(call=_upper, least=1, most=1, usage="upper(text)", looks_inside=True),
    "startswith": Function(call=_startswith, least=2, most=2, usage="startswith(text, prefix)"),
    "endswith": Function(call=_endswith, least=2, most=2, usage="endswith(text, suffix)"),
    "contains": Function(call=contains, least=2, most=2, usage="contains(container, item)", looks_inside=True),
    "matches": Function(call=_matches, least=2, most=2, usage="matches(text, pattern)", looks_inside=True),
    "str": Function(call=_as_text, least=1, most=1, usage="str(value)"),
    "timestamp": Function(call=_timestamp, least=1, most=1, usage="timestamp(text)"),
    "range": Function(call=_range, least=1, most=2, usage="range(end) or range(start, end)", looks_inside=True),
    "keys": Function(call=_keys, least=1, most=1, usage="keys(object)", looks_inside=True),
    "type": Function(call=json_type, least=1, most=1, usage="type(value)"),
    "any": Function(call=_any, least=1, most=1, usage="any(items)", looks_inside=True),
    "all": Function(call=_all, least=1, most=1, usage="all(items)", looks_inside=True),
}
"""The functions whose arguments are evaluated first. `exists` and `default` are forms of the compiler."""


def _wrong(function: str, wanted: str, value: Json) -> Failed:
    return Failed("type-mismatch", f"{function} takes {wanted}, not {type_of(value)}.")


def _number(function: str, value: Json) -> Json:
    if not is_number(value):
        raise _wrong(function, "a number" if function != "sum" else "a list of numbers", value)
    return value


def _text(function: str, value: Json) -> str:
    if type(value) is not str:
        raise _wrong(function, "a string", value)
    return value


def _whole_text(function: str, value: Json) -> str:
    """A string that is about to be read."""
    read_text(text := _text(function, value))
    return text


def _all_of(function: str, value: Json) -> list[Json]:
    """A list that is about to be gone through."""
    if type(value) is not list:
        raise _wrong(function, "a list", value)
    look_at(len(value))
    return value


def _comparable(function: str, values: tuple[Json, ...]) -> list[Json]:
    """The values to choose from: one list, or the arguments themselves; all numbers or all strings."""
    candidates = _all_of(function, values[0]) if len(values) == 1 else list(values)
    if not candidates:
        raise Failed("empty", f"{function} has nothing to choose from: the list is empty.")
    if not (all(map(is_number, candidates)) or all(type(value) is str for value in candidates)):
        raise Failed("type-mismatch", f"{function} needs all numbers or all strings.")
    return candidates
