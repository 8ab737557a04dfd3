"""Ringing over a network without waiting: a thread of the process sends what others have put into its queue.

It keeps the round trip off the path of whoever has just committed, and out of their transaction. Hints of one run
that wait together become one. While the other side does not answer, hints are dropped.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

from runs.bell.channels import Hint, Role

logger = logging.getLogger(__name__)

_RETRY_S = 1.0
_EXIT_S = 0.5

Batch = list[tuple[Role, Hint]]


class Outbox:
    """`connect` is called in the thread and returns what sends a batch; a forked child connects anew.

    When either raises, that is logged, the hints of the next second are dropped, and it connects again.
    """

    _queue: SimpleQueue[tuple[Role, Hint] | None]
    _lock: threading.Lock
    _thread: threading.Thread | None

    def __init__(self, connect: Callable[[], Callable[[Batch], None]]) -> None:
        self._connect = connect
        self._reset()
        os.register_at_fork(after_in_child=self._reset)
        atexit.register(self._flush)

    def put(self, role: Role, hint: Hint) -> None:
        self._queue.put((role, hint))
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="bell", daemon=True)
                    self._thread.start()

    def _reset(self) -> None:
        """Threads do not survive a fork; the child's first hint starts its own."""
        self._queue = SimpleQueue()
        self._lock = threading.Lock()
        self._thread = None

    def _run(self) -> None:
        send: Callable[[Batch], None] | None = None
        silent_until = 0.0
        while batch := self._take():
            if time.monotonic() < silent_until:
                continue
            try:
                send = send or self._connect()
                send(batch)
            except Exception as error:  # whatever the other side's client raises
                logger.warning("The bell does not ring (%s); news travels by the slow poll alone.", error)
                send = None
                silent_until = time.monotonic() + _RETRY_S

    def _take(self) -> Batch:
        """Wait for hints and return those that are there, the newest of each run; empty at the end of the process."""
        newest: dict[tuple[Role, int | None], Hint] = {}
        entry = self._queue.get()
        while entry is not None:
            role, hint = entry
            newest[role, hint.run_id] = hint
            try:
                entry = self._queue.get_nowait()
            except Empty:
                break
        return [(role, hint) for (role, _), hint in newest.items()]

    def _flush(self) -> None:
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(_EXIT_S)
