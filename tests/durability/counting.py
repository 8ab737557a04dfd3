"""Runs that count in a worker while something happens to the database, and how they must end."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from accounts.actor import Actor
from runs import selectors
from runs.models import Driver, Event, Run
from tests.durability import sabotage as _sabotage  # noqa: F401 - registers the tool here, too
from tests.durability.judging import assert_completed_once, calls_of
from tests.durability.workers import worker
from tests.support.runs import finish, start
from tests.support.waiting import wait_until

RUNS = 4
TURNS = 100
NODES = {"a": {"tool": "count", "next": {"condition": f"n >= {TURNS}", "if_true": "end", "if_false": "a"}}}


@contextmanager
def counting(actor: Actor, folder: Path, *, lease_s: float) -> Iterator[list[Run]]:
    """Runs that a worker has begun with. Whoever leaves it finds that they complete."""
    with worker(folder, WORKFLOW_LEASE_S=str(lease_s)):
        wait_until(lambda: Driver.objects.count() == 2, "both drivers are up")
        state = {"reducers": {"log": "append"}}
        runs = [start(actor, NODES, {"n": 0, "log": []}, state=state) for _ in range(RUNS)]
        yield runs
        for run in runs:
            assert finish(run).status == Run.Status.COMPLETED, run.error


def entries_of(runs: Sequence[Run]) -> int:
    """How many events their journals have."""
    return Event.objects.filter(run__in=runs).count()


def assert_counted_once(runs: Sequence[Run], folder: Path, *, attempts: Collection[int]) -> None:
    """Every number is there once, and no call was made twice but as another one of `attempts`."""
    for run in runs:
        assert selectors.current_state(run).values == {"n": TURNS, "log": list(range(TURNS))}
        assert_completed_once(run)
        calls = calls_of(run, folder)
        assert len(set(calls)) == len(calls), "no attempt is made twice"
        assert {attempt for _, attempt in calls} <= set(attempts)
