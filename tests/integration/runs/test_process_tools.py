"""Runs whose tools have processes of their own, and tools that must give signs of life."""

import os
import signal
from pathlib import Path

import pytest

from runs import control, selectors
from runs.models import Driver, Step
from tests.support import process_tools
from tests.support.processes import database_url, managing
from tests.support.runs import driving, finish, start
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def environment_of_the_processes(monkeypatch: pytest.MonkeyPatch, settings) -> None:
    monkeypatch.setenv("WORKFLOW_TOOL_MODULES", process_tools.__name__)
    monkeypatch.setenv("SECRET_KEY", settings.SECRET_KEY)
    monkeypatch.setenv("DATABASE_URL", database_url())


def in_process(tool: str, inputs: dict | None = None, **options) -> dict:
    return {"a": {"tool": tool, "executor": "process", "inputs": inputs or {}, **options}}


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def hang(actor, path: Path, kind: str):
    """A run whose tool hangs, and the ids of the tool's process and of one that it has started."""
    run = start(actor, in_process("leave_note_and_hang", {"path": str(path), "kind": kind}))
    return run, lambda: [int(pid) for pid in path.read_text().split()] if path.exists() else []


def gone(pids: list[int]) -> None:
    wait_until(lambda: not any(map(is_alive, pids)), f"{pids} are gone")


def test_a_tool_in_a_process_updates_the_state_and_talks(actor):
    with driving():
        run = finish(start(actor, in_process("greet", {"name": "Ada"}), {"x": 1}))
    values = selectors.current_state(run).values
    assert (run.status, values["greeting"], values["keys"]) == ("completed", "hello Ada!", ["x"])
    assert values["key"] == f"{run.uuid}:{Step.objects.get(run=run).key}"


@pytest.mark.parametrize("executor", ["inline", "thread", "process"])
def test_a_tool_in_a_map_takes_the_item_and_the_index_by_name(executor, actor):
    nodes = {
        "s": {"next": {"map": "= xs", "as": "item", "to": "w", "join": "j", "collect": {"places": "= place"}}},
        "w": {"tool": "place_item", "executor": executor, "next": "j"},
        "j": {},
    }
    with driving():
        run = finish(start(actor, nodes, {"xs": ["a", "b"], "item": "hidden by the map"}))
    assert selectors.current_state(run).values["places"] == ["0: a", "1: b"], run.error


@pytest.mark.parametrize(
    ("how", "error"),
    [("exit", "ProcessDied"), ("allocate", "MemoryError"), ("loop", "TimeoutError"), ("upset", "ConnectionError")],
)
def test_a_tool_that_ends_badly_costs_one_step_which_a_handler_matches(how, error, actor):
    nodes = {
        **in_process("perish", {"how": how}, timeout_s=3, on_error=[{"match": error, "to": "handler"}]),
        "handler": {"outputs": {"type": "= error.type"}},
    }
    with driving():
        run = finish(start(actor, nodes))
    assert run.status == "completed", run.error
    assert selectors.current_state(run).values["type"] == ("Upset" if how == "upset" else error)


def test_a_cancelled_run_ends_the_process_of_its_tool(actor, tmp_path):
    with driving():
        run, pids = hang(actor, tmp_path / "note", "spin")
        wait_until(pids, "the tool hangs")
        control.cancel_run(run=run, actor=actor)
        assert finish(run).status == "cancelled"
        gone(pids())


@pytest.mark.parametrize("kind", ["sleep", "spin"])
def test_a_driver_that_stops_leaves_no_process_behind(kind, actor, tmp_path, settings):
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"stop_grace_s": 0.1})
    with driving():
        _, pids = hang(actor, tmp_path / "note", kind)
        wait_until(pids, "the tool hangs")
    gone(pids())


@pytest.mark.parametrize("kind", ["sleep", "spin"])
def test_a_driver_that_is_killed_leaves_no_process_behind(kind, actor, tmp_path):
    with managing("worker", WORKFLOW_WORKERS="1"):
        _, pids = hang(actor, tmp_path / "note", kind)
        wait_until(pids, "the tool hangs")
        first = pids()
        (driver,) = Driver.objects.filter(quarantine=False)
        os.kill(driver.pid, signal.SIGKILL)
        gone(first)


@pytest.mark.parametrize("executor", ["inline", "thread", "process"])
def test_a_tool_that_falls_silent_ends_with_a_heartbeat_timeout(executor, actor):
    tool = "beat_async" if executor == "inline" else "beat_and_wait" if executor == "thread" else "beat"
    inputs = {"times": 2} if executor == "thread" else {"times": 2, "then_hang": True}
    nodes = {"a": {"tool": tool, "executor": executor, "inputs": inputs, "heartbeat_timeout_s": 0.5}}
    with driving():
        run = finish(start(actor, nodes))
    assert run.error.startswith(
        "a: HeartbeatTimeout: The tool gave no sign of life for its heartbeat_timeout_s of 0.5 s"
    )


def test_details_that_are_too_large_fail_a_tool_in_a_thread(actor):
    with driving():
        at, past = (start(actor, {"a": {"tool": "beat_details", "inputs": {"size_bytes": 65536 + n}}}) for n in (0, 1))
        assert finish(at).status == "completed"
        assert finish(past).error.startswith("a: JsonInvalid: ")
