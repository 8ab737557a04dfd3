"""What becomes of a driver's runs when it dies, and when it ends in good order."""

import dataclasses
import json
import os
from collections.abc import Callable
from datetime import timedelta

import psycopg
import pytest
from django.db import connection
from django.db.models import ProtectedError
from django.utils import timezone

from accounts.models import Organization
from graphs.models import Graph, GraphVersion
from runs.driver import registration
from runs.driver.deathwatch import DeathWatch
from runs.driver.identity import ProcessIdentity
from runs.models import Driver, Mailbox, Run, Step
from runs.store.takeover import CRASHED, HEAD_START, hand_back, take_over
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db

MAX_CRASHES = 5
POISON, INNOCENT, OVER = b"poisonous!", b"harmless..", b"completed."


@pytest.fixture
def driver() -> Driver:
    return registration.register(quarantine=False)


@pytest.fixture
def run_of(organization: Organization) -> Callable[..., Run]:
    """A running run, held by a driver, with two steps in flight, one of them being tried, and one that is done."""
    graph = Graph.objects.create(organization=organization, name="g", slug="g")
    version = GraphVersion.objects.create(graph=graph, number=1)

    def make(driver: Driver, **fields: object) -> Run:
        defaults = {"status": Run.Status.RUNNING, "driver": driver, "input": "{}", "epoch": 3}
        run = Run.objects.create(organization=organization, version=version, **{**defaults, **fields})
        now, running, completed = timezone.now(), Step.Status.RUNNING, Step.Status.COMPLETED
        for name, status, tried_at in [(POISON, running, now), (INNOCENT, running, None), (OVER, completed, None)]:
            Step.objects.create(
                run=run, step=name, node="n", status=status, scheduled_seq=1, scheduled_at=now, tried_at=tried_at
            )
        return run

    return make


def crashes(run: Run) -> dict[bytes, int]:
    return {bytes(step.step): step.crashes for step in run.steps.all()}


def doubts(run: Run) -> dict[bytes, int]:
    return {bytes(step.step): step.doubts for step in run.steps.all()}


def die_elsewhere(driver: Driver, **changes: object) -> Driver:
    """Make the row that of a process that this host knows to have ended."""
    Driver.objects.filter(pk=driver.pk).update(process_started="1", **changes)
    driver.refresh_from_db()
    return driver


def test_the_runs_of_a_dead_driver_are_due_in_quarantine(driver, run_of):
    run = run_of(driver)
    takeover = take_over(driver, max_step_crashes=MAX_CRASHES)
    assert takeover is not None
    assert takeover.runs == 1
    run.refresh_from_db()
    assert (run.driver, run.quarantined, run.epoch) == (None, True, 3)
    assert run.wake_at <= timezone.now()
    assert not Driver.objects.exists()


def test_a_death_outside_quarantine_accuses_no_step(driver, run_of):
    run = run_of(driver)
    take_over(driver, max_step_crashes=1)
    assert crashes(run) == {POISON: 0, INNOCENT: 0, OVER: 0}
    assert not Mailbox.objects.exists()


def test_a_death_in_quarantine_counts_against_the_step_that_was_tried_and_no_other(driver, run_of):
    run = run_of(driver, quarantined=True)
    take_over(driver, max_step_crashes=MAX_CRASHES)
    assert crashes(run) == {POISON: 1, INNOCENT: 0, OVER: 0}
    assert not Mailbox.objects.exists()


def test_a_step_that_was_not_called_since_the_death_before_is_not_charged_again(driver, run_of):
    run = run_of(driver, quarantined=True)
    take_over(driver, max_step_crashes=MAX_CRASHES)
    Run.objects.filter(pk=run.pk).update(driver=registration.register(quarantine=True))
    take_over(Driver.objects.get(), max_step_crashes=MAX_CRASHES)
    assert crashes(run)[POISON] == 1


def test_the_step_that_reaches_the_limit_is_parked_by_one_message(run_of):
    run = run_of(registration.register(quarantine=True), quarantined=True)
    for death in range(1, MAX_CRASHES + 2):
        driver = registration.register(quarantine=True)
        Run.objects.filter(pk=run.pk).update(driver=driver)
        run.steps.filter(step=POISON).update(tried_at=timezone.now())
        takeover = take_over(driver, max_step_crashes=MAX_CRASHES)
        assert takeover is not None
        assert takeover.parked_steps == ((POISON.hex(),) if death == MAX_CRASHES else ())
    mail = Mailbox.objects.get()
    assert (mail.run, mail.kind, mail.consumed_at) == (run, CRASHED, None)
    assert json.loads(mail.payload) == {"step": POISON.hex(), "crashes": MAX_CRASHES}


def test_of_several_steps_under_way_none_is_charged_and_the_last_one_is_tried_first(driver, run_of):
    early, late = run_of(driver, quarantined=True), run_of(driver, quarantined=True)
    takeover = take_over(driver, max_step_crashes=1)
    assert takeover is not None
    assert takeover.runs == 2
    assert not takeover.parked_steps
    for run in (early, late):
        assert crashes(run) == {POISON: 0, INNOCENT: 0, OVER: 0}
        assert doubts(run) == {POISON: 1, INNOCENT: 0, OVER: 0}
        run.refresh_from_db()
        assert (run.driver, run.quarantined) == (None, True)
    assert [late.steps.get(step=POISON).tried_at is None, early.steps.get(step=POISON).tried_at] == [False, None]
    assert early.wake_at - late.wake_at == HEAD_START


def test_a_step_that_is_beyond_the_limit_already_is_parked_too(driver, run_of):
    run = run_of(driver, quarantined=True)
    run.steps.update(crashes=MAX_CRASHES)
    takeover = take_over(driver, max_step_crashes=MAX_CRASHES)
    assert takeover is not None
    assert takeover.parked_steps == (POISON.hex(),)
    assert json.loads(Mailbox.objects.get().payload)["crashes"] == MAX_CRASHES + 1


def test_a_driver_that_beat_after_all_keeps_its_runs(driver, run_of):
    run = run_of(driver)
    Driver.objects.filter(pk=driver.pk).update(beat_at=driver.beat_at + timedelta(seconds=1))
    assert take_over(driver, max_step_crashes=MAX_CRASHES) is None
    run.refresh_from_db()
    assert (run.driver, run.quarantined) == (driver, False)


def test_only_one_of_two_takes_over(driver, run_of):
    run_of(driver)
    assert take_over(driver, max_step_crashes=MAX_CRASHES) is not None
    assert take_over(driver, max_step_crashes=MAX_CRASHES) is None


@pytest.mark.parametrize("status", Run.FINAL)
def test_a_finished_run_is_not_woken_again(driver, run_of, status):
    run = run_of(driver, status=status)
    take_over(driver, max_step_crashes=MAX_CRASHES)
    run.refresh_from_db()
    assert (run.driver, run.wake_at, run.quarantined) == (None, None, False)


def test_runs_handed_back_in_good_order_are_due_and_not_quarantined(driver, run_of):
    run = run_of(driver)
    hand_back(driver)
    run.refresh_from_db()
    assert (run.driver, run.quarantined) == (None, False)
    assert run.wake_at <= timezone.now()
    assert not Driver.objects.exists()


def test_the_row_of_a_driver_that_holds_runs_cannot_be_deleted(driver, run_of):
    run = run_of(driver)
    with pytest.raises(ProtectedError):
        driver.delete()
    with pytest.raises(ProtectedError):
        Driver.objects.all().delete()
    run.refresh_from_db()
    assert run.driver == driver


@pytest.mark.parametrize("status", Run.FINAL)
def test_a_driver_that_holds_only_finished_runs_ends_in_good_order(driver, run_of, status):
    run = run_of(driver, status=status)
    hand_back(driver)
    run.refresh_from_db()
    assert (run.driver, run.wake_at) == (None, None)
    assert not Driver.objects.exists()


def test_a_process_of_this_host_that_ended_is_seen_at_the_first_look(driver, run_of):
    run_of(driver)
    run_of(die_elsewhere(registration.register(quarantine=False)))
    assert DeathWatch(own=driver).look() == 1
    assert list(Driver.objects.all()) == [driver]


def test_a_process_of_another_host_is_left_alone_within_its_lease(driver):
    far = die_elsewhere(registration.register(quarantine=False), boot_id="another boot")
    watch = DeathWatch(own=driver)
    assert watch.look() == watch.look() == 0
    assert far in Driver.objects.all()


def test_a_process_of_another_host_is_taken_over_when_its_lease_ran_out(driver, run_of, settings):
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"lease_s": 1})
    long_ago = timezone.now() - timedelta(minutes=1)
    run_of(die_elsewhere(registration.register(quarantine=False), boot_id="another boot", beat_at=long_ago))
    watch = DeathWatch(own=driver)
    assert watch.look() == 0
    wait_until(lambda: watch.look() == 1, "it has been silent for half a lease")


@pytest.mark.django_db(transaction=True)
def test_rows_that_a_lost_host_has_left_locked_keep_nobody_from_taking_over_from_others(driver, run_of):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no hosts")
    locked = run_of(die_elsewhere(registration.register(quarantine=False)))
    run_of(die_elsewhere(registration.register(quarantine=False)))
    watch = DeathWatch(own=driver)
    with psycopg.connect(**connection.get_connection_params()) as cut_off:
        cut_off.execute("SELECT FROM runs_run WHERE id = %s FOR UPDATE", [locked.pk])
        assert watch.look() == 1
        locked.refresh_from_db()
        assert not locked.quarantined
    assert watch.look() == 1


def test_a_driver_never_takes_itself_for_dead(driver):
    die_elsewhere(driver)
    assert DeathWatch(own=driver).look() == 0
    assert Driver.objects.exists()


def test_a_registration_says_which_process_drives(driver):
    identity = ProcessIdentity.current()
    assert {name: getattr(driver, name) for name in dataclasses.asdict(identity)} == dataclasses.asdict(identity)
    [process] = registration.driver_processes()
    assert (process.parent, process.group) == (os.getppid(), os.getpgrp())


def test_a_driver_that_died_is_not_among_the_processes_that_drive(driver):
    die_elsewhere(driver)
    assert registration.driver_processes() == []


def test_a_beat_renews_the_lease_and_says_whether_the_row_is_still_there(driver):
    Driver.objects.update(beat_at=driver.beat_at - timedelta(minutes=1))
    assert not registration.is_any_alive()
    assert registration.beat(driver)
    assert registration.is_any_alive()
    registration.unregister(driver)
    assert not registration.beat(driver)


@pytest.mark.parametrize("fields", [{"draining": True}, {"quarantine": True}])
def test_drivers_that_take_no_ordinary_runs_do_not_count_as_alive(driver, fields):
    Driver.objects.update(**fields)
    assert not registration.is_any_alive()


def test_a_draining_driver_says_so(driver):
    registration.mark_draining(driver)
    driver.refresh_from_db()
    assert driver.draining
