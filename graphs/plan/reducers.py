"""Reducers: how a new update combines with a key's value.

A reducer is `f(value, updates) -> value`: `value` is the key's value (None if it has none), `updates` are in canonical
order, at least one. It must be pure, change none of its arguments, and satisfy `f(f(v, [a]), [b]) == f(v, [a, b])`.
It need be neither commutative nor associative: the engine always folds in the same order.

An application adds its own with `tools.reducer`, by name and version: `"reducers": {"score": "weigh@2"}`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from graphs.errors import GraphsError
from graphs.spec.part import did_you_mean
from tools import reducers, strict_json

Json = Any
Fold = Callable[[Json, Sequence[Json]], Json]
MAX_INTEGER = 2**63 - 1
MAX_VALUE_BYTES = 16 * 1024 * 1024
MAX_VALUE_DEPTH = 64


class ReducerError(GraphsError):
    """A reducer cannot combine these values. The message names their types, not the key."""

    code = "reducer-error"


class UnknownReducer(GraphsError):
    """A definition names a reducer that is not registered here."""

    code = "reducer-unknown"

    def __init__(self, name: str) -> None:
        self.name = name
        known = ["replace", *_REDUCERS, *reducers.names()]
        hint = did_you_mean(name, known)
        super().__init__(
            f'There is no reducer "{name:.100}" here.{hint} There are {", ".join(known)}; others are registered with '
            "@reducer in a module of tools."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reducer:
    """A named way to combine updates."""

    name: str
    fold: Fold
    """Raises ReducerError, and nothing else."""
    is_commutative: Callable[[Json, Sequence[Json]], bool]
    """Whether the order of these updates on this value can be seen in no way at all."""
    lengthens: bool = False
    """Whether a list and what it becomes differ by `fold([], updates)` at its end, whatever is in it."""


def find_reducer(name: str) -> Reducer:
    """The reducer of this name, built in or registered. Raises UnknownReducer."""
    found = _REDUCERS.get(name)
    if found is not None:
        return found
    registered = reducers.find(name)
    if registered is None:
        raise UnknownReducer(name)
    return Reducer(
        name=name,
        fold=_guarded(name, registered.function),
        is_commutative=lambda value, updates: registered.commutative,
    )


def discreet(reducer: Reducer) -> Reducer:
    """The same for a key that may be secret: the words of somebody else's function may tell the values it was given.

    Built-in reducers name no values.
    """
    if "@" not in reducer.name:
        return reducer

    def fold(value: Json, updates: Sequence[Json]) -> Json:
        try:
            return reducer.fold(value, updates)
        except ReducerError:
            raise ReducerError(f"The reducer {reducer.name} failed, and why may be secret.") from None

    return replace(reducer, fold=fold)


def _guarded(key: str, function: Fold) -> Fold:
    """Somebody else's function: gets copies, may raise anything, and must give JSON."""

    def fold(value: Json, updates: Sequence[Json]) -> Json:
        try:
            combined = function(strict_json.thaw(value), strict_json.thaw(list(updates)))
            return strict_json.encode(combined, max_bytes=MAX_VALUE_BYTES, max_depth=MAX_VALUE_DEPTH)[1]
        except Exception as error:
            raise ReducerError(f"The reducer {key} failed: {type(error).__name__}: {error}") from error

    return fold


# --------------------------------------------------------------------------- the built-in ones


def _kind(value: Json) -> str:
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "an object"}
    return names.get(type(value), "null")


def _list(value: Json, reducer_name: str) -> list[Json]:
    if value is None:
        return []
    if type(value) is not list:
        raise ReducerError(f"{reducer_name} needs a list, not {_kind(value)}.")
    return value


def _append(value: Json, updates: Sequence[Json]) -> Json:
    return [*_list(value, "append"), *updates]


def _extend(value: Json, updates: Sequence[Json]) -> Json:
    extended = list(_list(value, "extend"))
    for update in updates:
        extended += _list(update, "extend")
    return extended


def _union(value: Json, updates: Sequence[Json]) -> Json:
    """The list without repetitions, in order of first appearance; 1 and true are different elements."""
    elements: dict[str, Json] = {}
    for part in (value, *updates):
        for element in _list(part, "union"):
            elements.setdefault(strict_json.dumps(element), element)
    return list(elements.values())


def _merge(value: Json, updates: Sequence[Json]) -> Json:
    merged: dict[str, Json] = {}
    for part in (value, *updates):
        if part is None:
            continue
        if type(part) is not dict:
            raise ReducerError(f"merge needs an object, not {_kind(part)}.")
        merged.update(part)
    return merged


def _add(value: Json, updates: Sequence[Json]) -> Json:
    total: Json = 0 if value is None else value
    for number in (total, *updates):
        if type(number) not in (int, float):
            raise ReducerError(f"add needs a number, not {_kind(number)}.")
    for number in updates:
        total += number
        if not (-MAX_INTEGER - 1 <= total <= MAX_INTEGER if type(total) is int else math.isfinite(total)):
            raise ReducerError("add gives a number that is too large for JSON.")
    return total


def _extreme(name: str, choose: Callable[[Sequence[Json]], Json]) -> Fold:
    def fold(value: Json, updates: Sequence[Json]) -> Json:
        values = updates if value is None else (value, *updates)
        kinds = {"number" if type(v) in (int, float) else _kind(v) for v in values}
        if kinds != {"number"} and kinds != {"a string"}:
            raise ReducerError(f"{name} needs numbers or strings, not {' and '.join(sorted(kinds))}.")
        return choose(values)

    return fold


def _never(value: Json, updates: Sequence[Json]) -> bool:
    return False


def _all_integers(value: Json, updates: Sequence[Json]) -> bool:
    """Floats are left out: the last digits of a sum depend on its order, and 1 and 1.0 are equal but not the same."""
    return (value is None or type(value) is int) and all(type(update) is int for update in updates)


_REDUCERS: dict[str, Reducer] = {
    name: Reducer(name=name, fold=fold, is_commutative=is_commutative, lengthens=name in ("append", "extend"))
    for name, fold, is_commutative in (
        ("append", _append, _never),
        ("extend", _extend, _never),
        ("union", _union, _never),
        ("merge", _merge, _never),
        ("add", _add, _all_integers),
        ("max", _extreme("max", max), _all_integers),
        ("min", _extreme("min", min), _all_integers),
    )
}
