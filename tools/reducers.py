"""Reducers of applications: functions that combine updates of a state key, by name and version.

A reducer is `f(value, updates) -> value`: `value` is the key's value (None if it has none), `updates` are in canonical
order, at least one. It must be pure, and satisfy `f(f(v, [a]), [b]) == f(v, [a, b])`. The version is part of its name
in definitions, so that a recorded run never meets a changed one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tools import registry

Function = Callable[[Any, Sequence[Any]], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredReducer:
    """A function with what its author claims."""

    function: Function
    commutative: bool


_registered: dict[str, RegisteredReducer] = {}


def reducer(name: str, *, version: int, commutative: bool = False) -> Callable[[Function], Function]:
    """Register the decorated function as `name@version`. Claim `commutative` only if no order can be seen.

    The same function again (a module that is reloaded) replaces itself; raises ValueError for another one.
    """
    key = f"{name}@{version}"

    def register(function: Function) -> Function:
        known = _registered.get(key)
        if known is not None and _place(known.function) != _place(function):
            raise ValueError(f'The reducer "{key}" is registered already; raise its version.')
        _registered[key] = RegisteredReducer(function=function, commutative=commutative)
        return function

    return register


def _place(function: Function) -> tuple[str, str]:
    return function.__module__, function.__qualname__


def find(key: str) -> RegisteredReducer | None:
    """The reducer `name@version`, if some module of tools registers it."""
    if key not in _registered:
        registry.discover()
    return _registered.get(key)


def names() -> list[str]:
    """All that are registered, as `name@version`."""
    registry.discover()
    return sorted(_registered)
