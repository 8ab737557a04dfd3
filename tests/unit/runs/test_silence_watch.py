"""A driver is silent when its lease ran out and its beat has not moved for half a lease of looks that came on time."""

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


def look(watch: SilenceWatch, times: range, *, beat: datetime, began: datetime) -> dict[int, set[int]]:
    """What each look finds whose watcher's clock shows one of the times; `began` is the database's time at 0 s."""
    return {at: set(watch.silent({1: beat}, now=began + seconds(at), at=at)) for at in times}


def test_a_beat_older_than_the_lease_is_silent_when_it_has_been_watched_for_half_a_lease(watch):
    found = look(watch, range(0, 10, 3), beat=NOON, began=NOON + seconds(16))
    assert found == {0: set(), 3: set(), 6: set(), 9: {1}}


@pytest.mark.parametrize(("age_s", "silent"), [(15.0, set()), (15.001, {1})])
def test_the_lease_runs_out_after_exactly_its_length(watch, age_s, silent):
    look(watch, range(0, 10, 3), beat=NOON, began=NOON)
    assert watch.silent({1: NOON}, now=NOON + seconds(age_s), at=12) == silent


def test_a_beat_that_moved_is_not_silent_however_old_it_looks(watch):
    for at in range(0, 60, 3):
        assert watch.silent({1: NOON + seconds(at)}, now=NOON + HOUR, at=at) == set()


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_clock_that_is_set_expires_nobody_who_beats_however_often_somebody_looks(watch, jump):
    for at in range(60):
        beat = NOON + seconds(at - at % 3) + (jump if at > 31 else seconds(0))
        assert watch.silent({1: beat}, now=NOON + seconds(at) + (jump if at > 30 else seconds(0)), at=at) == set()


def test_a_clock_set_forward_hides_no_death(watch):
    look(watch, range(3), beat=NOON, began=NOON)
    found = look(watch, range(3, 9), beat=NOON, began=NOON + HOUR)
    assert [at for at, silent in found.items() if silent] == [8]


def test_a_clock_set_back_does_not_prolong_a_lease(watch):
    assert look(watch, range(9), beat=NOON, began=NOON - HOUR)[8] == {1}


def test_a_look_that_comes_late_condemns_nobody_and_begins_anew(watch):
    look(watch, range(0, 10, 3), beat=NOON, began=NOON)
    late = range(17, 26)  # the database was locked, for the others too
    found = look(watch, late, beat=NOON, began=NOON)
    assert [at for at, silent in found.items() if silent] == [25]


def test_a_driver_that_was_not_there_at_the_last_look_gets_time(watch):
    watch.silent({}, now=NOON, at=0)
    found = look(watch, range(1, 10), beat=NOON - HOUR, began=NOON)
    assert [at for at, silent in found.items() if silent] == [9]
