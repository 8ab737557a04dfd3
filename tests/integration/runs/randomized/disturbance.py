"""What goes on around runs while they run: drivers come and go, and people press buttons."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, Self

from accounts.actor import Actor
from runs import control
from runs.driver.main import DriverLost
from runs.errors import ControlConflict, ControlInvalid, ForkRefused, MigrationRefused, RunFinished
from runs.forking import fork_run
from runs.migrating import migrate_run
from runs.models import Driver, Run
from runs.store.takeover import take_over
from tests.integration.runs.randomized.trial import (
    IN_ANY_ORDER,
    IN_THE_ORDER_OF_THE_JOURNAL,
    Trial,
    steps_to_retry,
)
from tests.support.runs import driving
from tests.support.waiting import WAIT_S, wait_until

IN_QUARANTINE = (False, False, True)
MAX_FORKS = 2
"""Of a trial."""
MOMENT_S = 0.03
NO_STEP_IS_TO_BLAME = 10_000
RESTLESS = {"beat_interval_s": 0.1, "stop_grace_s": 0.02, "quarantine_alone_s": 0.05, "runs_per_worker": 4}
"""Settings with which a driver that stops leaves calls undone, and one that is lost notices soon."""


@dataclass(frozen=True, kw_only=True)
class _Driver:
    stop: threading.Event
    row: int
    is_in_quarantine: bool


class Drivers:
    """Three of them, one for runs in quarantine. Whichever ends is replaced while it may still be busy."""

    def __enter__(self) -> Self:
        self._all = ExitStack()
        self._at_work = [self._begin(is_in_quarantine) for is_in_quarantine in IN_QUARANTINE]
        return self

    def __exit__(self, *exception: Any) -> bool | None:
        return self._all.__exit__(*exception)

    def stop_one(self, rng: random.Random) -> None:
        self._replaced(rng).stop.set()

    def take_one_for_dead(self, rng: random.Random) -> None:
        """Give its runs to others although it lives; it works on until it notices."""
        row = Driver.objects.filter(pk=self._replaced(rng).row).first()
        if row is not None:
            take_over(row, max_step_crashes=NO_STEP_IS_TO_BLAME)

    def _replaced(self, rng: random.Random) -> _Driver:
        gone = self._at_work.pop(rng.randrange(len(self._at_work)))
        self._at_work.append(self._begin(gone.is_in_quarantine))
        return gone

    def _begin(self, is_in_quarantine: bool) -> _Driver:
        known = set(Driver.objects.values_list("pk", flat=True))
        self._all.enter_context(suppress(DriverLost))
        stop = self._all.enter_context(driving(quarantine=is_in_quarantine))
        new = Driver.objects.exclude(pk__in=known)
        wait_until(new.exists, "the driver begins")
        return _Driver(stop=stop, row=new.get().pk, is_in_quarantine=is_in_quarantine)


class Disturbance:
    """Disturbs the runs of some trials until all are over."""

    def __init__(
        self, trials: Sequence[Trial], drivers: Drivers, actor: Actor, rng: random.Random, *, spares_drivers: bool
    ) -> None:
        self._trials, self._drivers, self._actor, self._rng = trials, drivers, actor, rng
        self._spares_drivers = spares_drivers

    def until_all_are_over(self) -> None:
        deadline = time.monotonic() + WAIT_S
        while going_on := self._going_on():
            names = {trial.name for trial, _ in going_on}
            assert time.monotonic() < deadline, f"{names} do not end"
            if not self._spares_drivers and self._rng.random() < 0.3:
                self._disturb_the_drivers()
            for trial, run in going_on:
                if self._rng.random() < 0.3:
                    self._press_a_button(trial, run)
            time.sleep(self._rng.uniform(0, MOMENT_S))

    def _going_on(self) -> list[tuple[Trial, Run]]:
        """The runs that are not over, or failed in a way that passes: these are opened again."""
        going_on = []
        for trial in self._trials:
            for run in trial.runs:
                run.refresh_from_db()
                if run.status == Run.Status.FAILED and (steps := steps_to_retry(run)):
                    self._ask(control.retry_run, run, steps=steps)
                    going_on.append((trial, run))
                elif not run.is_terminal:
                    going_on.append((trial, run))
        return going_on

    def _disturb_the_drivers(self) -> None:
        self._rng.choice([self._drivers.stop_one, self._drivers.take_one_for_dead])(self._rng)

    def _press_a_button(self, trial: Trial, run: Run) -> None:
        chance = self._rng.random()
        if trial.kind == "undo" and chance < 0.1:
            self._ask(control.cancel_run, run, graceful=self._rng.random() < 0.7)
        elif trial.kind not in IN_THE_ORDER_OF_THE_JOURNAL and chance < 0.2:
            self._ask(migrate_run, run, version=self._rng.choice(trial.versions))
        elif trial.kind in IN_ANY_ORDER and chance < 0.3 and len(trial.forks) < MAX_FORKS:
            self._fork(trial, run)
        elif run.status != Run.Status.PAUSED:
            self._ask(control.pause_run, run)
        elif trial.kind == "edit" and chance < 0.3:
            number = self._rng.randrange(100)
            self._ask(control.edit_state, run, values={"weird": number, "r": number}, delete=("log",) * (number % 2))
        elif chance < 0.5:
            self._ask(control.step_run, run, mode=self._rng.choice(control.MODES))
        else:
            self._ask(control.resume_run, run)

    def _fork(self, trial: Trial, run: Run) -> None:
        at_seq, version = self._rng.randint(1, run.seq), self._rng.choice([None, *trial.versions])
        with suppress(ForkRefused, MigrationRefused):
            trial.forks.append(fork_run(run=run, at_seq=at_seq, version=version, actor=self._actor))

    def _ask(self, verb: Any, run: Run, **how: Any) -> None:
        # The run has gone on meanwhile, or what it has begun cannot be moved.
        with suppress(ControlConflict, ControlInvalid, MigrationRefused, RunFinished):
            verb(run=run, actor=self._actor, **how)
