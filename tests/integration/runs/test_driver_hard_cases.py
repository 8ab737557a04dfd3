"""Ends that come at awkward moments, and definitions that ask for trouble: no run is stuck, no driver dies."""

import json
import threading
from datetime import timedelta

import pytest
from django.utils import timezone

from graphs.services import create_draft, export_definition, publish_version
from runs import bell, control, selectors
from runs.driver.execution import Execution
from runs.driver.logs import CUT
from runs.driver.main import DriverLost
from runs.errors import StoreError
from runs.migrating import migrate_run
from runs.models import Driver, Event, Mailbox, Run, Step, StreamChunk
from runs.signals import signal_run
from runs.store import open_store
from runs.store.mail import post
from runs.store.takeover import CRASHED, take_over
from tests.support.runs import driving, finish, is_waiting, start
from tests.support.stores import store_class
from tests.support.tools import gate
from tests.support.verifying import assert_as_journaled
from tests.support.waiting import WAIT_S, wait_until
from tools import Context, tool

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
    assert 'Item 0 failed at "end": ExpressionError: ' in run.error


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


@pytest.mark.parametrize("seconds_late", [0, 1], ids=["at once", "later"])
def test_a_run_whose_claim_was_made_but_not_answered_is_claimed_again(actor, monkeypatch, settings, seconds_late):
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"beat_interval_s": 0.2, "poll_interval_s": 0.1})
    lost = threading.Event()

    def open_deaf_store(**options):
        """A store whose first claim is made, but by a server that cannot answer any more."""
        store = open_store(**options)
        claim = store.claim

        def claim_unheard(**wishes):
            if lost.is_set():
                return claim(**wishes)
            lost.set()
            threading.Timer(seconds_late, claim_early, [wishes]).start()
            raise StoreError("The connection broke.")

        store.claim = claim_unheard
        return store

    def claim_early(wishes):
        server = open_store()
        server.claim(**{**wishes, "now": not_due_yet})
        server.close()

    monkeypatch.setattr("runs.driver.main.open_store", open_deaf_store)
    not_due_yet = timezone.now() + timedelta(hours=1)
    run = start(actor, {"a": {}})
    Run.objects.filter(pk=run.pk).update(wake_at=not_due_yet)
    with driving():
        assert finish(run).status == "completed"
    assert run.epoch == 2


def test_a_coroutine_that_swallows_its_cancelling_fails_at_its_timeout_all_the_same(driver, actor):
    _, opened = gate("clinging")
    run = start(actor, {"a": {"tool": "cling", "inputs": {"name": "clinging"}, "timeout_s": 0.05}})
    assert finish(run).error == "a: TimeoutError: The tool ran longer than its timeout_s of 0.05 s."
    opened.set()


def test_a_coroutine_that_swallows_its_cancelling_does_not_hold_up_the_end_of_its_driver(actor, settings):
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"stop_grace_s": 0.2})
    entered, opened = gate("clinging")
    run = start(actor, {"a": {"tool": "cling", "inputs": {"name": "clinging"}}})
    with driving() as stop:
        wait_until(entered.is_set, "the tool runs")
        stop.set()
        wait_until(lambda: not Driver.objects.exists(), "the driver is gone")
    run.refresh_from_db()
    assert (run.status, run.driver, run.quarantined) == ("running", None, False)
    opened.set()
    with driving():
        assert finish(run).status == "completed"
    assert Step.objects.get(run=run).attempt == 2


def test_the_handler_of_a_step_that_killed_its_workers_runs_once(actor):
    run = start(actor, {"w": {**WAITING["w"], "on_error": "h"}, "h": {}})
    crash(run, actor)
    with driving(quarantine=True), driving():
        assert finish(run).status == "completed"
    assert Step.objects.get(run=run, node="h").attempt == 1


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_driver_that_was_taken_for_dead_is_lost_as_soon_as_it_claims(actor, settings):
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"beat_interval_s": 60.0, "lease_s": 600.0})

    def beats() -> bool:
        return any(thread.name == "pacemaker" for thread in threading.enumerate())

    with pytest.raises(DriverLost, match="taken over"), driving():
        wait_until(Driver.objects.exists, "the driver begins")
        wait_until(beats, "it beats")
        take_over(Driver.objects.get(), max_step_crashes=1)
        run = start(actor, {"a": {}})
        wait_until(lambda: not beats(), "it has ended")
    with driving():
        assert finish(run).status == "completed"


def test_a_step_that_is_given_up_in_the_turn_that_starts_it_is_never_called(driver, actor):
    #   s ──► a ──► j (any)       j has what it waits for before a can begin
    #    └──────────┘
    nodes = {"s": {"next": ["a", "j"]}, "a": {"tool": "increment", "next": "j"}, "j": {"join": "any"}}
    run = finish(start(actor, nodes, {"n": 0}))
    assert (run.status, selectors.current_state(run).values) == ("completed", {"n": 0})
    rows = Step.objects.filter(run=run).order_by("node").values_list("node", "status")
    assert list(rows) == [("a", "cancelled"), ("j", "completed"), ("s", "completed")]
    assert_as_journaled(run)


def test_a_run_is_cancelled_although_its_step_is_to_be_parked_too(actor):
    run = start(actor, WAITING)
    post(run, kind="cancel", payload={"reason": ""}, actor=actor)
    crash(run, actor)
    with driving(quarantine=True):
        assert finish(run).status == "cancelled"


@pytest.mark.parametrize(
    ("kind", "payload", "why"),
    [
        ("sing", {}, "knows no mail"),
        ("cancel", {}, "payload"),
        ("cancel", [], "payload"),
        (CRASHED, {"step": 1}, "pay"),
    ],
)
def test_mail_that_is_not_understood_is_refused_once_and_the_run_goes_on(driver, actor, kind, payload, why):
    entered, opened = gate("hard")
    run = start(actor, WAITING)
    wait_until(entered.is_set, "the tool runs")
    post(run, kind=kind, payload=payload, actor=actor)
    bell.ring_drivers()
    wait_until(Mailbox.objects.filter(run=run, consumed_at__isnull=False).exists, "the mail is taken in")
    opened.set()
    assert finish(run).status == "completed"
    event = Event.objects.get(run=run, type="MailRefused")
    told = json.loads(event.data)
    assert (told["kind"], told["actor"]) == (kind, "owner")
    assert why in told["reason"]
    assert Mailbox.objects.get(run=run).consumed_seq == event.seq
    assert selectors.current_state(run).values["attempt"] == 1


def test_mail_of_a_later_release_that_waits_for_a_run_does_not_keep_drivers_from_it(actor):
    run = start(actor, {"a": {}})
    post(run, kind="sing", payload={}, actor=actor)
    with driving():
        assert finish(run).status == "completed"


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
    control.cancel_run(run=run, actor=actor)
    finish(run)
    assert not StreamChunk.objects.filter(run=run).exists()


@pytest.mark.parametrize(("size_bytes", "kept"), [(100, "x" * 100), (101, "x" * 91 + CUT)])
def test_what_a_step_streams_is_bounded(actor, settings, size_bytes, kept):
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"max_stream_step_bytes": 100})
    _, opened = gate("hard")
    with driving():
        run = start(actor, {"a": {"tool": "stream_and_wait", "inputs": {"name": "hard", "text": "x" * size_bytes}}})
        wait_until(StreamChunk.objects.filter(run=run).exists, "something is streamed")
        assert [chunk.text for chunk in StreamChunk.objects.filter(run=run)] == [kept]
        opened.set()
        finish(run)


def test_an_exception_whose_words_end_the_process_fails_its_step(driver, actor):
    run = finish(start(actor, {"a": {"tool": "misbehave", "inputs": {"how": "raise words that exit"}}}))
    assert run.error == "a: Exiting: (its message cannot be read)"


def test_a_run_that_was_claimed_although_the_answer_was_lost_is_claimed_again(actor, monkeypatch):
    store = open_store()
    kind, claim = type(store), type(store).claim
    store.close()
    lost = []

    def claim_and_lose_the_answer(self, **request):
        claimed = claim(self, **request)
        if claimed and not lost:
            lost.extend(claimed)
            raise StoreError("The connection was cut.")
        return claimed

    monkeypatch.setattr(kind, "claim", claim_and_lose_the_answer)
    entered, opened = gate("hard")
    with driving():
        held = start(actor, WAITING)
        wait_until(lambda: entered.is_set() and lost, "a run is driven, after its first claim was lost")
        opened.set()
        assert finish(held).status == "completed"
    assert Run.objects.get(pk=held.pk).epoch == 2


def test_after_a_claim_without_an_answer_the_runs_that_are_held_stay_held(actor):
    entered, opened = gate("hard")
    with driving():
        run = start(actor, WAITING)
        wait_until(entered.is_set, "it is driven")
        store = open_store()
        store.release(driver_id=Driver.objects.get().pk, but=[run.pk], now=timezone.now())
        store.close()
        opened.set()
        assert finish(run).status == "completed"
    assert run.epoch == 1


def test_a_driver_that_claims_a_run_which_it_just_left_keeps_it(actor, settings, monkeypatch):
    hindered = store_class()
    commit, release = hindered.commit, hindered.release
    entered, opened = gate("hard")
    looked_for_strays = threading.Event()

    def late_commit(self, writes):
        lost = commit(self, writes)
        if any(write.head is not None and write.head.finished_at is None for write in writes):
            entered.wait(WAIT_S)  # it is claimed and goes on before its driver knows that it left
        return lost

    def watched_release(self, **which):
        released = release(self, **which)
        if entered.is_set():
            looked_for_strays.set()
        return released

    monkeypatch.setattr(hindered, "commit", late_commit)
    monkeypatch.setattr(hindered, "release", watched_release)
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"beat_interval_s": 0.05, "poll_interval_s": 0.05})
    nodes = {"s": {"wait": {"signal": "go"}, "outputs": {}, "next": "w"}, **WAITING}
    with driving():
        run = start(actor, nodes, durability="async")
        wait_until(lambda: is_waiting(run), "it has left memory")
        signal_run(run=run, name="go", payload=None, actor=actor)
        assert entered.wait(WAIT_S)
        looked_for_strays.clear()
        assert looked_for_strays.wait(WAIT_S)
        looked_for_strays.clear()
        assert looked_for_strays.wait(WAIT_S)
        opened.set()
        finish(run)
    assert (run.status, run.epoch) == ("completed", 2)


@tool
def fail_at_first(ctx: Context) -> None:
    if ctx.attempt == 1:
        raise ValueError("as arranged")


@pytest.mark.parametrize("change", ["edit", "migrate"])
def test_a_failed_run_that_is_opened_again_on_its_way_out_leaves_when_it_waits(actor, monkeypatch, change):
    hindered = store_class()
    commit, receive = hindered.commit, Execution.receive
    blocking: list[int] = []
    blocked, go_on, received = threading.Event(), threading.Event(), threading.Event()

    def blocked_commit(self, writes):
        if {write.run_id for write in writes}.intersection(blocking):
            blocked.set()
            go_on.wait(WAIT_S)
        return commit(self, writes)

    def watched_receive(self, mail):
        receive(self, mail)
        if mail.kind == "retry":
            received.set()

    monkeypatch.setattr(hindered, "commit", blocked_commit)
    monkeypatch.setattr(Execution, "receive", watched_receive)
    nodes = {"a": {"tool": "fail_at_first", "next": "w"}, "w": {"wait": {"signal": "go"}}}
    with driving():
        run = finish(start(actor, nodes))
        assert (run.status, run.epoch) == ("failed", 1)
        reworded = {**export_definition(run.version), "description": "Says the same."}
        draft = create_draft(graph=run.version.graph, definition=reworded, actor=actor)
        version = publish_version(version=draft, actor=actor)
        entered, opened = gate("hard")
        other = start(actor, WAITING, durability="async")
        assert entered.wait(WAIT_S)
        blocking.append(other.pk)
        opened.set()
        assert blocked.wait(WAIT_S)  # what is committed from now on waits for the other run
        if change == "edit":
            control.edit_state(run=run, values={"n": 1}, actor=actor)
        else:
            migrate_run(run=run, version=version, actor=actor)
        wait_until(lambda: Run.objects.filter(pk=run.pk).exclude(driver=None).exists(), "it is claimed")
        control.retry_run(run=run, actor=actor)
        assert received.wait(WAIT_S)
        go_on.set()
        wait_until(lambda: is_waiting(run), "it has left memory")
    assert run.epoch == 2
