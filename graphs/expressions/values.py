"""Operations on JSON values: what +, ==, < and in mean here."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from graphs.expressions.errors import Failed, Missing, shorten
from graphs.expressions.work import look_at, read_text

Json = Any

MAX_INT_BITS = 1_024
MAX_TEXT = 10_000
_SCALARS = frozenset({str, int, float, bool, type(None)})

_IN_MESSAGES = {"null": "null", "object": "an object", "array": "a list"}


def json_type(value: Json) -> str:
    """The type as JSON Schema calls it."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case Mapping():
            return "object"
        case _:
            return "array"


def type_of(value: Json) -> str:
    """The type as messages call it."""
    name = json_type(value)
    return _IN_MESSAGES.get(name, f"a {name}")


def is_number(value: Json) -> bool:
    return type(value) is int or type(value) is float


def bounded(number: Json) -> Json:
    """The number, if it is finite and not too large."""
    if type(number) is float:
        if not math.isfinite(number):
            raise Failed("too-large", "the result is too large for a number.")
    elif number.bit_length() > MAX_INT_BITS:
        raise Failed("too-large", f"the result has more than {MAX_INT_BITS:,} bits.")
    return number


def arithmetic(symbol: str) -> Callable[[Json, Json], Json]:
    """The function of `- * / // %`, for numbers only."""
    function: Callable[[Json, Json], Json] = _ARITHMETIC[symbol]

    def calculate(left: Json, right: Json) -> Json:
        if not (is_number(left) and is_number(right)):
            raise _unlike(symbol, left, right)
        try:
            return bounded(function(left, right))
        except ZeroDivisionError:
            raise Failed("division-by-zero", f"{left} {symbol} 0 divides by zero.") from None
        except OverflowError:
            raise Failed("too-large", f"the result of {symbol} is too large for a number.") from None

    return calculate


_ARITHMETIC: dict[str, Callable[[Json, Json], Json]] = {
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}


def add(left: Json, right: Json) -> Json:
    if type(left) is str and type(right) is str:
        if len(left) + len(right) > MAX_TEXT:
            raise Failed("too-large", f"the joined string has more than {MAX_TEXT:,} characters.")
        return left + right
    if not (is_number(left) and is_number(right)):
        raise _unlike("+", left, right)
    try:
        return bounded(left + right)
    except OverflowError:
        raise Failed("too-large", "the result of + is too large for a number.") from None


def negate(value: Json) -> Json:
    if not is_number(value):
        raise Failed("type-mismatch", f"- needs a number, not {type_of(value)}.")
    return -value


def same(left: Json, right: Json) -> bool:
    """JSON equality: 1 equals 1.0, and true does not equal 1, at any depth."""
    kind = type(left)
    if kind is str:
        return bool(left == right)
    if kind is bool or type(right) is bool:
        return left is right
    if kind in _SCALARS:
        return bool(left == right)
    if kind is list:
        return type(right) is list and len(left) == len(right) and _same_lists(left, right)
    return isinstance(right, Mapping) and len(left) == len(right) and _same_objects(left, right)


def _same_lists(left: list[Json], right: list[Json]) -> bool:
    look_at(len(left))
    return all(map(same, left, right))


def _same_objects(left: Mapping[str, Json], right: Mapping[str, Json]) -> bool:
    look_at(len(left))
    return all(key in right and same(value, right[key]) for key, value in left.items())


def ordered(symbol: str, left: Json, right: Json) -> None:
    """Check that two values may be ordered: two numbers, or two strings."""
    if is_number(left) and is_number(right):
        return
    if not (type(left) is str and type(right) is str):
        raise _unlike(symbol, left, right)


def contains(container: Json, item: Json) -> bool:
    """`item in container`: an element of a list, a key of an object, a part of a string."""
    if type(container) is list:
        look_at(len(container))
        if type(item) in _SCALARS:
            is_there = item in container  # quick, but takes 1 for true
            if not is_there or item not in (0, 1):
                return is_there
        return any(same(item, element) for element in container)
    if type(container) is str or isinstance(container, Mapping):
        if type(item) is not str:
            raise Failed("type-mismatch", f"only a string can be in {type_of(container)}, not {type_of(item)}.")
        if type(container) is str:
            read_text(container)
        return item in container
    raise Failed("type-mismatch", f"nothing can be in {type_of(container)}; in needs a list, an object or a string.")


def look_up(container: Json, key: Json) -> Json:
    """`container[key]`: a key of an object, or a position in a list."""
    if type(container) is dict and type(key) is str and key in container:
        return container[key]
    if isinstance(container, Mapping):
        if type(key) is not str:
            raise Failed("type-mismatch", f"the keys of an object are strings, not {type_of(key)}.")
        try:
            return container[key]
        except KeyError:
            raise Missing(f'there is no key "{shorten(key, 60)}" in the object.') from None
    if container is None:
        raise Missing("null has no keys and no positions.")
    if type(container) is not list:
        raise Failed("type-mismatch", f"{type_of(container)} has no keys and no positions.")
    if type(key) is not int:
        raise Failed("type-mismatch", f"the positions of a list are whole numbers, not {type_of(key)}.")
    try:
        return container[key]
    except IndexError:
        raise Missing(f"there is no position {key} in a list of {len(container)}.") from None


def _unlike(symbol: str, left: Json, right: Json) -> Failed:
    kinds = type_of(left) if type_of(left) == type_of(right) else f"{type_of(left)} and {type_of(right)}"
    return Failed("type-mismatch", f"{symbol} does not work with {kinds}.")
