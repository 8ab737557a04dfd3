"""What the processes of a cluster share. The kernel cleans it up after a process that is killed."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from runs.driver.pool import AnyFlag, Pool, StopFlag, current_pool, make_pool
from tests.support.waiting import WAIT_S, wait_until

forking = multiprocessing.get_context("fork")


@contextmanager
def forked(work: Callable[[], object]) -> Iterator[multiprocessing.Process]:
    process = forking.Process(target=work)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def test_a_flag_is_lowered_until_it_is_raised_and_stays_raised():
    flag = StopFlag()
    assert not flag.is_set()
    assert not flag.wait(0.001)
    flag.raise_()
    flag.raise_()
    assert flag.is_set()
    assert flag.is_set()
    assert flag.wait()


def test_any_of_several_flags_will_do():
    flags = StopFlag(), StopFlag()
    either = AnyFlag(*flags)
    assert not either.is_set()
    flags[1].raise_()
    assert either.is_set()
    assert either.wait()


def test_every_forked_process_sees_the_flag():
    flag = StopFlag()
    with forked(flag.wait) as first, forked(flag.wait) as second:
        flag.raise_()
        first.join(WAIT_S)
        second.join(WAIT_S)
        assert (first.exitcode, second.exitcode) == (0, 0)


def test_a_process_killed_while_it_waits_does_not_keep_others_from_raising_the_flag():
    flag = StopFlag()
    with forked(flag.wait) as waiting:
        waiting.kill()
        waiting.join()
    flag.raise_()
    assert flag.is_set()


def test_a_flag_can_be_raised_by_a_signal_while_it_is_waited_for(monkeypatch):
    flag = StopFlag()
    before = signal.signal(signal.SIGUSR1, lambda *_: flag.raise_())
    try:
        parent = os.getpid()
        with forked(lambda: os.kill(parent, signal.SIGUSR1)):
            assert flag.wait(WAIT_S)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_roll_has_every_process_that_entered_itself_once_even_those_that_died():
    pool = Pool()
    with forked(lambda: pool.drivers.enter(os.getpid())) as first, forked(lambda: pool.drivers.enter(2**31 - 1)):
        entered: list[int] = []
        wait_until(lambda: entered.extend(pool.drivers.read()) or len(entered) == 2, "both have entered")
        assert sorted(entered) == [first.pid, 2**31 - 1]
    assert not pool.drivers.read()


def test_one_process_at_a_time_takes_care_of_the_quarantine_and_its_death_frees_the_place():
    pool = Pool()
    taken = StopFlag()

    def take() -> None:
        if pool.take_quarantine():
            taken.raise_()
            signal.pause()

    with forked(take):
        assert taken.wait(WAIT_S)
        assert not pool.take_quarantine()
    assert pool.take_quarantine()


def test_forked_processes_belong_to_the_pool_that_was_made_before(monkeypatch):
    monkeypatch.setattr("runs.driver.pool._current", None)
    assert current_pool() is None
    assert make_pool() is current_pool()
