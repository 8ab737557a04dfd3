"""The clock of a cluster jumps by an hour, forth and back, under its runs: nobody is taken for dead."""

import json
import subprocess
import threading
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

import pytest

from runs import selectors
from runs.models import Driver, Event, Run
from tests.durability import rough_tools as _rough_tools  # noqa: F401 - registers the tools here, too
from tests.durability import sabotage as _sabotage  # noqa: F401 - and here
from tests.durability.clocks import Clock
from tests.durability.judging import assert_completed_once, calls_of
from tests.support.processes import managing
from tests.support.runs import finish, start
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

HOUR_S = 3600
LEASE_S = 12
WATCHED_S = LEASE_S / 2 + 1
"""A lease that looks too old is lost when it stands still for half of its length."""
RUNS = 4
TURNS = 30

#   s ──► w (until the test lets it go) ──► a ⟲ (thirty turns)
NODES = {
    "w": {"tool": "wait_for_file", "next": "a"},
    "a": {"tool": "count", "next": {"condition": f"n >= {TURNS}", "if_true": "end", "if_false": "a"}},
}


def cluster(folder: Path, **environment: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """One that takes half of the runs."""
    return managing(
        "qcluster",
        WORKFLOW_WORKERS="1",
        WORKFLOW_RUNS_PER_WORKER=str(RUNS // 2),
        WORKFLOW_TOOL_MODULES="tests.durability.sabotage,tests.durability.rough_tools",
        WORKFLOW_BEAT_INTERVAL_S="1.5",  # so that many look between two beats
        WORKFLOW_LEASE_S=str(LEASE_S),
        SABOTAGE_FOLDER=str(folder),
        **environment,
    )


def test_runs_end_as_if_nothing_had_happened(actor, tmp_path: Path):
    (tmp_path / "calls").touch()
    clock = Clock(tmp_path)
    with cluster(tmp_path, **clock.environment, Q_CLUSTER_NAME="moved"), cluster(tmp_path, Q_CLUSTER_NAME="right"):
        wait_until(lambda: Driver.objects.count() == 4, "both clusters are up")
        drivers = set(Driver.objects.values_list("pk", flat=True))
        initial = {"n": 0, "log": [], "path": str(tmp_path / "go")}
        runs = [start(actor, NODES, initial, state={"reducers": {"log": "append"}}) for _ in range(RUNS)]
        held = Run.objects.filter(driver__isnull=False)
        wait_until(lambda: held.count() == RUNS, "all runs are driven")
        assert held.values("driver").distinct().count() == 2
        for ahead_s in (HOUR_S, -HOUR_S):
            clock.set_ahead(ahead_s)
            threading.Event().wait(WATCHED_S)
            assert set(Driver.objects.values_list("pk", flat=True)) == drivers, "nobody is taken for dead"
        (tmp_path / "go").touch()
        for run in runs:
            assert finish(run).status == Run.Status.COMPLETED, run.error
    long_ago = runs[0].created_at - timedelta(seconds=HOUR_S - 60)
    assert Event.objects.filter(run__in=runs, at__lt=long_ago).exists(), "the clock was never moved"
    for run in runs:
        assert selectors.current_state(run).values == {**initial, "n": TURNS, "log": list(range(TURNS)), "seen": True}
        assert_completed_once(run)
        assert [attempt for _, attempt in calls_of(run, tmp_path)] == [1] * TURNS, "no tool is called again"
        ends = Event.objects.filter(run=run, type="StepCompleted").values_list("data", flat=True)
        assert min(json.loads(data)["took_ms"] for data in ends) >= 0
