import threading

from runs.driver.threads import DaemonPool
from tests.support.waiting import WAIT_S


def test_jobs_run_side_by_side_up_to_the_size_of_the_pool():
    pool = DaemonPool(size=2)
    both = threading.Barrier(3)
    pool.submit(lambda: both.wait(WAIT_S))
    pool.submit(lambda: both.wait(WAIT_S))
    both.wait(WAIT_S)


def test_a_thread_is_used_again():
    pool = DaemonPool(size=2)
    names, done = [], threading.Semaphore(0)

    def job() -> None:
        names.append(threading.current_thread().ident)
        done.release()

    for _ in range(5):
        pool.submit(job)
        assert done.acquire(timeout=WAIT_S)
    assert len(set(names)) <= 2


def test_an_abandoned_job_makes_room_for_another_thread():
    pool = DaemonPool(size=1)
    entered, leave, ran = threading.Event(), threading.Event(), threading.Event()

    def hang() -> None:
        entered.set()
        leave.wait(WAIT_S)

    stuck = pool.submit(hang)
    assert entered.wait(WAIT_S)
    pool.abandon(stuck)
    assert pool.abandoned == 1
    pool.submit(ran.set)
    assert ran.wait(WAIT_S), "the pool of one has a second thread now"
    leave.set()


def test_a_job_abandoned_before_it_began_never_runs():
    pool = DaemonPool(size=1)
    entered, leave, last = threading.Event(), threading.Event(), threading.Event()
    ran: list[str] = []

    def hang() -> None:
        entered.set()
        leave.wait(WAIT_S)

    pool.submit(hang)
    assert entered.wait(WAIT_S)
    unwanted = pool.submit(lambda: ran.append("unwanted"))
    pool.submit(last.set)
    pool.abandon(unwanted)
    leave.set()
    assert last.wait(WAIT_S)
    assert (ran, pool.abandoned) == ([], 0)


def test_a_job_that_is_abandoned_after_its_end_changes_nothing():
    pool = DaemonPool(size=1)
    ran = threading.Event()
    late = pool.submit(lambda: None)
    pool.submit(ran.set)
    assert ran.wait(WAIT_S), "the first job has ended before"
    pool.abandon(late)
    assert pool.abandoned == 0
    again = threading.Event()
    pool.submit(again.set)
    assert again.wait(WAIT_S)
