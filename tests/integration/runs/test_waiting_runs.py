"""Runs that wait by the clock, in a real driver."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from runs import control
from runs.models import Event, Run, Step
from tests.support.runs import driving, finish, is_waiting, start
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def status_of(run: Run) -> str:
    run.refresh_from_db()
    return run.status


def types(run: Run) -> list[str]:
    return list(Event.objects.filter(run=run).order_by("seq").values_list("type", flat=True))


def test_a_short_wait_ends_by_itself(actor):
    with driving():
        run = finish(start(actor, {"w": {"wait": {"seconds": 0.05}, "outputs": {"at": "= result.at"}}}))
    assert run.status == "completed"
    assert types(run) == ["RunStarted", "StepWaiting", "StepCompleted", "RunCompleted"]


def test_a_long_wait_leaves_memory_and_is_due_when_its_time_comes(actor):
    moment = datetime.now(UTC) + timedelta(days=3)
    with driving():
        run = start(actor, {"w": {"wait": {"until": moment.isoformat()}, "next": "e"}, "e": {}})
        wait_until(lambda: is_waiting(run), "it has left memory")
        assert run.wake_at == moment
        assert Step.objects.get(run=run).status == Step.Status.WAITING
        Run.objects.filter(pk=run.pk).update(wake_at=datetime.now(UTC))
        wait_until(lambda: Run.objects.get(pk=run.pk).epoch == 2, "it is taken up again")
        wait_until(lambda: is_waiting(run), "it waits for the same moment")
        assert run.wake_at == moment
    assert "StepRescheduled" not in types(run)


def test_a_wait_that_is_over_while_nobody_drives_ends_when_somebody_does(actor):
    with driving():
        run = start(actor, {"w": {"wait": {"seconds": 6}, "next": "e"}, "e": {}})
        wait_until(lambda: is_waiting(run), "it has left memory")
    entry = Event.objects.get(run=run, type="StepWaiting")
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    data = json.loads(entry.data)
    data["wait"]["entries"][0]["at"] = past
    Event.objects.filter(pk=entry.pk).update(data=json.dumps(data))
    Run.objects.filter(pk=run.pk).update(wake_at=datetime.now(UTC))
    with driving():
        assert finish(run).status == "completed"


def test_cancelling_ends_a_wait_at_once(actor):
    with driving():
        run = start(actor, {"w": {"wait": {"seconds": 3600}}})
        wait_until(lambda: is_waiting(run), "it has left memory")
        control.cancel_run(run=run, actor=actor)
        assert finish(run).status == "cancelled"
    assert Step.objects.get(run=run).status == Step.Status.CANCELLED


def test_a_branch_that_waits_does_not_keep_the_others_waiting(actor):
    nodes = {
        "s": {"next": ["w", "a"]},
        "w": {"wait": {"seconds": 3600}, "next": "j"},
        "a": {"tool": "increment", "next": {"condition": "n >= 5", "if_true": "j", "if_false": "a"}},
        "j": {"join": "any"},
    }
    with driving():
        run = finish(start(actor, nodes, {"n": 0}))
    assert run.status == "completed"


def test_a_signal_that_does_not_come_in_time_leads_elsewhere(actor):
    wait = {"signal": "paid", "timeout_s": 0.05, "on_timeout": "late"}
    with driving():
        run = finish(start(actor, {"w": {"wait": wait}, "late": {}}))
        assert run.status == "completed"
        assert Step.objects.filter(run=run, node="late").exists()
        failing = finish(start(actor, {"w": {"wait": {"signal": "paid", "timeout_s": 0.05}}}))
        outputs = {"amount": "= result.payload.amount"}
        unpaid = finish(start(actor, {"w": {"wait": wait, "outputs": outputs}, "late": {}}))
    assert unpaid.status == "completed", "there is nothing for the outputs to work on"
    assert failing.status == "failed"
    assert failing.error.startswith("w: TimeoutError: Nothing came")


def test_a_wait_for_nonsense_fails_its_step(actor):
    with driving():
        run = finish(start(actor, {"w": {"wait": {"seconds": "= n"}}}, {"n": "soon"}))
    assert run.error.startswith("w: WaitInvalid")
