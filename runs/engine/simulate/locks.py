"""The locks of a simulation: what a database says about them in production.

Only one run is simulated, so a lock lies between its own steps. Like a database it outlives the worker.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field

from runs.engine.events import StepId


@dataclass(slots=True)
class _Lock:
    holder: StepId
    queue: deque[StepId] = field(default_factory=deque)


class Locks:
    """Who holds which lock, and who waits for it, in order of arrival."""

    def __init__(self) -> None:
        self._locks: dict[str, _Lock] = {}

    def take(self, name: str, step: StepId, *, within: Collection[StepId]) -> bool:
        """Take a free lock for a step, or queue up for it; whether the step holds it, or one `within` which it runs."""
        self._leave(step, but=name)
        lock = self._locks.setdefault(name, _Lock(step))
        if lock.holder in (step, *within):
            return True
        if step not in lock.queue:
            lock.queue.append(step)
        return False

    def release(self, step: StepId) -> list[StepId]:
        """Let a step hold and wait for nothing any more. Return the steps that got a lock by that."""
        self._leave(step)
        granted: list[StepId] = []
        for name, lock in list(self._locks.items()):
            if lock.holder != step:
                continue
            if lock.queue:
                lock.holder = lock.queue.popleft()
                granted.append(lock.holder)
            else:
                del self._locks[name]
        return granted

    def _leave(self, step: StepId, *, but: str = "") -> None:
        for name, lock in self._locks.items():
            if name != but and step in lock.queue:
                lock.queue.remove(step)
