"""The locks of one run's steps, as far as its driver knows of them (`runs.driver.locking` takes them)."""

from __future__ import annotations

from collections.abc import Callable

from runs.driver.driven import Driven
from runs.driver.invoke import Call, Finished
from runs.engine.branches import Branch
from runs.engine.decisions import AwaitStep
from runs.engine.events import StepId
from runs.engine.locks import holder_to_be, lockers_of


class Locks:
    """Which steps hold their locks. Belongs to the event loop's thread."""

    def __init__(self, driven: Driven, *, on_held: Callable[[StepId], None], on_looked: Callable[[], None]) -> None:
        """`on_held` is told of each step that has got its lock, `on_looked` when nothing is under way for a wait."""
        self._driven = driven
        self._on_held = on_held
        self._on_looked = on_looked
        self._held: set[StepId] = set()

    def needed_by(self, step: StepId) -> list[Branch]:
        """The branches whose locks are to be taken before the step may be called; their ends give them back."""
        needed = [
            each
            for each in lockers_of(self._driven.state.branches[step])
            if each.id == step or each.id not in self._held  # its own may have another name after an edit
        ]
        for each in needed:
            self._driven.journal.lock(each.id)
        return needed

    def hold(self, holder: StepId) -> None:
        """The step has its lock."""
        self._held.add(holder)
        self._on_held(holder)

    def look(self, awaiting: AwaitStep) -> None:
        """The lock may have come before the step waited for it, and with it the message."""
        step, calls = awaiting.step, self._driven.calls

        def looked(finished: Finished) -> None:
            if calls.get(step) is not call:
                return  # the step has begun meanwhile
            del calls[step]
            if finished.error is not None:
                raise finished.error
            if finished.value:
                self.hold(holder)
            self._on_looked()

        call = calls[step] = Call(looked)
        holder = holder_to_be(step, awaiting.wait)
        self._driven.journal.lock(holder)  # in a fork it waits without having tried
        self._driven.services.caller.look_for_lock(
            call, self._driven.run, self._driven.state, holder, awaiting.wait["name"]
        )

    def give_back(self, step: StepId) -> None:
        """The step is over."""
        self._driven.journal.unlock(step)
        self._held.discard(step)

    def give_back_all(self) -> None:
        """The run is over."""
        self._driven.journal.unlock_all()
        self._held.clear()
