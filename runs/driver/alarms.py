"""What a run waits for by the clock: retries, timers, deadlines.

While a run is in memory its alarms ring by themselves. One whose next alarm is far away leaves memory: `next_at` is
when somebody has to take it up again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import heapify, heappop, heappush
from itertools import count

LONGEST_SLEEP_S = 60.0
"""An alarm looks at the clock at least so often, for the clock may be set anew meanwhile."""
_FEW = 64


@dataclass(slots=True)
class _Alarm:
    handle: asyncio.TimerHandle
    is_off: bool = False


class Alarms:
    """The alarms of one run, each with an owner and a name. Belongs to the event loop's thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._set: dict[Hashable, dict[Hashable, _Alarm]] = {}
        self._numbers = count()
        self._heap: list[tuple[datetime, int, _Alarm]] = []
        """By time and number: those that are set, and some that are off by now and stay until they come first."""
        self._off = 0

    def set(self, owner: Hashable, name: Hashable, at: datetime, ring: Callable[[], None]) -> None:
        """Call `ring` once when `at` has come, in place of the owner's alarm of this name."""
        alarms = self._set.setdefault(owner, {})
        if name in alarms:
            self._turn_off(alarms[name])
        delay_s = min(max((at - datetime.now(UTC)).total_seconds(), 0.0), LONGEST_SLEEP_S)
        handle = self._loop.call_later(delay_s, self._look, owner, name, at, ring)
        alarm = alarms[name] = _Alarm(handle)
        heappush(self._heap, (at, next(self._numbers), alarm))

    def clear(self, owner: Hashable) -> None:
        """Forget all alarms of an owner."""
        for alarm in self._set.pop(owner, {}).values():
            self._turn_off(alarm)

    def close(self) -> None:
        for owner in list(self._set):
            self.clear(owner)

    @property
    def next_at(self) -> datetime | None:
        """When the first of them rings."""
        while self._heap and self._heap[0][2].is_off:
            heappop(self._heap)
            self._off -= 1
        return self._heap[0][0] if self._heap else None

    def _look(self, owner: Hashable, name: Hashable, at: datetime, ring: Callable[[], None]) -> None:
        if datetime.now(UTC) < at:
            self.set(owner, name, at, ring)
            return
        alarms = self._set[owner]
        self._turn_off(alarms.pop(name))
        if not alarms:
            del self._set[owner]
        ring()

    def _turn_off(self, alarm: _Alarm) -> None:
        alarm.handle.cancel()
        alarm.is_off = True
        self._off += 1
        if self._off > max(_FEW, len(self._heap) // 2):  # nobody may ever ask for the first
            self._heap = [entry for entry in self._heap if not entry[2].is_off]
            heapify(self._heap)
            self._off = 0
