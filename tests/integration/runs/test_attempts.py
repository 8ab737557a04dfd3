"""Retries in a real driver."""

import json
import threading
from datetime import UTC, datetime

import pytest

from runs.models import Event, Run, Step, StepError
from runs.selectors import current_state
from tests.support.runs import driving, finish, start
from tests.support.tools import gate, wait_for
from tests.support.waiting import wait_until
from tools import Context, tool

pytestmark = pytest.mark.django_db(transaction=True)

QUICK = {"max_attempts": 3, "initial_interval_s": 0.02, "jitter": False}
calls: dict[str, int] = {}
_lock = threading.Lock()


class Busy(Exception):
    retry_after = 0.3


@tool(name="fail_times")
def fail_times(name: str, times: int, ctx: Context) -> dict:
    """Fails so many times, then tells at which attempt it did not."""
    with _lock:
        calls[name] = calls.get(name, 0) + 1
        count = calls[name]
    if count <= times:
        raise (Busy if name.startswith("busy") else ValueError)(f"call {count}")
    return {"attempt": ctx.attempt, "key": ctx.idempotency_key}


def node(name: str, times: int, **more) -> dict:
    calls.pop(name, None)
    return {"a": {"tool": "fail_times", "inputs": {"name": name, "times": times}, **more}}


def types(run: Run) -> list[str]:
    return list(Event.objects.filter(run=run).order_by("seq").values_list("type", flat=True))


def test_a_step_is_tried_again_until_it_succeeds(actor):
    with driving():
        run = finish(start(actor, node("again", 2, retry=QUICK)))
    assert run.status == "completed"
    assert types(run) == ["RunStarted", "AttemptFailed", "AttemptFailed", "StepCompleted", "RunCompleted"]
    assert Step.objects.get(run=run).attempt == 3
    assert list(StepError.objects.filter(run=run).values_list("attempt", "message")) == [(1, "call 1"), (2, "call 2")]


def test_the_last_failure_is_that_of_the_step(actor):
    with driving():
        run = finish(start(actor, node("never", 9, retry=QUICK, on_error="h") | {"h": {}}))
    assert run.status == "completed"
    assert calls["never"] == 3
    failed = json.loads(Event.objects.get(run=run, type="StepFailed").data)
    assert (failed["attempt"], failed["error"]["message"], failed["route"]) == (3, "call 3", ["h"])


def test_what_the_policy_does_not_name_is_not_tried_again(actor):
    with driving():
        run = finish(start(actor, node("other", 1, retry={**QUICK, "on": ["KeyError"]})))
    assert run.status == "failed"
    assert calls["other"] == 1


def test_an_error_says_itself_when_to_come_back(actor):
    with driving():
        run = finish(start(actor, node("busy", 1, retry=QUICK)))
    failed = Event.objects.get(run=run, type="AttemptFailed")
    pause = datetime.fromisoformat(json.loads(failed.data)["retry_at"]) - failed.at
    assert 0.25 < pause.total_seconds() <= 0.31


def test_a_long_pause_leaves_memory_and_the_attempt_is_not_lost(actor):
    with driving():
        run = start(actor, node("later", 1, retry={"max_attempts": 2, "initial_interval_s": 60, "jitter": False}))
        wait_until(lambda: Run.objects.get(pk=run.pk).status == "waiting", "it has left memory")
        run.refresh_from_db()
        assert run.driver_id is None
        assert run.wake_at is not None
        assert run.wake_at.isoformat() == json.loads(Event.objects.get(run=run, type="AttemptFailed").data)["retry_at"]
    failed = Event.objects.get(run=run, type="AttemptFailed")
    data = {**json.loads(failed.data), "retry_at": datetime.now(UTC).isoformat()}
    Event.objects.filter(pk=failed.pk).update(data=json.dumps(data))
    Run.objects.filter(pk=run.pk).update(wake_at=datetime.now(UTC))
    with driving():
        assert finish(run).status == "completed"
    assert json.loads(Event.objects.get(run=run, type="StepCompleted").data)["attempt"] == 2


def test_all_attempts_together_have_a_deadline(actor):
    endless = {"max_attempts": 100, "initial_interval_s": 0.1, "jitter": False, "backoff_factor": 1}
    with driving():
        run = finish(start(actor, node("endless", 100, retry=endless, deadline_s=0.5)))
    assert run.status == "failed"
    assert 2 <= calls["endless"] <= 6


def test_a_deadline_cuts_an_attempt_short(actor):
    with driving():
        run = finish(start(actor, {"a": {"tool": "sleep", "inputs": {"seconds": 60}, "deadline_s": 0.2}}))
    assert run.error.startswith("a: TimeoutError")


def test_an_attempt_that_times_out_is_tried_again(actor):
    nodes = {"a": {"tool": "sleep", "inputs": {"seconds": 60}, "timeout_s": 0.05, "retry": QUICK}}
    with driving():
        run = finish(start(actor, nodes))
    assert types(run) == ["RunStarted", "AttemptFailed", "AttemptFailed", "StepFailed", "RunFailed"]


@tool(name="beat_and_fail")
def beat_and_fail(ctx: Context) -> dict:
    """Fails at first, and tells what it had reported then."""
    if ctx.attempt == 1:
        ctx.heartbeat({"done": 7})
        raise ValueError("half way")
    return {"last": ctx.last_heartbeat}


def test_the_next_attempt_knows_how_far_the_last_one_came(actor):
    with driving():
        run = finish(start(actor, {"a": {"tool": "beat_and_fail", "retry": QUICK}}))
    assert json.loads(Event.objects.get(run=run, type="StepCompleted").data)["update"] == {"last": {"done": 7}}


@tool(name="attempts.beat")
def beat_and_wait_at_gate(name: str, ctx: Context) -> dict:
    """Waits for its gate at first; tells later what it had reported then."""
    if ctx.attempt == 1:
        ctx.heartbeat({"done": 7})
        return wait_for(name, ctx)
    return {"last": ctx.last_heartbeat}


WAITING_TOOL = {"a": {"tool": "attempts.beat", "inputs": {"name": "beating"}}}


def test_the_next_attempt_knows_how_far_one_came_whose_worker_was_stopped(actor, settings):
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"stop_grace_s": 0.2})
    entered, _ = gate("beating")
    run = start(actor, WAITING_TOOL)
    with driving():
        wait_until(entered.is_set, "the tool runs")
    with driving():
        assert current_state(finish(run)).values["last"] == {"done": 7}


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_what_a_tool_reports_is_on_disk_while_it_runs(actor, durability):
    _, opened = gate("beating")
    with driving():
        run = start(actor, WAITING_TOOL, durability=durability)
        wait_until(lambda: Step.objects.get(run=run).heartbeat == '{"done":7}', "it is on disk")
        opened.set()
        finish(run)
    assert Step.objects.get(run=run).heartbeat == "", "it is over"


def test_the_next_attempt_knows_how_far_one_came_whose_worker_died(actor):
    run = start(actor, WAITING_TOOL)
    Step.objects.filter(run=run).update(heartbeat='{"done":8}')
    Run.objects.filter(pk=run.pk).update(quarantined=True, status="running")
    with driving(quarantine=True), driving():
        assert current_state(finish(run)).values["last"] == {"done": 8}
    assert "StepRescheduled" in types(run)
