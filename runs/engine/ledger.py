"""The writes of a scope whose order among its branches is still open.

A *write* is one step's update while its scope has several branches. The writes of a scope are numbered in the order in
which they came in; a `mask` is a set of such numbers: the causal past of a branch or of a write. The numbers depend on
timing and are never visible; what is visible follows keys (see `keys`).

Steps that follow one another in a branch that meets nobody share one write, since whoever sees the first of them sees
all: else a loop beside a branch that waits would leave a write, and a mask that long, for each of its turns.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from runs.engine.events import Json, JsonObject
from runs.engine.keys import Key
from runs.engine.masks import Mask


class _Absent:
    """The value of a key that was deleted."""

    __slots__ = ()


ABSENT: Final = _Absent()


class Write:
    """One step's update. `sets` replace what the writer saw; `updates` go through the key's reducer."""

    __slots__ = ("key", "nodes", "past", "sets", "updates")

    def __init__(
        self,
        *,
        key: Key,
        past: Mask,
        updates: dict[str, list[Json]],
        sets: JsonObject,
        nodes: dict[str, int],
    ) -> None:
        self.key = key
        self.past = past
        """The writer's mask, itself included; 0 if it sets nothing, since nobody asks then."""
        self.updates = updates
        self.sets = sets
        self.nodes = nodes
        """By key that it sets: the node that did."""

    def may_go_on(self, updates: Iterable[str], sets: Iterable[str]) -> bool:
        """Whether these keys can join it: of a key that is both set and updated the order would be lost."""
        return self.sets.keys().isdisjoint(updates) and self.updates.keys().isdisjoint(sets)


class Ledger:
    """The writes of a scope that not all its branches have seen."""

    __slots__ = ("foreseen", "setters", "updaters", "writes")

    def __init__(self) -> None:
        self.writes: list[Write] = []
        self.updaters: dict[str, list[int]] = {}
        """The writes that update a key, in key order."""
        self.setters: dict[str, Mask] = {}
        self.foreseen: set[str] = set()
        """Keys whose conflict was announced."""

    def append(self, write: Write) -> None:
        number = len(self.writes)
        self.writes.append(write)
        self._index(number, write.updates, write.sets)

    def go_on(
        self,
        number: int,
        *,
        key: Key,
        node: int,
        past: Mask,
        updates: Mapping[str, Sequence[Json]],
        sets: Mapping[str, Json],
    ) -> None:
        """The next step of the same branch adds to a write that only this branch has seen."""
        write = self.writes[number]
        write.key = key  # which changes no order
        self._index(number, [name for name in updates if name not in write.updates], sets)
        for name, added in updates.items():
            write.updates.setdefault(name, []).extend(added)
        write.sets.update(sets)
        write.nodes.update(dict.fromkeys(sets, node))
        if write.sets:
            write.past = past

    def _index(self, number: int, updates: Iterable[str], sets: Iterable[str]) -> None:
        for key in updates:
            insort(self.updaters.setdefault(key, []), number, key=self._order)
        for key in sets:
            self.setters[key] = self.setters.get(key, 0) | 1 << number

    def _order(self, number: int) -> Key:
        return self.writes[number].key
