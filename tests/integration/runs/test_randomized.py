"""Random graphs through services, store and drivers: they end as the model says, whatever goes on around them.

The samples are those of `tests/unit/engine/randomized`, published with tools. While they run, drivers are stopped or
taken for dead, and the runs are paused, stepped, resumed, migrated and forked, some of them edited or cancelled.
RANDOMIZED_GRAPHS is how many graphs of each kind are played, RANDOMIZED_FIRST_SEED the first one's number; a failure
names kind and number.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import suppress
from itertools import count, islice
from typing import Any

import pytest

from accounts.actor import Actor
from runs.driver import snapshots
from tests.integration.runs.randomized.disturbance import RESTLESS, Disturbance, Drivers
from tests.integration.runs.randomized.trial import IN_ANY_ORDER, IN_THE_ORDER_OF_THE_JOURNAL, UNPREDICTED, Trial
from tests.unit.engine.randomized.play import TooLong

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("untraced")]

GRAPHS = int(os.environ.get("RANDOMIZED_GRAPHS", 6))
FIRST_SEED = int(os.environ.get("RANDOMIZED_FIRST_SEED", 0))
AT_ONCE = 8
"""So many runs share the drivers."""


@pytest.fixture
def restless(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drivers that soon end and write many snapshots."""
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update=RESTLESS)
    monkeypatch.setattr(snapshots, "MIN_UPDATES_BYTES", 1_000)


@pytest.mark.parametrize("kind", [*IN_ANY_ORDER, *IN_THE_ORDER_OF_THE_JOURNAL, *UNPREDICTED])
def test_runs_of_random_graphs_end_as_the_model_says(kind: str, actor: Actor, restless: None) -> None:
    trials = _trials(kind)
    left = GRAPHS
    while some := list(islice(trials, min(left, AT_ONCE))):
        left -= len(some)
        try:
            _play(some, actor)
        except Exception as error:  # also one of a driver, which does not say whose fault it is
            error.add_note(f"Played at once: {', '.join(trial.name for trial in some)}.")
            raise


def _play(trials: list[Trial], actor: Actor) -> None:
    for trial in trials:
        trial.start(actor)
    with Drivers() as drivers:
        Disturbance(trials, drivers, actor, random.Random(trials[0].name)).until_all_are_over()
    for trial in trials:
        trial.check()


def _trials(kind: str) -> Iterator[Trial]:
    for seed in count(FIRST_SEED):
        with suppress(TooLong):
            yield Trial(kind, seed)
