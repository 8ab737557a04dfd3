import dataclasses
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runs.driver.identity import ProcessIdentity, has_ended, is_visible, read_stat


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], ProcessIdentity]]:
    program = shutil.copy(str(shutil.which("sleep")), tmp_path / "a) R 1 (b")  # a name that looks like other fields
    with subprocess.Popen([program, "60"]) as process:
        stat = read_stat(process.pid)
        assert stat is not None
        yield process, dataclasses.replace(ProcessIdentity.current(), pid=process.pid, process_started=stat.started)
        process.kill()


def test_a_living_process_has_not_ended(sleeper):
    assert not has_ended(sleeper[1])
    assert not has_ended(ProcessIdentity.current())


def test_the_stat_of_a_child_names_its_parent_whatever_the_program_is_called(sleeper):
    stat = read_stat(sleeper[0].pid)
    assert stat is not None
    assert stat.parent == ProcessIdentity.current().pid
    assert not stat.has_ended


def test_a_killed_process_has_ended_even_before_its_parent_has_looked(sleeper):
    process, identity = sleeper
    process.send_signal(9)
    # Waits for the end without reaping: the process stays a zombie.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert has_ended(identity)
    process.wait()
    assert has_ended(identity)


def test_another_process_with_the_same_id_is_not_taken_for_the_first_one(sleeper):
    assert has_ended(dataclasses.replace(sleeper[1], process_started="1"))


@pytest.mark.parametrize("elsewhere", [{"boot_id": "another boot"}, {"pid_namespace": "pid:[1]"}, {"boot_id": ""}])
def test_of_a_process_on_another_host_nothing_is_known(elsewhere):
    far_away = dataclasses.replace(ProcessIdentity.current(), pid=2**22 + 1, **elsewhere)
    assert not is_visible(far_away)
    assert not has_ended(far_away)


def test_where_there_is_no_proc_nothing_is_known(monkeypatch):
    monkeypatch.setattr("runs.driver.identity._boot_id", lambda: "")
    assert not has_ended(dataclasses.replace(ProcessIdentity.current(), pid=2**22 + 1))
