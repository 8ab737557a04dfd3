"""Whatever process of a cluster dies, runs go on and stopping stays quick."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings
from django_q.models import OrmQ

from runs import control
from runs.driver.identity import ProcessStat, look_up, read_stat
from runs.models import Driver, Event, Run, Step
from runs.processes import TICK_S
from runs.selectors import current_state
from tests.durability import rough_tools as _rough_tools  # noqa: F401 - registers the tools here, too
from tests.support.processes import children_of, managing
from tests.support.runs import finish, start
from tests.support.verifying import assert_as_journaled
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

EXIT_WITHIN_S = 30
REPLACED_WITHIN_S = 10
"""An idle machine needs two; what waits for TICKET_EVERY_S takes longer."""
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
    asked_from_here = settings.Q_CLUSTER["name"]  # by a start that found all drivers dead
    assert not OrmQ.objects.exclude(key=asked_from_here).exists(), "no ticket is left behind"
    assert_as_journaled()


def test_a_killed_driver_is_replaced_within_seconds(actor):
    with cluster() as process:
        victims = set(driving())
        for pid in victims:
            kill(pid)
        wait_until(lambda: len(driving()) == 2 and not victims & set(driving()), "both are replaced")
        assert_runs_are_executed(actor)
        assert_ends_well(process)


def test_a_run_goes_on_within_seconds_although_its_next_drivers_die_as_soon_as_they_drive(actor, tmp_path: Path):
    with cluster() as process:
        run = start(actor, {"w": {"tool": "wait_for_file"}}, {"path": str(tmp_path / "go")})
        wait_until(lambda: Run.objects.filter(pk=run.pk, driver__isnull=False).exists(), "it is driven")
        for _ in range(2):
            victims = set(driving())
            for pid in victims:
                kill(pid)
            wait_until(lambda victims=victims: set(driving()) - victims, "another one drives")
        for pid in driving():
            kill(pid)
        died_at = time.monotonic()
        (tmp_path / "go").touch()
        assert finish(run).status == Run.Status.COMPLETED, run.error
        wait_until(lambda: len(driving()) == 2, "all are replaced")
        assert time.monotonic() - died_at < REPLACED_WITHIN_S
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


def test_a_parked_step_that_is_tried_again_has_all_its_chances_and_is_parked_again(actor):
    with cluster(WORKFLOW_MAX_STEP_CRASHES="2") as process:
        poison = start(actor, {"p": {"tool": "die"}})
        assert finish(poison).status == Run.Status.FAILED
        wait_until(lambda: len(driving()) == 2, "both drivers are up again")
        control.retry_run(run=poison, actor=actor)
        ends = Event.objects.filter(run=poison, type="RunFailed")
        wait_until(lambda: ends.count() == 2, "it is parked again")
        assert Step.objects.get(run=poison).crashes == 2
        assert_ends_well(process)


def test_a_branch_beside_a_step_that_kills_every_worker_goes_on(actor, tmp_path: Path):
    with cluster(WORKFLOW_MAX_STEP_CRASHES="2"):
        branches = {"s": {"next": ["p", "w"]}, "p": {"tool": "die"}, "w": {"tool": "wait_for_file"}}
        run = start(actor, branches, {"path": str(tmp_path / "go")})
        wait_until(Step.objects.filter(run=run, node="p", status="failed").exists, "the poison is parked")
        (tmp_path / "go").touch()
        assert finish(run).status == Run.Status.FAILED
        beside = Step.objects.get(run=run, node="w")
        assert (beside.status, beside.crashes) == (Step.Status.COMPLETED, 0), beside.error


def test_the_other_items_of_a_map_go_on_whose_first_item_kills_every_worker(actor, tmp_path: Path):
    """s ──► map over items: b ──► p (item 0) or w (the others) ──► j"""
    fork = {"map": "= items", "as": "item", "to": "b", "join": "j", "max_parallel": 2, "tolerated_failures": 1}
    nodes = {
        "s": {"next": {**fork, "collect": {"items": "= item"}}},
        "b": {"next": {"condition": "item == 0", "if_true": "p", "if_false": "w"}},
        "p": {"tool": "die", "next": "j"},
        "w": {"tool": "wait_for_file", "next": "j"},
        "j": {},
    }
    with cluster(WORKFLOW_MAX_STEP_CRASHES="2"):
        run = start(actor, nodes, {"path": str(tmp_path / "go"), "items": list(range(6))})
        wait_until(Step.objects.filter(run=run, node="p", status="failed").exists, "the poison is parked")
        (tmp_path / "go").touch()
        assert finish(run).status == Run.Status.COMPLETED, run.error
    assert set(Step.objects.filter(run=run).exclude(node="p").values_list("crashes", flat=True)) == {0}


def test_all_runs_of_a_dead_driver_go_on_although_none_of_their_tools_comes_to_an_end(actor, tmp_path: Path):
    with cluster():
        runs = [start(actor, {"w": {"tool": "wait_for_file"}}, {"path": str(tmp_path / "go")}) for _ in range(4)]
        wait_until(lambda: Run.objects.filter(driver__quarantine=False).count() == 4, "all are driven")
        kill(Driver.objects.get(quarantine=False).pid)
        wait_until(lambda: Step.objects.filter(attempt=2).count() == 4, "each is called again")
        (tmp_path / "go").touch()
        for run in runs:
            assert finish(run).status == Run.Status.COMPLETED, run.error


def test_a_step_that_kills_every_worker_after_a_while_is_found_beside_one_that_does_not_end(actor, tmp_path: Path):
    with cluster(WORKFLOW_MAX_STEP_CRASHES="2", WORKFLOW_QUARANTINE_ALONE_S="0.5"):
        poison = start(actor, {"p": {"tool": "die_late", "inputs": {"after_s": 1.5}}})
        beside = start(actor, {"w": {"tool": "wait_for_file"}}, {"path": str(tmp_path / "go")})
        assert finish(poison).status == Run.Status.FAILED
        (tmp_path / "go").touch()
        assert finish(beside).status == Run.Status.COMPLETED, beside.error
    assert (Step.objects.get(run=poison).crashes, Step.objects.get(run=beside).crashes) == (2, 0)


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_the_next_attempt_knows_how_far_one_came_whose_worker_was_killed(actor, executor):
    with cluster():
        run = start(actor, {"a": {"tool": "beat_and_hang", "executor": executor}})
        wait_until(Step.objects.filter(run=run, heartbeat="41").exists, "it has said how far it is")
        kill(Driver.objects.get(quarantine=False).pid)
        assert current_state(finish(run)).values["last"] == 41


def test_a_driver_that_was_paused_for_longer_than_its_lease_writes_nothing_when_it_goes_on(actor, tmp_path: Path):
    with cluster("qcluster", WORKFLOW_LEASE_S="3") as process:
        run = start(actor, {"w": {"tool": "wait_for_file"}}, {"path": str(tmp_path / "go")})
        wait_until(lambda: Run.objects.filter(pk=run.pk, driver__isnull=False).exists(), "it is driven")
        paused = Run.objects.get(pk=run.pk).driver.pid
        kill(paused, signal.SIGSTOP)
        wait_until(lambda: Run.objects.filter(pk=run.pk, driver__quarantine=True).exists(), "it was taken over")
        (tmp_path / "go").touch()
        kill(paused, signal.SIGCONT)
        assert finish(run).status == Run.Status.COMPLETED
        wait_until(lambda: not is_running(paused), "the late driver has been fenced")
        wait_until(lambda: len(driving()) == 2, "it is replaced")
        assert_ends_well(process)
    kinds = list(Event.objects.filter(run=run).order_by("seq").values_list("type", flat=True))
    assert kinds == ["RunStarted", "StepRescheduled", "StepCompleted", "RunCompleted"]


def test_a_cluster_without_a_supervisor_keeps_its_drivers_too(actor):
    with cluster("qcluster") as process:
        victim = next(pid for pid in driving())
        kill(victim)
        wait_until(lambda: len(driving()) == 2 and victim not in driving(), "it is replaced")
        wait_until(lambda: not Driver.objects.filter(pid=victim).exists(), "its runs are free")
        assert_runs_are_executed(actor)
        assert_ends_well(process)
