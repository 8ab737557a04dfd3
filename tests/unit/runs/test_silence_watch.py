"""A driver is silent when its lease ran out and its beat did not move between two looks that came on time."""

from datetime import UTC, datetime, timedelta

import pytest

from runs.driver.deathwatch import SilenceWatch

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEASE_S = 15.0
HOUR = timedelta(hours=1)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


@pytest.fixture
def watch() -> SilenceWatch:
    return SilenceWatch(lease_s=LEASE_S)


def test_a_beat_older_than_the_lease_is_silent_at_the_second_look(watch):
    assert watch.silent({1: NOON}, now=NOON + seconds(16), at=0) == set()
    assert watch.silent({1: NOON}, now=NOON + seconds(19), at=3) == {1}


@pytest.mark.parametrize(("age_s", "silent"), [(15.0, set()), (15.001, {1})])
def test_the_lease_runs_out_after_exactly_its_length(watch, age_s, silent):
    watch.silent({1: NOON}, now=NOON + seconds(12), at=0)
    assert watch.silent({1: NOON}, now=NOON + seconds(age_s), at=3) == silent


def test_a_beat_that_moved_is_not_silent_however_old_it_looks(watch):
    watch.silent({1: NOON}, now=NOON + HOUR, at=0)
    assert watch.silent({1: NOON + seconds(3)}, now=NOON + HOUR, at=3) == set()


def test_a_clock_set_forward_expires_nobody_who_beats(watch):
    watch.silent({1: NOON, 2: NOON}, now=NOON + seconds(1), at=0)
    jumped = NOON + HOUR
    assert watch.silent({1: NOON + seconds(3), 2: NOON + seconds(3)}, now=jumped, at=3) == set()
    assert watch.silent({1: jumped + seconds(2), 2: NOON + seconds(3)}, now=jumped + seconds(3), at=6) == {2}


def test_a_clock_set_back_does_not_prolong_a_lease(watch):
    watch.silent({1: NOON}, now=NOON - HOUR, at=0)
    assert watch.silent({1: NOON}, now=NOON - HOUR + seconds(3), at=3) == {1}


def test_a_look_that_comes_late_condemns_nobody(watch):
    watch.silent({1: NOON}, now=NOON, at=0)
    late = LEASE_S / 2 + 1  # the database was locked, for the others too
    assert watch.silent({1: NOON}, now=NOON + seconds(60), at=late) == set()
    assert watch.silent({1: NOON}, now=NOON + seconds(63), at=late + 3) == {1}


def test_a_driver_that_was_not_there_at_the_last_look_gets_time(watch):
    watch.silent({}, now=NOON, at=0)
    assert watch.silent({1: NOON - HOUR}, now=NOON, at=3) == set()
