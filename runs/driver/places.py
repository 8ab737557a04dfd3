"""The steps of one run that are given out and not called yet.

Some wait for a place, since only so many may be under way at once; others wait for the moment at which their attempt is
due, and ask for a place then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from runs.driver.driven import Driven
from runs.engine.decisions import StartStep
from runs.engine.events import StepId
from runs.engine.throttle import throttle_of


class Places:
    """Who has a place, and who waits for one. Belongs to the event loop's thread."""

    def __init__(self, driven: Driven, *, on_due: Callable[[], None]) -> None:
        """`on_due` is called when a step that was put off asks for its place."""
        self._state = driven.state
        self._alarms = driven.alarms
        self._on_due = on_due
        self._throttle = throttle_of(driven.state)
        self._put_off: set[StepId] = set()
        """Steps whose attempt is not due yet."""

    def renew(self) -> None:
        """The run goes on as another version, with limits of its own. Nothing has been given out yet."""
        self._throttle = throttle_of(self._state)

    def ask(self, start: StartStep) -> None:
        """Give the step a place as soon as it is due and there is one."""
        if is_later(start):
            self._put_off_until_due(start)
        else:
            self._throttle.add(start)

    def admit(self) -> Iterator[StartStep]:
        """The steps that may start now, each of which has its place from here on."""
        return self._throttle.admit()

    def release(self, step: StepId) -> None:
        """The call of the step ended: its place is free."""
        self._throttle.release(step)

    def forget(self, step: StepId) -> None:
        """The step neither runs nor waits for a place."""
        self._throttle.forget(step)

    def take_back(self, step: StepId) -> None:
        """The step is not to start; if it does later, it will be given out again."""
        self._throttle.forget(step)
        if step in self._put_off:
            self._put_off.discard(step)
            self._alarms.clear(step)

    def clear(self, step: StepId) -> None:
        """The step is over, and so is what rang for it."""
        self._put_off.discard(step)

    def waiting(self) -> list[StepId]:
        """The steps that are not called yet."""
        return [*self._throttle.waiting(), *self._put_off]

    def without_place(self) -> list[StepId]:
        """The steps that are due and wait for a place."""
        return self._throttle.waiting()

    @property
    def put_off(self) -> int:
        """How many steps wait for the moment at which they are due."""
        return len(self._put_off)

    def _put_off_until_due(self, start: StartStep) -> None:
        def come_back() -> None:
            self._put_off.remove(start.step)
            self._throttle.add(start)
            self._on_due()

        self._put_off.add(start.step)
        self._alarms.set(start.step, "attempt", datetime.fromisoformat(start.not_before), come_back)


def is_later(start: StartStep) -> bool:
    """Whether the attempt is not due yet."""
    return bool(start.not_before) and datetime.fromisoformat(start.not_before) > datetime.now(UTC)
