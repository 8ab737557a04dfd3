"""The virtual clock: what happens when, and in which order at one moment."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

Action = Callable[[], None]


@dataclass(slots=True, order=True)
class _Item:
    at: datetime
    tie: float
    number: int
    action: Action = field(compare=False)
    is_durable: bool = field(compare=False)


class Agenda:
    """What is due, by time. At the same time the earlier entry comes first, or chance decides."""

    def __init__(self, now: datetime, *, order: int | None = None) -> None:
        """With an `order`, which seeds it, chance decides."""
        self.now = now
        self._chance = None if order is None else random.Random(order)  # noqa: S311 - nothing secret
        self._items: list[_Item] = []
        self._count = 0

    def add(self, at: datetime, action: Action, *, is_durable: bool = False) -> None:
        """Do `action` at that time. Only what is durable outlives the worker."""
        tie = 0.0 if self._chance is None else self._chance.random()
        self._count += 1
        heapq.heappush(self._items, _Item(max(at, self.now), tie, self._count, action, is_durable))

    def do_next(self) -> bool:
        """Move the clock to what is due first, and do it. Return False if nothing is left."""
        if not self._items:
            return False
        item = heapq.heappop(self._items)
        self.now = item.at
        item.action()
        return True

    def forget_volatile(self) -> None:
        """The worker is dead."""
        self._items = [item for item in self._items if item.is_durable]
        heapq.heapify(self._items)
