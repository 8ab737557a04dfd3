"""When a run may leave its driver, and what its head says then.

A run in which nothing is under way, and which waits for mail or for a moment that is far away, need not be in memory.
One that is to be drained goes as soon as nothing is under way, and is due again at once.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.conf import settings

from runs.driver.driven import Driven
from runs.driver.places import Places
from runs.driver.trial import Trial
from runs.models import Run
from runs.store import Head


class Rest:
    """The rest of one run. Belongs to the event loop's thread."""

    def __init__(self, driven: Driven, *, places: Places, trial: Trial) -> None:
        self._run = driven.run
        self._state = driven.state
        self._journal = driven.journal
        self._alarms = driven.alarms
        self._places = places
        self._calls = driven.calls
        self._trial = trial
        self.begun = False
        """All that was in flight is taken up: before, the run only seems to have nothing to do."""
        self.draining = False
        """Nothing more is to start."""

    def head(self) -> Head | None:
        """The head with which the run leaves now; None if it stays."""
        if not self.begun or self._calls or self._journal.is_committing or self._journal.has_listeners:
            return None
        only_waits = self._state.pending == self._state.waiting + self._places.put_off
        if self.draining or (only_waits and _is_far_away(self._alarms.next_at)):
            return self._head(only_waits)
        return None

    def _head(self, only_waits: bool) -> Head:
        if self._state.status != "running":
            return Head(status=None)
        quarantined = self._run.quarantined and self._trial.has_suspects
        status = Run.Status.WAITING if only_waits else Run.Status.RUNNING
        return Head(
            status=Run.Status.PAUSED if self._state.is_paused else status,
            wake_at=self._alarms.next_at if only_waits else datetime.now(UTC),
            quarantined=quarantined,
        )


def _is_far_away(moment: datetime | None) -> bool:
    patience = timedelta(seconds=settings.WORKFLOW.keep_waiting_s)
    return moment is None or moment - datetime.now(UTC) > patience
