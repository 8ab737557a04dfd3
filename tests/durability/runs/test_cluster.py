"""Whatever process of a cluster dies, runs go on and stopping stays quick."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django_q.models import OrmQ

from runs.driver.identity import ProcessStat, look_up, read_stat
from runs.models import Driver, Run
from runs.processes import TICK_S
from tests.durability import rough_tools as _rough_tools  # noqa: F401 - registers the tools here, too
from tests.support.processes import managing
from tests.support.runs import finish, start
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

EXIT_WITHIN_S = 30
HARMLESS = {"a": {"tool": "add_one"}}


@contextmanager
def cluster(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A supervised cluster of one driver and the quarantine driver, up and driving."""
    with managing(
        *(arguments or ["worker", "--workers=1"]),
        WORKFLOW_TOOL_MODULES="tests.durability.rough_tools",
        WORKFLOW_BEAT_INTERVAL_S="0.5",
        WORKFLOW_WORKERS="1",
        **environment,
    ) as process:
        wait_until(lambda: len(driving()) == 2, "both drivers are up")
        yield process


def driving() -> dict[int, ProcessStat]:
    """The living drivers' processes."""
    return {driver.pid: stat for driver in Driver.objects.all() if (stat := look_up(driver))}


def children_of(parent: int) -> list[int]:
    """The processes that a process has forked, oldest first."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    return sorted(pid for pid in pids if (stat := read_stat(pid)) and stat.parent == parent and not stat.has_ended)


def guard_of(cluster_pid: int) -> int:
    """django-q2's guard, the parent of the workers."""
    [guard] = children_of(cluster_pid)
    return guard


def is_running(pid: int) -> bool:
    stat = read_stat(pid)
    return stat is not None and not stat.has_ended


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    os.kill(pid, number)


def assert_runs_are_executed(actor) -> None:
    run = finish(start(actor, HARMLESS, {"n": 1}))
    assert run.status == Run.Status.COMPLETED, run.error


def assert_ends_well(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    assert process.wait(EXIT_WITHIN_S) == 0
    assert not Driver.objects.exists()
    assert not OrmQ.objects.exists(), "no ticket is left behind"


def test_a_killed_driver_is_replaced_within_seconds(actor):
    with cluster() as process:
        victims = set(driving())
        for pid in victims:
            kill(pid)
        wait_until(lambda: len(driving()) == 2 and not victims & set(driving()), "both are replaced")
        assert_runs_are_executed(actor)
        assert_ends_well(process)


def test_a_cluster_whose_next_idle_worker_was_killed_is_replaced(actor):
    """Such a cluster never starts a task again: the dead worker holds the lock of the queue."""
    with cluster(WORKFLOW_STOP_GRACE_S="0.5") as process:
        threading.Event().wait(2 * TICK_S)  # the supervisor has seen both, so it is no longer patient
        [stuck] = children_of(process.pid)
        guard = guard_of(stuck)
        known = set(children_of(guard))
        kill(stuck, signal.SIGSTOP)  # so that no ticket is left for the idle worker
        kill(next(pid for pid in driving()))
        wait_until(lambda: set(children_of(guard)) - known, "the guard has started an idle worker")
        [idle] = set(children_of(guard)) - known
        wait_until(lambda: "pipe" in Path(f"/proc/{idle}/wchan").read_text(), "it waits for a task, with the lock")
        kill(idle)
        kill(stuck, signal.SIGCONT)
        wait_until(lambda: children_of(process.pid) not in ([stuck], []), "a second cluster stands beside it")
        wait_until(lambda: not is_running(stuck), "the first one has ended")
        wait_until(lambda: len(driving()) == 2, "the second one drives")
        assert_runs_are_executed(actor)
        assert_ends_well(process)


def test_a_killed_cluster_takes_its_workers_along_and_is_started_again(actor):
    with cluster() as process:
        [victim] = children_of(process.pid)
        old = set(driving())
        kill(victim)
        wait_until(lambda: len(driving()) == 2 and not old & set(driving()), "a new cluster drives")
        assert not any(map(is_running, old))
        assert_runs_are_executed(actor)
        assert_ends_well(process)


def test_a_killed_guard_takes_its_workers_along_and_is_started_again(actor):
    with cluster() as process:
        old = set(driving())
        kill(guard_of(children_of(process.pid)[0]))
        wait_until(lambda: len(driving()) == 2 and not old & set(driving()), "a new cluster drives")
        assert_runs_are_executed(actor)
        assert_ends_well(process)


def test_nothing_outlives_a_killed_supervisor():
    with cluster() as process:
        [leader] = children_of(process.pid)
        family = [leader, guard_of(leader), *children_of(guard_of(leader))]
        kill(process.pid)
        wait_until(lambda: not any(map(is_running, family)), "all of them have ended")
        assert not Driver.objects.exists(), "the drivers ended in good order"


def test_sigterm_to_all_processes_at_once_is_a_good_end_too():
    with cluster() as process:
        [leader] = children_of(process.pid)
        family = [process.pid, leader, guard_of(leader), *children_of(guard_of(leader))]
        for pid in family:
            kill(pid, signal.SIGTERM)
        assert process.wait(EXIT_WITHIN_S) == 0
        assert not any(map(is_running, family))
        assert not Driver.objects.exists()


def test_stopping_does_not_wait_for_a_tool_that_hangs_and_hands_its_run_back(actor):
    with cluster(WORKFLOW_STOP_GRACE_S="0.5") as process:
        run = start(actor, {"h": {"tool": "hang"}})
        wait_until(lambda: Run.objects.filter(pk=run.pk, driver__isnull=False).exists(), "it is driven")
        assert_ends_well(process)
    run.refresh_from_db()
    assert (run.status, run.driver, run.quarantined) == (Run.Status.RUNNING, None, False)
    assert run.wake_at is not None


def test_a_step_that_kills_every_worker_is_parked_and_no_neighbour_with_it(actor):
    with cluster(WORKFLOW_MAX_STEP_CRASHES="2") as process:
        poison = start(actor, {"p": {"tool": "die"}})
        neighbours = [start(actor, HARMLESS, {"n": number}) for number in range(5)]
        for neighbour in neighbours:
            assert finish(neighbour).status == Run.Status.COMPLETED
        assert finish(poison).status == Run.Status.FAILED
        assert "died 2 times" in poison.error
        assert_runs_are_executed(actor)
        assert_ends_well(process)


def test_a_cluster_without_a_supervisor_keeps_its_drivers_too(actor):
    with cluster("qcluster") as process:
        victim = next(pid for pid in driving())
        kill(victim)
        wait_until(lambda: len(driving()) == 2 and victim not in driving(), "it is replaced")
        assert_runs_are_executed(actor)
        assert_ends_well(process)
