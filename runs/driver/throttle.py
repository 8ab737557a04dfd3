"""How many steps of a run may be under way at once: `limits.max_parallel` and `max_parallel` of each map.

Holding a step back changes when it runs and nothing else: the engine's results do not depend on timing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from runs.engine.decisions import MapItem, StartStep
from runs.engine.events import StepId


class Throttle:
    """Admits steps in the order they were asked for, passing over those whose map is full.

    A map's limit counts items, not steps: an item occupies its place from its first step until it is over.
    """

    def __init__(
        self,
        *,
        max_parallel: int,
        max_items: Callable[[str], int | None],
        is_over: Callable[[StepId, int], bool],
    ) -> None:
        """`max_items(node)` is the limit of the maps that `node` opens, or None.

        `is_over(step, index)` tells whether that item of the map `step` has ended, however it did.
        """
        self._max_parallel = max_parallel
        self._max_items = max_items
        self._is_over = is_over
        self._running: set[StepId] = set()
        self._waiting: dict[StepId, StartStep] = {}
        self._active: dict[StepId, set[int]] = {}
        self._kept_out: dict[StepId, dict[int, dict[StepId, StartStep]]] = {}
        """By map and item: what waits for a place of the item."""
        self._kept_by: dict[StepId, MapItem] = {}

    def add(self, start: StartStep) -> None:
        """Ask for a place."""
        self._waiting[start.step] = start

    def release(self, step: StepId) -> None:
        """The step ended."""
        self._running.discard(step)

    def forget(self, step: StepId) -> None:
        """The step is cancelled: it neither runs nor waits."""
        self.release(step)
        self._waiting.pop(step, None)
        if item := self._kept_by.pop(step, None):
            items = self._kept_out[item.step]
            del items[item.index][step]
            if not items[item.index]:
                del items[item.index]

    def admit(self) -> Iterator[StartStep]:
        """The steps that may start now, each counted as running from here on."""
        self._fill_places()
        while self._waiting and len(self._running) < self._max_parallel:
            start = self._waiting.pop(next(iter(self._waiting)))
            if full := next(filter(self._is_full, start.items), None):
                self._keep_out(start, full)
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

    def _keep_out(self, start: StartStep, item: MapItem) -> None:
        self._kept_out.setdefault(item.step, {}).setdefault(item.index, {})[start.step] = start
        self._kept_by[start.step] = item

    def _fill_places(self) -> None:
        """Let as many items try again as places are free now."""
        for step, items in list(self._kept_out.items()):
            active = self._active[step]
            over = {index for index in active if self._is_over(step, index)}
            active -= over
            for index in list(items)[: len(over)]:
                for start in items.pop(index).values():
                    del self._kept_by[start.step]
                    self._waiting[start.step] = start
            if not items:
                del self._kept_out[step]
