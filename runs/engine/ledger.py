"""The writes of a scope whose order among its branches is still open.

A *write* is one step's update while its scope has several branches. The writes of a scope are numbered in the order in
which they came in; a `mask` is a set of such numbers: the causal past of a branch or of a write. The numbers depend on
timing and are never visible; what is visible follows keys (see `keys`).
"""

from __future__ import annotations

from typing import Final

from runs.engine.events import Json, JsonObject
from runs.engine.keys import Key
from runs.engine.masks import Mask


class _Absent:
    """The value of a key that was deleted."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()


class Write:
    """One step's update. `sets` replace what the writer saw; `updates` go through the key's reducer."""

    __slots__ = ("key", "node", "past", "sets", "updates")

    def __init__(
        self, *, key: Key, node: int, past: Mask, updates: dict[str, tuple[Json, ...]], sets: JsonObject
    ) -> None:
        self.key = key
        self.node = node
        self.past = past
        """The writer's mask, itself included; 0 if it sets nothing, since nobody asks then."""
        self.updates = updates
        self.sets = sets


class Ledger:
    """The writes of a scope that not all its branches have seen."""

    __slots__ = ("foreseen", "setters", "updaters", "writes")

    def __init__(self) -> None:
        self.writes: list[Write] = []
        self.updaters: dict[str, Mask] = {}
        self.setters: dict[str, Mask] = {}
        self.foreseen: set[str] = set()
        """Keys whose conflict was announced."""

    def append(self, write: Write) -> int:
        number = len(self.writes)
        self.writes.append(write)
        for key in write.updates:
            self.updaters[key] = self.updaters.get(key, 0) | 1 << number
        for key in write.sets:
            self.setters[key] = self.setters.get(key, 0) | 1 << number
        return number
