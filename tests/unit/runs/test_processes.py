"""Programs under a supervisor: started again, replaced, and ended with all that they started."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from runs import processes
from runs.driver.identity import read_stat
from runs.driver.pool import StopFlag
from runs.processes import Child, stop_on_signals, supervise
from tests.support.waiting import WAIT_S, wait_until

FOREVER = "import signal; signal.pause()"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True)\nwhile True: signal.pause()"
# A program that starts another one and is then waited for, as a cluster is.
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {DEAF!r}])"


@pytest.fixture
def make_child() -> Iterator[Callable[..., Child]]:
    made = []

    def make(code: str, *, grace_s: float = 10) -> Child:
        made.append(Child("A program", [sys.executable, "-c", code], grace_s=grace_s))
        return made[-1]

    yield make
    for child in made:
        child.stop()
        for group in child._retired:
            group.kill_at = 0
        wait_until(lambda child=child: child.is_gone, "it is gone")


def running(child: Child) -> bool:
    return child.group is not None and child.group.is_running


def ended(child: Child) -> None:
    assert child.group is not None
    child.group.leader.wait()


def test_a_program_that_ends_is_started_again_after_a_pause(make_child, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(processes, "time", SimpleNamespace(monotonic=lambda: now))
    child = make_child("")
    starts = []
    child.start()
    for _ in range(4):
        ended(child)
        child.tick()
        assert child.group is None, "not at once"
        waited_from = now
        while child.group is None:
            now += 0.25
            child.tick()
        starts.append(now - waited_from)
    assert starts == [1, 2, 4, 8]


def test_the_pause_is_short_again_for_a_program_that_ran_well(make_child, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(processes, "time", SimpleNamespace(monotonic=lambda: now))
    child = make_child("")
    child._delay_s = 16
    child.start()
    ended(child)
    now += processes.LONGEST_DELAY_S + 1
    child.tick()
    now += processes.FIRST_DELAY_S
    child.tick()
    assert child.group is not None


def test_a_replacement_runs_beside_the_program_that_drains(make_child):
    child = make_child(FOREVER)
    child.start()
    first = child.group
    child.replace()
    assert running(child)
    assert child.group is not first
    wait_until(lambda: first.is_empty, "the first one has ended")


def test_what_does_not_end_in_its_grace_time_is_killed_with_all_that_it_started(make_child):
    child = make_child(PARENT, grace_s=0.2)
    child.start()
    group = child.group.pid
    wait_until(lambda: len(members(group)) == 2, "both run")
    child.stop()
    wait_until(lambda: child.is_gone, "both have ended")
    assert members(group) == []


def members(group: int) -> list[int]:
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    return [pid for pid in pids if (stat := read_stat(pid)) and stat.group == group and not stat.has_ended]


def test_what_a_program_left_behind_is_waited_for(make_child):
    child = make_child(PARENT)
    child.start()
    group = child.group
    wait_until(lambda: len(members(group.pid)) == 2, "both run")
    group.leader.kill()
    group.leader.wait()
    assert not group.is_empty
    os.killpg(group.pid, signal.SIGKILL)
    wait_until(lambda: group.is_empty, "nothing is left")


def test_supervising_ends_when_the_flag_is_raised_and_everything_has_ended(make_child):
    child = make_child(FOREVER)
    stop = StopFlag()
    thread = threading.Thread(target=supervise, args=([child], stop))
    thread.start()
    wait_until(lambda: running(child), "it runs")
    first = child.group
    first.leader.kill()
    wait_until(lambda: running(child) and child.group is not first, "it runs again")
    stop.raise_()
    thread.join(WAIT_S)
    assert not thread.is_alive()
    assert child.is_gone


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_to_stop_and_a_second_ctrl_c_is_not_held_back(number):
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        stop = stop_on_signals()
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        assert stop.is_set()
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
