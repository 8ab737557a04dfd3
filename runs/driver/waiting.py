"""The steps of one run that wait, and what ends their waits: the clock, a signal, people. Locks come by
`runs.driver.inbox`; here only the time for them runs out.

The outside may end a wait only when it is on disk that the step waits. Else a run whose driver died could come to
another step, and a signal that was taken for this one would be nobody's.

The moment at which a wait ends by itself is not yet its end. A signal may have been taken for the step by a driver that
died, and a task may have been answered a moment ago: the database is asked first, and decides.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from runs.driver import people
from runs.driver.driven import Driven
from runs.driver.listeners import Listeners
from runs.engine import Raised, Returned, wait_of, waits
from runs.engine.decisions import AwaitStep
from runs.engine.events import JsonObject, Outcome, StepCompleted, StepId, StepWaiting
from runs.engine.locks import is_for_lock
from runs.engine.people import answered, expired, is_task
from runs.errors import StoreError
from runs.questions import question_of
from runs.store.signals import KeptSignal, TakenSignal
from runs.store.writes import TaskRow

logger = logging.getLogger(__name__)

RETRY_S = 0.2
"""How soon the database is asked again, or a commit waited for."""
SIGNALS = "signals"
"""The owner of the alarm that takes the next signal."""
MAX_KEPT = 500
"""So many signals are looked up at once. Each is taken in a turn of its own, for the loop has other runs, too."""


class Waiting:
    """The waits of one run. Belongs to the event loop's thread."""

    def __init__(self, driven: Driven, *, end: Callable[[Sequence[Outcome]], None]) -> None:
        """`end` takes in what comes of a step whose wait is over, in order."""
        self._run = driven.run
        self._state = driven.state
        self._store = driven.services.store
        self._alarms = driven.alarms
        self._settler = driven.settler
        self._end = end
        self._listeners = Listeners()
        self._newcomers: set[StepId] = set()
        """Listeners for which nobody has looked yet whether a signal was taken for them before."""
        self._reserved: deque[TakenSignal] = deque()
        """Those that were."""
        self._names: set[str] = set()
        """Of these there may be signals that were not looked up yet."""
        self._kept: deque[KeptSignal] = deque()
        """Signals that were looked up and not taken yet."""
        self._is_going_on = False
        """An alarm is set for the next signal."""

    # ---- what the run tells it

    def expect(self, decision: AwaitStep) -> None:
        """Let the step be woken when something that it waits for comes by itself."""
        self._alarms.clear(decision.step)
        for at, place in waits.moments_of(decision.wait)[:1]:
            self._alarms.set(decision.step, place, at, partial(self._ring, decision.step, place))

    def tasks_of(self, begun: StepWaiting) -> list[TaskRow]:
        """What people are asked, if it is them that the step has begun to wait for."""
        node = self._state.branches[begun.step].node_plan
        question = question_of(node.spec, begun.wait)
        return [] if question is None else [people.task_row(begun.step, node.name, question, begun.wait)]

    def listen(self, steps: Iterable[StepId]) -> None:
        """It is on disk that these steps wait, if they still do: look at once for signals that were kept for them."""
        for step in steps:
            wait = wait_of(self._state, step)
            if wait is not None:
                places = waits.signals_of(wait)
                self._listeners.add(step, places)
                self._names.update(places)
                if places:
                    self._newcomers.add(step)
        self._go_on()

    def forget(self, step: StepId) -> None:
        """The step waits no more."""
        self._newcomers.discard(step)
        self._listeners.remove(step)

    def end(self, step: StepId) -> None:
        """The step waits no more, and nothing is to ring for it."""
        self._alarms.clear(step)
        self.forget(step)

    def look(self, name: str | None = None) -> None:
        """There may be a signal of this name; of none: of any name. End the wait of a step that waits for it."""
        self._names.update(self._listeners.all_names() if name is None else (name,))
        self._go_on()

    # ---- what mail brings

    def answered(self, step: StepId, task: str, answers: list[JsonObject]) -> Outcome:
        """The outcome of a step whose task was answered by as many as it takes."""
        if not self._has_task(step, task):
            return _nothing(step)
        spec = self._human(step)
        return self._settler.waited(self._state, step, answered(spec, answers))

    def delegated(self, step: StepId, task: str, assignees: JsonObject) -> Outcome:
        """The outcome of a step whose task somebody else shall answer."""
        wait = wait_of(self._state, step)
        if wait is None or not self._has_task(step, task):
            return _nothing(step)
        attempt = self._state.branches[step].attempt
        return StepWaiting(step=step, attempt=attempt, wait={**wait, "assignees": assignees})

    def _has_task(self, step: StepId, task: str) -> bool:
        wait = wait_of(self._state, step)
        return wait is not None and wait.get("task") == task

    # ---- signals

    def _go_on(self) -> None:
        """Take a signal, if there is one, and the next in another turn of the loop."""
        if self._is_going_on:
            return
        try:
            self._take_one()
        except StoreError as error:
            logger.info("Run %s looks for signals again in a moment: %s", self._run.uuid, error)
            self._go_on_at(_soon())

    def _take_one(self) -> None:
        """Raises StoreError."""
        signal = self._taken()
        if (self._reserved or self._kept or self._names) and not self._is_going_on:
            self._go_on_at(datetime.now(UTC))  # before the step ends, or the run might leave
        if signal is not None:
            place = self._listeners.remove(signal.step).get(signal.name)
            if place is not None:
                self._came(signal.step, place, {"payload": json.loads(signal.payload), "name": signal.name})

    def _go_on_at(self, moment: datetime) -> None:
        self._is_going_on = True
        self._alarms.set(SIGNALS, SIGNALS, moment, self._turn)

    def _turn(self) -> None:
        self._is_going_on = False
        self._go_on()
        self._end(())  # the run may have stayed for this alone

    def _taken(self) -> TakenSignal | None:
        """Take a signal for a step that waits for it, if there is any. Raises StoreError."""
        if self._newcomers:
            self._reserved.extend(self._store.reserved_signals(self._run.id, self._newcomers))
            self._newcomers.clear()
        if self._reserved:
            return self._reserved.popleft()
        if not self._kept:
            self._find_kept()
        while self._kept:
            signal = self._kept[0]
            step = self._listeners.first(signal.name)
            payload = None if step is None else self._take(signal, step)
            self._kept.popleft()
            if step is not None:
                return None if payload is None else TakenSignal(step, signal.name, payload)
        return None

    def _take(self, signal: KeptSignal, step: StepId) -> str | None:
        return self._store.take_signal(self._run.id, self._run.epoch, signal.id, step, now=datetime.now(UTC))

    def _find_kept(self) -> None:
        names = [name for name in self._names if self._listeners.first(name) is not None]
        if names:
            self._kept.extend(self._store.kept_signals(self._run.id, self._run.epoch, names, limit=MAX_KEPT))
        if len(self._kept) < MAX_KEPT:
            self._names.clear()

    def _may_come(self, step: StepId) -> bool:
        """Whether a signal that the step waits for may be there already."""
        names = set(self._listeners.names(step)) if step in self._listeners else set()
        is_reserved = any(signal.step == step for signal in self._reserved)
        return is_reserved or not names.isdisjoint(self._names) or any(signal.name in names for signal in self._kept)

    def _came(self, step: StepId, place: int, what: JsonObject) -> None:
        spec = self._state.branches[step].node_plan.spec.wait
        if spec is not None and wait_of(self._state, step) is not None:
            self._finish(step, waits.came(spec, place, what))

    def _finish(self, step: StepId, result: Returned | Raised) -> None:
        self.forget(step)
        self._end([self._settler.waited(self._state, step, result)])

    # ---- the clock

    def _ring(self, step: StepId, place: int | None) -> None:
        wait = wait_of(self._state, step)
        if wait is None:
            return
        try:
            if is_task(wait):
                self._expire(step, wait)
            else:
                self._take_first_for(step)
                if wait_of(self._state, step) is not wait:
                    return
                if self._may_come(step):
                    self._alarms.set(step, place, datetime.now(UTC), partial(self._ring, step, place))
                else:
                    self._is_over(step, wait, place)
        except StoreError as error:
            logger.info("Run %s asks again in a moment whether a wait is over: %s", self._run.uuid, error)
            self._alarms.set(step, place, _soon(), partial(self._ring, step, place))

    def _take_first_for(self, step: StepId) -> None:
        """Take a signal, once more looking for those that the step waits for. Raises StoreError."""
        if step in self._listeners:
            self._names.update(self._listeners.names(step))
            self._take_one()

    def _is_over(self, step: StepId, wait: JsonObject, place: int | None) -> None:
        if place is not None:
            self._came(step, place, {"at": wait["entries"][place]["at"]})
            return
        if is_for_lock(wait):
            self.forget(step)
            self._end(self._settler.lock_late(self._state, step, wait))
            return
        spec = self._state.branches[step].node_plan.spec.wait
        assert spec is not None  # noqa: S101 - only such nodes have a timeout
        self._finish(step, waits.timed_out(spec, wait))

    def _expire(self, step: StepId, wait: JsonObject) -> None:
        """The task's time is over. If it was answered before, its answers are in the mail."""
        if step not in self._listeners:
            self._alarms.set(step, None, _soon(), partial(self._ring, step, None))
            return
        now = datetime.now(UTC)
        answers = self._store.expire_task(self._run.id, step, people.task_id(wait), now=now)
        if answers is not None:
            result = expired(self._human(step), json.loads(answers), at=wait["due_at"])
            self._finish(step, result)

    def _human(self, step: StepId) -> Any:
        wait = wait_of(self._state, step)
        return question_of(self._state.branches[step].node_plan.spec, wait or {})


def _nothing(step: StepId) -> Outcome:
    """What an outcome is for which nobody waits any more."""
    return StepCompleted(step=step, attempt=0)


def _soon() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=RETRY_S)
