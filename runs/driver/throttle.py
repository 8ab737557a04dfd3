"""How many steps of a run may be under way at once: `limits.max_parallel` and `max_parallel` of each map.

Holding a step back changes when it runs and nothing else: the engine's results do not depend on timing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from runs.engine.decisions import StartStep
from runs.engine.events import StepId

Item = tuple[StepId, int]
"""One item of one map step."""


class Throttle:
    """Admits steps in the order they were asked for, skipping those whose map is full.

    A map's limit counts items, not steps: an item occupies its place from its first step until it is collected.
    """

    def __init__(self, *, max_parallel: int) -> None:
        self._max_parallel = max_parallel
        self._running: set[StepId] = set()
        self._waiting: deque[StartStep] = deque()
        self._limits: dict[StepId, int] = {}
        self._active: dict[StepId, set[int]] = {}
        self._closed_out: dict[StepId, deque[StartStep]] = {}

    def limit_map(self, step: StepId, max_items: int) -> None:
        """A map opened whose items may run only `max_items` at a time."""
        self._limits[step] = max_items
        self._active[step] = set()

    def add(self, start: StartStep) -> None:
        self._waiting.append(start)

    def release(self, step: StepId) -> None:
        """The step ended or was given up."""
        self._running.discard(step)

    def release_item(self, step: StepId, index: int) -> None:
        """An item of the map `step` is over; one that waited for its place may go."""
        if step in self._limits:
            self._active[step].discard(index)
            self._waiting.extendleft(reversed(self._closed_out.pop(step, ())))

    def forget(self, step: StepId) -> None:
        """The step is cancelled: it neither runs nor waits."""
        self.release(step)
        self._waiting = deque(start for start in self._waiting if start.step != step)
        for queue in self._closed_out.values():
            for start in [start for start in queue if start.step == step]:
                queue.remove(start)

    def admit(self) -> Iterator[StartStep]:
        """The steps that may start now, each counted as running from here on."""
        while self._waiting and len(self._running) < self._max_parallel:
            start = self._waiting.popleft()
            full = next((item for item in start.items if self._is_full(item)), None)
            if full is not None:
                self._closed_out.setdefault(full[0], deque()).append(start)
                continue
            for map_step, index in start.items:
                if map_step in self._active:
                    self._active[map_step].add(index)
            self._running.add(start.step)
            yield start

    def _is_full(self, item: Item) -> bool:
        map_step, index = item
        limit = self._limits.get(map_step)
        return limit is not None and index not in self._active[map_step] and len(self._active[map_step]) >= limit
