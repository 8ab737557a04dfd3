"""A host is cut off from the database: another one goes on with its runs, and it does no harm when it comes back."""

import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from django.db import connection

from runs import selectors
from runs.models import Driver, Event, Run
from tests.durability import rough_tools as _rough_tools  # noqa: F401 - registers the tools here, too
from tests.durability import sabotage as _sabotage  # noqa: F401 - and here
from tests.durability.hosts import Host, is_running, two_hosts
from tests.durability.judging import assert_completed_once, calls_of
from tests.support.runs import finish, start
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.slow,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="several hosts take PostgreSQL"),
]

LEASE_S = 3
TAKEN_OVER_WITHIN_S = LEASE_S + 12
GIVEN_UP_WITHIN_S = 5 * LEASE_S
"""Twice is what it takes; TCP alone would take 900 s."""
RUNS = 3
TURNS = 150

#   s ──► a ⟲ (many turns) ──► j
#    └──► w (until the test lets it go) ──► j
NODES = {
    "s": {"next": ["a", "w"]},
    "a": {"tool": "count", "next": {"condition": f"n >= {TURNS}", "if_true": "j", "if_false": "a"}},
    "w": {"tool": "wait_for_file", "next": "j"},
    "j": {"join": "all"},
}


def drive_on(hosts: tuple[Host, Host], folder: Path) -> ExitStack:
    """Workers on each host. Closing the stack ends them."""
    stack = ExitStack()
    for host in hosts:
        stack.enter_context(
            host.managing(
                "worker",
                "--workers=1",
                WORKFLOW_TOOL_MODULES="tests.durability.sabotage,tests.durability.rough_tools",
                WORKFLOW_BEAT_INTERVAL_S="0.5",
                WORKFLOW_LEASE_S=str(LEASE_S),
                WORKFLOW_QUARANTINE_ALONE_S="0.2",
                SABOTAGE_FOLDER=str(folder),
            )
        )
    return stack


def is_driven_by(host: Host, *runs: Run) -> bool:
    return Run.objects.filter(pk__in=[run.pk for run in runs], driver__host=host.name).count() == len(runs)


def test_the_runs_of_a_host_that_is_cut_off_go_on_elsewhere_and_it_writes_nothing_when_it_is_back(
    actor, tmp_path: Path
):
    (tmp_path / "calls").touch()
    initial = {"n": 0, "log": [], "path": str(tmp_path / "go")}
    with two_hosts() as hosts, drive_on(hosts, tmp_path):
        wait_until(lambda: Driver.objects.count() == 2 * len(hosts), "both hosts drive")
        runs = [start(actor, NODES, initial, state={"reducers": {"log": "append"}}) for _ in range(RUNS)]
        wait_until(lambda: Event.objects.filter(run__in=runs).count() > 20 * RUNS, "the runs are under way")
        lost, other = sorted(hosts, key=lambda host: not is_driven_by(host, runs[0]))
        held = [run for run in runs if is_driven_by(lost, run)]
        drivers = list(Driver.objects.filter(host=lost.name))
        lost.pull_cable()
        cut_at = time.monotonic()
        wait_until(lambda: is_driven_by(other, *held), "the other host has taken them over")
        assert time.monotonic() - cut_at < TAKEN_OVER_WITHIN_S
        wait_until(lambda: not any(map(is_running, drivers)), "the drivers that are cut off have given up")
        assert time.monotonic() - cut_at < GIVEN_UP_WITHIN_S
        (tmp_path / "go").touch()
        for run in runs:
            assert finish(run).status == Run.Status.COMPLETED, run.error
        lost.plug_cable_in()
        wait_until(Driver.objects.filter(host=lost.name, quarantine=False).exists, "the lost host drives again")
    for run in runs:
        assert selectors.current_state(run).values == {**initial, "n": TURNS, "log": list(range(TURNS)), "seen": True}
        assert_completed_once(run)
        calls = calls_of(run, tmp_path)
        assert len(set(calls)) == len(calls), "no attempt is made twice"
