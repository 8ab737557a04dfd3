"""The trial of a run in quarantine: its steps are called one at a time, so that a death tells who is to blame.

The suspects are the steps that were in flight when the worker died. The journal does not say which of them had been
called, so each is, once it is on disk that it is under way (`Step.tried_at`). One that is over, or has lived for a
while, is no suspect any more, and the next one is tried beside it. What they lead to waits for an ordinary driver,
unless a suspect can have its place only after it. When no suspect is left that could be called, the run is through: its
driver tries the next run, and lets go of this one when its calls are over.

A worker may die while more than one step is under way. Then there is a doubt, and nobody is charged, but each of them
is tried for twice as long the next time: sooner or later the culprit is alone when it kills.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

from runs.engine.decisions import InFlight
from runs.engine.events import StepId

MOST_DOUBTS = 20
"""More make no trial longer: it takes days by then."""


class Trial:
    """Who is suspected in one run, and who is being tried. Belongs to the event loop's thread."""

    def __init__(self, *, doubts: Mapping[StepId, int], alone_s: float, on_survived: Callable[[], None]) -> None:
        """`doubts` are the deaths in quarantine that may be a step's fault, beginning with the step to try first.

        `on_survived` is called when a step has lived for `alone_s`, or longer if there are doubts.
        """
        self._doubts = doubts
        self._alone_s = alone_s
        self._on_survived = on_survived
        self._suspects: set[StepId] = set()
        self._tried: StepId | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def has_suspects(self) -> bool:
        return bool(self._suspects)

    @property
    def is_under_way(self) -> bool:
        """Whether somebody is being tried."""
        return self._tried is not None

    def in_order(self, decisions: Iterable[InFlight]) -> list[InFlight]:
        """The decisions, those first whose steps are in doubt."""
        order = {step: number for number, step in enumerate(self._doubts)}
        return sorted(decisions, key=lambda decision: order.get(decision.step, len(order)))

    def suspect(self, step: StepId) -> None:
        """The step was in flight when its worker died."""
        self._suspects.add(step)

    def suspects(self, step: StepId) -> bool:
        """Whether the step was in flight then and has not been tried since."""
        return step in self._suspects

    def begin(self, step: StepId) -> None:
        """Try the step, which is called next, suspect or not."""
        self._tried = step

    def called(self, step: StepId) -> None:
        """The tool of the step that is tried begins."""
        self._timer = asyncio.get_running_loop().call_later(self.alone_s(step), self._survive, step)

    def alone_s(self, step: StepId) -> float:
        """How long the step has to live."""
        return self._alone_s * 2.0 ** min(self._doubts.get(step, 0), MOST_DOUBTS)

    def _survive(self, step: StepId) -> None:
        self.acquit(step)
        self._on_survived()

    def tries(self, step: StepId) -> bool:
        """Whether the step is being tried."""
        return self._tried == step

    def acquit(self, step: StepId) -> None:
        """The step has lived for long enough, is over, or is not to be called."""
        self._suspects.discard(step)
        if self._tried == step:
            self._tried = None
            self.close()

    def close(self) -> None:
        """Nobody survives from here on."""
        if self._timer is not None:
            self._timer.cancel()

    def acquit_all(self) -> None:
        """The suspects that are left cannot be called here, as perhaps they never were."""
        self._suspects.clear()
