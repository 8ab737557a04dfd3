"""Random graphs through services, store and drivers: they end as the model says, whatever goes on around them.

The samples are those of `tests/unit/engine/randomized`, published with tools. While they run, drivers are stopped or
taken for dead, and the runs are paused, stepped, resumed, migrated and forked, some of them edited or cancelled.
RANDOMIZED_GRAPHS is how many graphs of each kind are played, RANDOMIZED_FIRST_SEED the first one's number; a failure
names kind and number.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count, islice
from typing import Any

import pytest

from accounts.actor import Actor
from runs.driver import snapshots
from runs.errors import StoreBusy
from runs.store import RunWrite, Store
from tests.integration.runs.randomized.disturbance import RESTLESS, Disturbance, Drivers
from tests.integration.runs.randomized.published import called
from tests.integration.runs.randomized.trial import IN_ANY_ORDER, IN_THE_ORDER_OF_THE_JOURNAL, UNPREDICTED, Trial
from tests.support.stores import store_class
from tests.unit.engine.randomized.play import TooLong

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("untraced")]

GRAPHS = int(os.environ.get("RANDOMIZED_GRAPHS", 6))
FIRST_SEED = int(os.environ.get("RANDOMIZED_FIRST_SEED", 0))
KINDS = (*IN_ANY_ORDER, *IN_THE_ORDER_OF_THE_JOURNAL, *UNPREDICTED)
AT_ONCE = 8
"""So many runs share the drivers."""
LATE_S = 0.03
"""How long the answer to a commit may take."""


@pytest.fixture
def restless(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drivers that soon end and write many snapshots."""
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update=RESTLESS)
    monkeypatch.setattr(snapshots, "MIN_UPDATES_BYTES", 1_000)


@pytest.fixture
def hesitant(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that is busy half of the time, and whose answers may come when others know of the commit already."""
    rng = random.Random("hesitant")
    hindered = store_class()
    commit = hindered.commit

    def hesitant_commit(self: Store, writes: Sequence[RunWrite]) -> set[int]:
        on_loop = threading.current_thread().name != "committer"
        if on_loop and rng.random() < 0.5:
            raise StoreBusy("as arranged")
        lost: set[int] = commit(self, writes)
        if not on_loop:
            time.sleep(rng.uniform(0, LATE_S))
        return lost

    monkeypatch.setattr(hindered, "commit", hesitant_commit)


@pytest.mark.parametrize("kind", KINDS)
def test_runs_of_random_graphs_end_as_the_model_says(kind: str, actor: Actor, restless: None) -> None:
    _play_all(kind, GRAPHS, actor, spares_drivers=False)


@pytest.mark.parametrize("kind", KINDS)
def test_no_attempt_is_called_twice_while_drivers_live(kind: str, actor: Actor, restless: None, hesitant: None) -> None:
    called.clear()
    _play_all(kind, max(GRAPHS // 2, 1), actor, spares_drivers=True)
    assert [attempt for attempt, times in called.items() if times > 1] == []


def _play_all(kind: str, graphs: int, actor: Actor, *, spares_drivers: bool) -> None:
    trials, left = _trials(kind), graphs
    while some := list(islice(trials, min(left, AT_ONCE))):
        left -= len(some)
        try:
            _play(some, actor, spares_drivers=spares_drivers)
        except Exception as error:  # also one of a driver, which does not say whose fault it is
            error.add_note(f"Played at once: {', '.join(trial.name for trial in some)}.")
            raise


def _play(trials: list[Trial], actor: Actor, *, spares_drivers: bool) -> None:
    for trial in trials:
        trial.start(actor)
    with Drivers() as drivers:
        rng = random.Random(trials[0].name)
        Disturbance(trials, drivers, actor, rng, spares_drivers=spares_drivers).until_all_are_over()
    for trial in trials:
        trial.check()


def _trials(kind: str) -> Iterator[Trial]:
    for seed in count(FIRST_SEED):
        with suppress(TooLong):
            yield Trial(kind, seed)
