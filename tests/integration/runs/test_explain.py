"""Why a run is not moving, from its journal and its rows."""

from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from runs import control
from runs.explain import MAX_REASONS, explain_run
from runs.models import Driver, Event, Run
from tests.support.runs import driving, finish, start
from tests.support.tools import gate
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def reasons(run: Run) -> list[tuple[str, str]]:
    run = Run.objects.select_related("driver").get(pk=run.pk)
    return [(reason.because, reason.node) for reason in explain_run(run)]


def first_sentence(run: Run) -> str:
    return explain_run(Run.objects.select_related("driver").get(pk=run.pk))[0].message


def test_a_run_that_is_cancelled_when_its_steps_are_over_says_so(actor):
    entered, opened = gate("explained when cancelled")
    nodes = {
        "s": {"next": ["a", "b"]},
        "a": {"next": "j"},
        "b": {"tool": "wait_for", "inputs": {"name": "explained when cancelled"}, "outputs": {}, "next": "j"},
        "j": {"join": "all"},
    }
    with driving():
        run = start(actor, nodes)
        wait_until(entered.is_set, "the tool runs")
        control.cancel_run(run=run, actor=actor, reason="enough", graceful=True)
        wait_until(lambda: reasons(run) == [("stopping", ""), ("running", "b")], "it says that it ends")
        message = explain_run(Run.objects.select_related("driver").get(pk=run.pk))[0].message
        assert message.startswith(
            "The run starts nothing more and is over when the steps under way are: owner cancelled it"
        )
        opened.set()
        assert finish(run).status == "cancelled"


def test_a_run_that_stops_on_failures_says_so(actor):
    entered, opened = gate("explained when stopping")
    nodes = {
        "s": {"next": ["a", "b"]},
        "a": {"tool": "fail"},
        "b": {"tool": "wait_for", "inputs": {"name": "explained when stopping"}, "outputs": {}},
    }
    with driving():
        run = start(actor, nodes, on_failure="stop")
        wait_until(entered.is_set, "the tool runs")
        wait_until(lambda: ("stopping", "") in reasons(run), "it says that it ends")
        assert (
            "the graph stops on failures" in explain_run(Run.objects.select_related("driver").get(pk=run.pk))[0].message
        )
        opened.set()
        assert finish(run).status == "failed"


def test_a_run_that_nobody_can_take(actor):
    run = start(actor, {"a": {}})
    assert reasons(run) == [("no-worker", ""), ("running", "a")]
    now = timezone.now()
    Driver.objects.create(
        host="h", boot_id="b", pid_namespace="n", pid=1, process_started="s", started_at=now, beat_at=now
    )
    assert reasons(run)[0] == ("due", "")
    Run.objects.filter(pk=run.pk).update(quarantined=True)
    assert reasons(run)[0] == ("no-worker", "")
    Driver.objects.update(quarantine=True)
    assert reasons(run)[0] == ("quarantined", "")
    Run.objects.filter(pk=run.pk).update(driver=Driver.objects.get())
    Driver.objects.update(beat_at=now - timedelta(hours=1))
    assert reasons(run)[0] == ("worker-silent", "")


def test_a_step_that_is_under_way_and_the_join_that_waits_for_it(actor, api_client: APIClient):
    entered, opened = gate("explained")
    nodes = {
        "s": {"next": ["a", "b"]},
        "a": {"next": "j"},
        "b": {"tool": "wait_for", "inputs": {"name": "explained"}, "outputs": {}, "next": "j"},
        "j": {"join": "all"},
    }
    with driving():
        run = start(actor, nodes)
        wait_until(entered.is_set, "the tool runs")
        wait_until(lambda: len(reasons(run)) == 2, "the other branch is at the join")
        answer = api_client.get(f"/api/v1/runs/{run.uuid}/explain/").json()
        running, join = answer["reasons"]
        assert (answer["status"], running["because"], join["because"]) == ("running", "running", "join")
        assert running["data"]["worker"].startswith("driver ")
        assert "since" in running["data"]
        assert join["data"]["waits_for"] == ["b"]
        opened.set()
        assert finish(run).status == "completed"
    assert reasons(run) == []


def test_a_pause_a_breakpoint_and_mail_that_is_not_read(actor):
    with driving():
        run = start(actor, {"a": {}}, breakpoints=[{"node": "a"}])
        wait_until(lambda: reasons(run) == [("breakpoint", ""), ("held", "a")], "the breakpoint stops it")
    control.resume_run(run=run, actor=actor)
    assert ("mail", "") in reasons(run)
    run = start(actor, {"a": {}})
    control.pause_run(run=run, actor=actor, reason="lunch")
    with driving():
        wait_until(lambda: reasons(run) == [("paused", ""), ("held", "a")], "it is paused")
    told = explain_run(run)[0]
    assert told.data["by"] == "owner"
    assert 'because "lunch"' in told.message


def test_waits_and_failures(actor):
    with driving():
        waiting = start(actor, {"w": {"wait": {"signal": "paid"}}})
        wait_until(lambda: reasons(waiting) == [("signal", "w")], "it waits")
        failed = finish(start(actor, {"a": {"tool": "misbehave", "inputs": {"how": "raise"}}}))
    assert reasons(failed) == [("failed", "a")]
    Event.objects.filter(run=failed, seq=2).update(type="Nonsense")
    assert reasons(failed) == [("damaged", "")]


def test_the_list_is_bounded(actor):
    mapped = {
        "m": {"next": {"map": "= items", "as": "i", "to": "w", "join": "e"}},
        "w": {"wait": {"signal": "x"}, "next": "e"},
        "e": {},
    }
    with driving():
        run = start(actor, mapped, {"items": list(range(MAX_REASONS + 1))})
        wait_until(lambda: Run.objects.get(pk=run.pk).status == "waiting", "all items wait")
    assert len(reasons(run)) == MAX_REASONS


def test_steps_that_wait_for_a_place_or_a_thread_are_not_under_way(actor, settings):
    quick = {"beat_interval_s": 0.1, "sync_tool_threads": 2}
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update=quick)
    names = ["a", "b", "c", "d"]
    gates = {name: gate(name) for name in names}
    waits = {name: {"tool": "wait_for", "inputs": {"name": name}, "outputs": {}} for name in names}
    nodes = {"s": {"next": names}, **waits}
    with driving():
        run = start(actor, nodes, limits={"max_parallel": 3})
        expected = {("running", "a"), ("running", "b"), ("executor", "c"), ("place", "d")}
        wait_until(lambda: set(reasons(run)) == expected, "all is told")
        told = {each.because: each for each in explain_run(Run.objects.select_related("driver").get(pk=run.pk))}
        assert told["place"].message.startswith('Node "d" is not called yet: limits.max_parallel')
        assert "no thread or process free" in told["executor"].message
        assert told["executor"].data["worker"].startswith("driver ")
        for _, opened in gates.values():
            opened.set()
        assert finish(run).status == "completed"
