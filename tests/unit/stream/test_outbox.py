"""Ringing over a network without waiting for it."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from runs.bell import ANYTHING, Hint
from runs.bell import outbox as outbox_module
from runs.bell.outbox import Batch, Outbox
from tests.support.waiting import WAIT_S


class FarSide:
    """Takes batches when the test lets it."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.connections = 0
        self.is_connected = False
        self.broken = False
        self.came = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()

    @contextmanager
    def connect(self) -> Iterator["FarSide"]:
        self.connections += 1
        self.is_connected = True
        yield self
        self.is_connected = False

    def __call__(self, batch: Batch) -> None:
        assert self.gate.wait(WAIT_S)
        if self.broken:
            self.broken = False
            self.came.release()
            raise OSError("gone")
        self.batches.append(batch)
        self.came.release()

    def next_batch(self) -> Batch:
        self.wait()
        return self.batches[-1]

    def wait(self) -> None:
        assert self.came.acquire(timeout=WAIT_S)


@pytest.fixture
def far() -> FarSide:
    return FarSide()


@pytest.fixture
def outbox(far: FarSide) -> Outbox:
    return Outbox(far.connect)


def test_a_hint_is_sent_by_a_thread_of_the_outbox(far: FarSide, outbox: Outbox) -> None:
    outbox.put("watcher", Hint(run_id=1, seq=2))
    assert far.next_batch() == [("watcher", Hint(run_id=1, seq=2))]


def test_hints_that_wait_together_become_the_newest_of_each_run(far: FarSide, outbox: Outbox) -> None:
    far.gate.clear()
    outbox.put("driver", ANYTHING)
    for seq in (1, 2, 3):
        outbox.put("watcher", Hint(run_id=1, seq=seq))
        outbox.put("watcher", Hint(run_id=2, seq=seq))
        outbox.put("driver", ANYTHING)
    far.gate.set()
    sent = far.next_batch()
    while ("watcher", Hint(run_id=2, seq=3)) not in sent:
        sent = [*sent, *far.next_batch()]
    assert len(sent) <= 4


def test_it_rests_between_two_batches_and_sends_what_came_meanwhile_together(
    far: FarSide, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runs.bell.outbox.REST_S", 0.5)
    outbox.put("watcher", Hint(run_id=1, seq=1))
    far.wait()
    for seq in (2, 3, 4):
        outbox.put("watcher", Hint(run_id=1, seq=seq))
        time.sleep(0.01)
    assert far.next_batch() == [("watcher", Hint(run_id=1, seq=4))]


def test_when_the_other_side_fails_it_is_connected_to_anew(
    far: FarSide, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "_RETRY_S", 0.0)
    far.broken = True
    outbox.put("watcher", Hint(run_id=1, seq=1))
    far.wait()
    outbox.put("watcher", Hint(run_id=1, seq=2))
    assert far.next_batch() == [("watcher", Hint(run_id=1, seq=2))]
    assert far.connections == 2


def test_hints_are_dropped_for_a_while_after_a_failure(
    far: FarSide, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000.0
    monkeypatch.setattr(outbox_module.time, "monotonic", lambda: now)
    far.broken = True
    outbox.put("watcher", Hint(run_id=1, seq=1))
    far.wait()
    outbox.put("watcher", Hint(run_id=1, seq=2))
    while not outbox._queue.empty():
        pass
    now += 60
    outbox.put("watcher", Hint(run_id=1, seq=3))
    assert far.next_batch() == [("watcher", Hint(run_id=1, seq=3))]


def test_a_forked_child_has_a_thread_and_a_connection_of_its_own(far: FarSide, outbox: Outbox) -> None:
    outbox.put("watcher", Hint(run_id=1, seq=1))
    far.wait()
    reading, writing = os.pipe()
    if os.fork() == 0:
        outbox.put("watcher", Hint(run_id=1, seq=2))
        far.wait()
        os.write(writing, str(far.connections).encode())
        os._exit(0)
    os.wait()
    assert os.read(reading, 10) == b"2"


def test_closing_sends_what_waits_and_disconnects(far: FarSide, outbox: Outbox) -> None:
    outbox._queue.put(("driver", ANYTHING))
    outbox._queue.put(None)
    outbox._run()
    assert far.batches == [[("driver", ANYTHING)]]
    assert not far.is_connected


def test_after_it_was_closed_the_next_hint_connects_again(far: FarSide, outbox: Outbox) -> None:
    outbox.put("driver", ANYTHING)
    far.wait()
    outbox.close()
    outbox.put("driver", ANYTHING)
    far.wait()
    assert far.connections == 2


def test_closing_what_was_never_used_is_nothing(far: FarSide, outbox: Outbox) -> None:
    outbox.close()
    assert far.connections == 0
