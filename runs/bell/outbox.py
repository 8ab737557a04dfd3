"""Ringing over a network without waiting: a thread of the process sends what others have put into its queue.

It keeps the round trip off the path of whoever has just committed, and out of their transaction. Hints of one run
that wait together become one, and between two batches the thread rests: a busy driver rings a thousand times a second,
and sending each hint by itself would cost it a quarter of its time. While the other side does not answer, hints are
dropped.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from queue import Empty, SimpleQueue

from runs.bell.channels import Hint, Role

logger = logging.getLogger(__name__)

REST_S = 0.005
_RETRY_S = 1.0
_EXIT_S = 0.5

Batch = list[tuple[Role, Hint]]


class Outbox:
    """`connect` is entered in the thread and gives what sends a batch; a forked child connects anew.

    When either raises, that is logged, the hints of the next second are dropped, and it connects again.
    """

    _queue: SimpleQueue[tuple[Role, Hint] | None]
    _lock: threading.Lock
    _thread: threading.Thread | None

    def __init__(self, connect: Callable[[], AbstractContextManager[Callable[[Batch], None]]]) -> None:
        self._connect = connect
        self._reset()
        os.register_at_fork(after_in_child=self._reset)
        atexit.register(self.close)

    def put(self, role: Role, hint: Hint) -> None:
        self._queue.put((role, hint))
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="bell", daemon=True)
                    self._thread.start()

    def close(self) -> None:
        """Send what waits, if that takes no time, and disconnect. The next hint starts anew."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join(_EXIT_S)

    def _reset(self) -> None:
        """Threads do not survive a fork; the child's first hint starts its own."""
        self._queue = SimpleQueue()
        self._lock = threading.Lock()
        self._thread = None

    def _run(self) -> None:
        batch = self._take()
        while batch:
            try:
                with self._connect() as send:
                    while batch:
                        send(batch)
                        time.sleep(REST_S)
                        batch = self._take()
            except Exception as error:  # whatever the other side's client raises
                logger.warning("The bell does not ring (%s); news travels by the slow poll alone.", error)
                batch = self._drop(time.monotonic() + _RETRY_S)

    def _drop(self, until: float) -> Batch:
        """Drop what comes until then; return the first hints after it."""
        while (batch := self._take()) and time.monotonic() < until:
            pass
        return batch

    def _take(self) -> Batch:
        """Wait for hints and return those that are there, the newest of each run; empty when it is closed."""
        newest: dict[tuple[Role, int | None], Hint] = {}
        entry = self._queue.get()
        while entry is not None:
            role, hint = entry
            newest[role, hint.run_id] = hint
            try:
                entry = self._queue.get_nowait()
            except Empty:
                break
        if newest and entry is None:
            self._queue.put(None)  # for the next call
        return [(role, hint) for (role, _), hint in newest.items()]
