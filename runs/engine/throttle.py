"""How many steps of a run may be under way at once.

That is said by `limits.max_parallel` of the run's graph and of each subgraph, for all that is inside it, and by
`max_parallel` of each map.

Holding a step back changes when it runs and nothing else: the engine's results do not depend on timing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from runs.engine.decisions import MapItem, StartStep
from runs.engine.events import StepId
from runs.engine.state import RunState


def throttle_of(state: RunState) -> Throttle:
    """One with the limits of the run, which has given out nothing yet."""
    return Throttle(
        max_parallel=state.root.graph.limits.max_parallel,
        max_items=state.max_items,
        is_over=state.is_item_over,
        subgraphs=state.subgraphs_around,
    )


def without_place(state: RunState, starts: Iterable[StartStep]) -> list[StepId]:
    """Which of these steps, all that are under way in the order in which they were given out, wait for a place."""
    throttle = throttle_of(state)
    for start in starts:
        throttle.add(start)
    for _ in throttle.admit():
        pass
    return throttle.waiting()


@dataclass(slots=True)
class Behind:
    """What waits for another step of a full subgraph to end, in the order in which it came."""

    limit: int
    starts: dict[StepId, StartStep] = field(default_factory=dict)


MIN_SWEEP = 64
"""Fewer items are not worth looking for those that are over."""


class Throttle:
    """Admits steps in the order they were asked for, passing over those whose map or subgraph is full.

    A map's limit counts items, not steps: an item occupies its place from its first step until it is over.
    """

    def __init__(
        self,
        *,
        max_parallel: int,
        max_items: Callable[[StepId], int | None],
        is_over: Callable[[StepId, int], bool],
        subgraphs: Callable[[StepId], Mapping[StepId, int]],
    ) -> None:
        """`max_items(step)` is the limit of the map that the step opened, or None.

        `is_over(step, index)` tells whether that item of the map `step` has ended, however it did. `subgraphs(step)`
        are the limits of the subgraphs that the step is in, by the steps that opened them.
        """
        self._max_parallel = max_parallel
        self._max_items = max_items
        self._is_over = is_over
        self._subgraphs = subgraphs
        self._running: dict[StepId, tuple[StepId, ...]] = {}
        """With the steps that opened the subgraphs around it."""
        self._running_in: dict[StepId, int] = {}
        """By the step that opened a subgraph."""
        self._behind: dict[StepId, Behind] = {}
        """By the step that opened a subgraph."""
        self._behind_which: dict[StepId, StepId] = {}
        self._waiting: dict[StepId, StartStep] = {}
        self._active: dict[StepId, set[int]] = {}
        self._active_count = 0
        self._sweep_at = MIN_SWEEP
        self._kept_out: dict[StepId, dict[int, dict[StepId, StartStep]]] = {}
        """By map and item: what waits for a place of the item."""
        self._kept_by: dict[StepId, MapItem] = {}

    def add(self, start: StartStep) -> None:
        """Ask for a place."""
        self._waiting[start.step] = start

    def release(self, step: StepId) -> None:
        """The step ended."""
        for opener in self._running.pop(step, ()):
            self._running_in[opener] -= 1
            if not self._running_in[opener]:
                del self._running_in[opener]

    def forget(self, step: StepId) -> None:
        """The step is cancelled: it neither runs nor waits."""
        self.release(step)
        self._waiting.pop(step, None)
        if opener := self._behind_which.pop(step, None):
            del self._behind[opener].starts[step]
        if item := self._kept_by.pop(step, None):
            items = self._kept_out[item.step]
            del items[item.index][step]
            if not items[item.index]:
                del items[item.index]

    def waiting(self) -> list[StepId]:
        """The steps that wait for a place."""
        return [*self._waiting, *self._behind_which, *self._kept_by]

    def admit(self) -> Iterator[StartStep]:
        """The steps that may start now, each counted as running from here on."""
        self._fill_places()
        self._ask_again()
        while len(self._running) < self._max_parallel and (self._waiting or self._ask_again()):
            start = self._waiting.pop(next(iter(self._waiting)))
            around = self._subgraphs(start.step)
            if full := next(filter(self._is_full, start.items), None):
                self._keep_out(start, full)
            elif opener := next((each for each, limit in around.items() if not self._room_in(each, limit)), None):
                self._keep_behind(start, opener, around[opener])
            else:
                self._count(start, around)
                yield start

    def _count(self, start: StartStep, around: Collection[StepId]) -> None:
        for item in start.items:  # of maps without a limit, too: they may be given one
            self._occupy(item.step, item.index)
        self._running[start.step] = tuple(around)
        for opener in around:
            self._running_in[opener] = self._running_in.get(opener, 0) + 1

    def _room_in(self, opener: StepId, limit: int) -> int:
        return max(limit - self._running_in.get(opener, 0), 0)

    def _keep_behind(self, start: StartStep, opener: StepId, limit: int) -> None:
        self._behind.setdefault(opener, Behind(limit)).starts[start.step] = start
        self._behind_which[start.step] = opener

    def _ask_again(self) -> bool:
        """Let as many ask again as there is room for in their subgraphs. Return whether there are such."""
        asks = False
        for opener, behind in list(self._behind.items()):
            for step in list(islice(behind.starts, self._room_in(opener, behind.limit))):
                self._waiting[step] = behind.starts.pop(step)
                del self._behind_which[step]
                asks = True
            if not behind.starts:
                del self._behind[opener]
        return asks

    def _occupy(self, step: StepId, index: int) -> None:
        """Give the item its place, if it has none."""
        active = self._active.setdefault(step, set())
        if index in active:
            return
        active.add(index)
        self._active_count += 1
        if self._active_count >= self._sweep_at:
            self._sweep()

    def _sweep(self) -> None:
        """Forget the items that are over. Nobody tells of them, or of their maps, one by one.

        The next time is when there are twice as many as are left, so that it costs an item next to nothing.
        """
        for step in list(self._active):
            self._vacate(step)
        self._sweep_at = max(MIN_SWEEP, 2 * self._active_count)

    def _vacate(self, step: StepId) -> None:
        """Take their places from the items of a map that are over."""
        active = self._active.get(step, set())
        over = {index for index in active if self._is_over(step, index)}
        active -= over
        self._active_count -= len(over)
        if not active:
            self._active.pop(step, None)

    def _is_full(self, item: MapItem) -> bool:
        limit = self._max_items(item.step)
        active = self._active.get(item.step, set())
        return limit is not None and item.index not in active and len(active) >= limit

    def _keep_out(self, start: StartStep, item: MapItem) -> None:
        self._kept_out.setdefault(item.step, {}).setdefault(item.index, {})[start.step] = start
        self._kept_by[start.step] = item

    def _fill_places(self) -> None:
        """Give the places that are free now to the items that came first."""
        for step, items in list(self._kept_out.items()):
            self._vacate(step)
            limit = self._max_items(step)
            free = len(items) if limit is None else max(limit - len(self._active.get(step, ())), 0)
            for index in list(items)[:free]:
                self._occupy(step, index)
                for start in items.pop(index).values():
                    del self._kept_by[start.step]
                    self._waiting[start.step] = start
            if not items:
                del self._kept_out[step]
