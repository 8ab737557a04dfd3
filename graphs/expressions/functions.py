"""The functions that expressions may call. Each checks its arguments; none changes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from graphs.expressions.errors import Failed
from graphs.expressions.values import add, bounded, contains, is_number, json_type, type_of
from graphs.expressions.work import look_at, read_text

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
