"""Tools that do their worst cost their own step: their worker lives, and runs beside them end as if they were not."""

import json
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from runs import selectors
from runs.driver.identity import read_stat
from runs.models import Driver, Event, Run, Step
from tests.durability import rough_tools as _rough_tools  # noqa: F401 - which the workers do not have
from tests.durability import sabotage as _sabotage  # noqa: F401 - registers the tool here, too
from tests.durability.judging import assert_completed_once, calls_of
from tests.support import process_tools as _process_tools  # noqa: F401 - and here
from tests.support.processes import managing
from tests.support.runs import finish, start
from tests.support.verifying import assert_as_journaled
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.slow,
    pytest.mark.skipif(connection.vendor != "sqlite", reason="the database has no part in it"),
]

TIMEOUT_S = 2
TURNS = 50
ENDINGS = {
    "kill": "ProcessDied",  # as the kernel does when memory runs out
    "allocate": "MemoryError",
    "loop": "TimeoutError",
    "exit": "ProcessDied",
    "sys.exit": "SystemExit",
    "segfault": "ProcessDied",
    "set": "JsonInvalid",
}
PERISH = {
    "s": {"next": {"map": "= ways", "as": "how", "to": "p", "join": "j", "tolerated_failures": "100%"}},
    "p": {"tool": "perish", "executor": "process", "timeout_s": TIMEOUT_S, "next": "j"},
    "j": {},
}
LOOP = {"a": {"tool": "count", "next": {"condition": f"n >= {TURNS}", "if_true": "end", "if_false": "a"}}}


def in_process(tool: str, **inputs: object) -> dict:
    return {"a": {"tool": tool, "executor": "process", "timeout_s": TIMEOUT_S, "inputs": inputs}}


def is_running(pid: str) -> bool:
    stat = read_stat(int(pid))
    return stat is not None and not stat.has_ended


def test_they_cost_their_own_step(actor, tmp_path: Path):
    (tmp_path / "calls").touch()
    note = tmp_path / "pids"
    with managing(
        "worker",
        "--workers=1",
        WORKFLOW_TOOL_MODULES="tests.support.process_tools,tests.durability.sabotage,tests.durability.no_such_module",
        WORKFLOW_BEAT_INTERVAL_S="0.5",
        SABOTAGE_FOLDER=str(tmp_path),
    ):
        wait_until(lambda: Driver.objects.count() == 2, "both drivers are up")
        drivers = set(Driver.objects.values_list("pid", flat=True))
        forking = start(actor, in_process("leave_note_and_hang", path=str(note)))
        perishing = start(actor, PERISH, {"ways": list(ENDINGS)})
        prattling = start(actor, in_process("prattle", lines=1_000, size_bytes=10_000))
        unknown = start(actor, {"a": {"tool": "add_one"}}, {"n": 1})
        beside = start(actor, LOOP, {"n": 0, "log": []}, state={"reducers": {"log": "append"}})
        ended = {name: finish(run) for name, run in locals().items() if isinstance(run, Run)}
        assert set(Driver.objects.values_list("pid", flat=True)) == drivers, "no worker died of it"
        wait_until(lambda: not any(map(is_running, note.read_text().split())), "what was forked is gone, too")
    assert {name: run.status for name, run in ended.items()} == {
        "forking": "failed",
        "perishing": "completed",
        "prattling": "completed",
        "unknown": "failed",
        "beside": "completed",
    }
    assert_as_journaled()
    errors = Step.objects.filter(run=perishing, node="p").order_by("path").values_list("error", flat=True)
    assert [json.loads(error)["type"] for error in errors] == list(ENDINGS.values())
    assert "TimeoutError" in forking.error
    assert "add_one" in unknown.error
    logged = Event.objects.filter(run=prattling, type="LogWritten").values_list("data", flat=True)
    assert sum(map(len, logged)) == pytest.approx(settings.WORKFLOW.max_log_step_bytes, rel=0.1)
    assert selectors.current_state(beside).values == {"n": TURNS, "log": list(range(TURNS))}
    assert_completed_once(beside)
    assert len(calls_of(beside, tmp_path)) == TURNS
