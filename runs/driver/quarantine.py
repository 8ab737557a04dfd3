"""How a run in quarantine is driven: its steps are called one at a time (`runs.driver.trial` says which and why)."""

from __future__ import annotations

import json
from typing import Protocol

from runs.driver.driven import Driven
from runs.driver.places import Places
from runs.driver.trial import Trial
from runs.engine.decisions import StartStep
from runs.engine.events import Outcome, StepRescheduled


class Circle(Protocol):
    """What drives the run."""

    def apply(self, outcome: Outcome) -> None:
        """Feed the outcome to the engine and do what it concludes."""

    def commit_soon(self) -> None:
        """Have on disk what has gathered."""

    def drain(self) -> None:
        """Start nothing more, and let go of the run when the calls under way have ended."""


class Quarantine:
    """Tries the steps of one run. Belongs to the event loop's thread."""

    def __init__(self, driven: Driven, *, trial: Trial, places: Places, circle: Circle) -> None:
        self._driven = driven
        self._trial = trial
        self._places = places
        self._circle = circle

    def suspect(self, start: StartStep) -> None:
        """The step was in flight when its worker died."""
        if self._driven.state.is_paused:  # the engine holds its next attempt
            self._reschedule(start)
        else:
            self._trial.suspect(start.step)
            self._places.ask(start)

    def try_next(self) -> None:
        """Try the next step that has a place. When no suspect is left for that, the run may leave."""
        if self._trial.is_under_way:
            return
        start = next(self._places.admit(), None) if self._trial.has_suspects else None
        if start is None:
            self._trial.acquit_all()
            self._circle.drain()
            self._driven.services.on_tried()
        else:
            self._try_out(start)

    def _try_out(self, start: StartStep) -> None:
        """Call the step when it is on disk that it is under way, and nothing else of the run."""
        self._trial.begin(start.step)
        if self._trial.suspects(start.step):
            self._reschedule(start)
        else:
            self._driven.journal.gather().starts.append(start)
        self._driven.journal.try_out(start.step)
        self._circle.commit_soon()

    def _reschedule(self, start: StartStep) -> None:
        heartbeat = json.loads(self._driven.heartbeats.get(start.step, "null"))
        attempt = start.attempt + 1
        self._circle.apply(
            StepRescheduled(step=start.step, attempt=attempt, reason="its worker died", heartbeat=heartbeat)
        )
