"""Ends that come at awkward moments, and definitions that ask for trouble: no run is stuck, no driver dies."""

from datetime import timedelta

import pytest
from django.utils import timezone

from runs import selectors, services
from runs.models import Driver, Run, Step, StreamChunk
from runs.store.mail import post
from runs.store.takeover import CRASHED
from tests.support.runs import driving, finish, start
from tests.support.tools import gate
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

WAITING = {"w": {"tool": "wait_for", "inputs": {"name": "hard"}}}


@pytest.fixture
def driver():
    with driving() as stop:
        yield stop


def doubling(**options) -> dict:
    """s ──► map over xs: w ──► j"""
    return {
        "s": {"next": {"map": "= xs", "as": "x", "to": "w", "join": "j", **options}},
        "w": {"tool": "double", "inputs": {"x": "= x"}},
        "j": {},
    }


def crash(run: Run, actor) -> None:
    """Make the run that of a worker which died too often in the run's only step."""
    step = Step.objects.get(run=run)
    Run.objects.filter(pk=run.pk).update(quarantined=True, status="running")
    post(run, kind=CRASHED, payload={"step": step.key, "crashes": 5}, actor=actor)


def test_items_of_a_map_without_collect_give_their_places_away(driver, actor):
    state = {"reducers": {"doubled": "append"}}
    run = finish(start(actor, doubling(max_parallel=1), {"xs": [1, 2, 3], "doubled": []}, state=state))
    assert selectors.current_state(run).values["doubled"] == [2, 4, 6]


def test_an_item_that_failed_gives_its_place_away(driver, actor):
    nodes = doubling(max_parallel=1, tolerated_failures=1, collect={"ys": "= doubled"})
    run = finish(start(actor, nodes, {"xs": ["bad", 2, 3]}))
    assert selectors.current_state(run).values["ys"] == [None, 4, 6]


def test_a_run_that_fails_in_a_collect_says_why(driver, actor):
    run = finish(start(actor, doubling(collect={"ys": "= nope"}), {"xs": [1]}))
    assert run.status == "failed"
    assert run.error.startswith("s: MapFailed: 1 of 1 items failed")


def test_a_run_that_has_failed_before_any_step_is_over_at_once(actor):
    run = start(actor, {"a": {"join": {"count": 2, "rest": "ignore"}}})
    assert (run.status, run.wake_at) == ("failed", None)
    assert run.error.startswith("a: ")
    assert run.finished_at is not None


def test_a_value_that_nests_deeper_at_each_turn_fails_its_step(driver, actor):
    nodes = {"a": {"outputs": {"x": "= [x]"}, "next": {"condition": "go", "if_true": "a", "if_false": "end"}}}
    run = finish(start(actor, nodes, {"x": 1, "go": True}, limits={"max_steps": 3000}))
    assert run.error.startswith("a: UpdateInvalid: ")


def test_a_run_of_durability_exit_is_handed_back_as_soon_as_its_tool_has_ended(actor, settings):
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"stop_grace_s": 60})
    entered, opened = gate("hard")
    with driving() as stop:
        run = start(actor, {"w": {**WAITING["w"], "next": "b"}, "b": {}}, durability="exit")
        wait_until(entered.is_set, "the tool runs")
        stop.set()
        wait_until(Driver.objects.filter(draining=True).exists, "the driver drains")
        opened.set()
    run.refresh_from_db()
    assert run.driver is None


def test_the_handler_of_a_step_that_killed_its_workers_runs_once(actor):
    run = start(actor, {"w": {**WAITING["w"], "on_error": "h"}, "h": {}})
    crash(run, actor)
    with driving(quarantine=True), driving():
        assert finish(run).status == "completed"
    assert Step.objects.get(run=run, node="h").attempt == 1


def test_a_run_is_cancelled_although_its_step_is_to_be_parked_too(actor):
    run = start(actor, WAITING)
    post(run, kind="cancel", payload={"reason": ""}, actor=actor)
    crash(run, actor)
    with driving(quarantine=True):
        assert finish(run).status == "cancelled"


def test_a_run_whose_time_is_over_when_it_is_taken_up_starts_no_tool(actor):
    entered, opened = gate("hard")
    opened.set()
    run = start(actor, {"w": {**WAITING["w"], "executor": "inline"}}, limits={"timeout_s": 1})
    Run.objects.filter(pk=run.pk).update(started_at=timezone.now() - timedelta(minutes=1))
    with driving():
        assert finish(run).status == "failed"
    assert not entered.is_set()


def test_what_a_cancelled_step_has_streamed_is_gone(driver, actor):
    gate("hard")
    run = start(actor, {"a": {"tool": "stream_and_wait", "inputs": {"name": "hard"}}})
    wait_until(StreamChunk.objects.filter(run=run).exists, "something is streamed")
    services.cancel_run(run=run, actor=actor)
    finish(run)
    assert not StreamChunk.objects.filter(run=run).exists()


def test_an_exception_whose_words_end_the_process_fails_its_step(driver, actor):
    run = finish(start(actor, {"a": {"tool": "misbehave", "inputs": {"how": "raise words that exit"}}}))
    assert run.error == "a: Exiting: (its message cannot be read)"
