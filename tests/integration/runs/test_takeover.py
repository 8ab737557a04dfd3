"""What becomes of a driver's runs when it dies, and when it ends in good order."""

import dataclasses
import json
import os
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Organization
from graphs.models import Graph, GraphVersion
from runs.driver import registration
from runs.driver.deathwatch import DeathWatch
from runs.driver.identity import ProcessIdentity
from runs.models import Driver, Mailbox, Run, Step
from runs.store.takeover import CRASHED, hand_back, take_over

pytestmark = pytest.mark.django_db

MAX_CRASHES = 5
POISON = b"poisonous!"


@pytest.fixture
def driver() -> Driver:
    return registration.register(quarantine=False)


@pytest.fixture
def run_of(organization: Organization) -> Callable[..., Run]:
    """A running run, held by a driver, with one step in flight and one that is done."""
    graph = Graph.objects.create(organization=organization, name="g", slug="g")
    version = GraphVersion.objects.create(graph=graph, number=1)

    def make(driver: Driver, **fields: object) -> Run:
        defaults = {"status": Run.Status.RUNNING, "driver": driver, "input": "{}", "epoch": 3}
        run = Run.objects.create(organization=organization, version=version, **{**defaults, **fields})
        for name, status in [(POISON, Step.Status.RUNNING), (b"harmless..", Step.Status.COMPLETED)]:
            Step.objects.create(
                run=run, step=name, node="n", status=status, scheduled_seq=1, scheduled_at=timezone.now()
            )
        return run

    return make


def crashes(run: Run) -> dict[bytes, int]:
    return {bytes(step.step): step.crashes for step in run.steps.all()}


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
    assert crashes(run) == {POISON: 0, b"harmless..": 0}
    assert not Mailbox.objects.exists()


def test_a_death_in_quarantine_counts_against_the_step_in_flight(driver, run_of):
    run = run_of(driver, quarantined=True)
    take_over(driver, max_step_crashes=MAX_CRASHES)
    assert crashes(run) == {POISON: 1, b"harmless..": 0}
    assert not Mailbox.objects.exists()


def test_the_step_that_reaches_the_limit_is_parked_by_one_message(run_of):
    run = run_of(registration.register(quarantine=True), quarantined=True)
    for death in range(1, MAX_CRASHES + 2):
        driver = registration.register(quarantine=True)
        Run.objects.filter(pk=run.pk).update(driver=driver)
        takeover = take_over(driver, max_step_crashes=MAX_CRASHES)
        assert takeover is not None
        assert takeover.parked_steps == ((POISON.hex(),) if death == MAX_CRASHES else ())
    mail = Mailbox.objects.get()
    assert (mail.run, mail.kind, mail.consumed_at) == (run, CRASHED, None)
    assert json.loads(mail.payload) == {"step": POISON.hex(), "crashes": MAX_CRASHES}


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


def test_a_finished_run_is_not_woken_again(driver, run_of):
    run = run_of(driver, status=Run.Status.COMPLETED)
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


def test_a_process_of_another_host_is_taken_over_when_its_lease_ran_out(driver, run_of):
    long_ago = timezone.now() - timedelta(minutes=1)
    run_of(die_elsewhere(registration.register(quarantine=False), boot_id="another boot", beat_at=long_ago))
    watch = DeathWatch(own=driver)
    assert watch.look() == 0
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
