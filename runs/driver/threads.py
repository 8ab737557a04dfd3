"""Threads for synchronous tools.

Not `ThreadPoolExecutor`: Python waits for that one's threads at exit, so a tool that hangs would keep a worker from
ending. These are daemon threads, and one whose tool outlived its timeout can be abandoned: it no longer counts, and
it ends when its tool returns.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Job:
    """A call that a thread makes. `run` must not raise."""

    run: Callable[[], None]
    started: bool = False
    abandoned: bool = False
    finished: bool = False


class DaemonPool:
    """Runs jobs in up to `size` daemon threads, which are started as needed and kept."""

    def __init__(self, *, size: int) -> None:
        self._size = size
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._unfinished = 0
        self.abandoned = 0
        """Threads that are still inside a tool nobody waits for."""

    def submit(self, run: Callable[[], None]) -> Job:
        """Call `run` as soon as a thread is free."""
        job = Job(run)
        with self._lock:
            self._unfinished += 1
            if self._unfinished > self._threads and self._threads < self._size:
                self._threads += 1
                threading.Thread(target=self._work, name="tool", daemon=True).start()
        self._jobs.put(job)
        return job

    def abandon(self, job: Job) -> None:
        """Nobody waits for this job any more. It is not begun; a thread that is inside it is replaced."""
        with self._lock:
            if job.finished:
                return
            job.abandoned = True
            self._unfinished -= 1
            if job.started:
                self._threads -= 1
                self.abandoned += 1

    def close(self) -> None:
        """Let idle threads end. Threads inside a tool end with the process."""
        for _ in range(self._threads):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            with self._lock:
                job.started = not job.abandoned
            if not job.started:
                del job  # as below
                continue
            job.run()
            with self._lock:
                job.finished = True
                if job.abandoned:
                    self.abandoned -= 1
                    return
                self._unfinished -= 1
            del job  # a parked thread must not keep the last tool's arguments alive
