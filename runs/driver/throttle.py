"""How many steps of a run may be under way at once: `limits.max_parallel` and `max_parallel` of each map.

Holding a step back changes when it runs and nothing else: the engine's results do not depend on timing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from runs.engine.decisions import MapItem, StartStep
from runs.engine.events import StepId


class Throttle:
    """Admits steps in the order they were asked for, passing over those whose map is full.

    A map's limit counts items, not steps: an item occupies its place from its first step until it is collected.
    """

    def __init__(self, *, max_parallel: int, max_items: Callable[[str], int | None]) -> None:
        """`max_items(node)` is the limit of the maps that `node` opens, or None."""
        self._max_parallel = max_parallel
        self._max_items = max_items
        self._running: set[StepId] = set()
        self._waiting: deque[StartStep] = deque()
        self._active: dict[StepId, set[int]] = {}
        self._kept_out: dict[StepId, deque[StartStep]] = {}

    def add(self, start: StartStep) -> None:
        """Ask for a place."""
        self._waiting.append(start)

    def release(self, step: StepId) -> None:
        """The step ended."""
        self._running.discard(step)

    def release_item(self, step: StepId, index: int) -> None:
        """An item of the map `step` is over; those that its place kept out may try again."""
        self._active.get(step, set()).discard(index)
        self._waiting.extendleft(reversed(self._kept_out.pop(step, ())))

    def forget(self, step: StepId) -> None:
        """The step is cancelled: it neither runs nor waits."""
        self.release(step)
        for queue in (self._waiting, *self._kept_out.values()):
            for start in [start for start in queue if start.step == step]:
                queue.remove(start)

    def admit(self) -> Iterator[StartStep]:
        """The steps that may start now, each counted as running from here on."""
        while self._waiting and len(self._running) < self._max_parallel:
            start = self._waiting.popleft()
            if full := next(filter(self._is_full, start.items), None):
                self._kept_out.setdefault(full.step, deque()).append(start)
                continue
            for item in start.items:
                if self._max_items(item.node) is not None:
                    self._active.setdefault(item.step, set()).add(item.index)
            self._running.add(start.step)
            yield start

    def _is_full(self, item: MapItem) -> bool:
        limit = self._max_items(item.node)
        active = self._active.get(item.step, set())
        return limit is not None and item.index not in active and len(active) >= limit
