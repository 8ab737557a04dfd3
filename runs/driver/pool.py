"""What the processes of one cluster share: made before the cluster forks, inherited by every worker.

A pipe and a file lock instead of multiprocessing's events and locks: the kernel takes them back from a process that
is killed, while a semaphore that a killed process held, or waited for, is stuck for all the others.
"""

from __future__ import annotations

import fcntl
import os
import select
import tempfile
import threading


class StopFlag:
    """A flag that every process forked from its maker sees. It can be raised in a signal handler, and never lowered."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()

    def raise_(self) -> None:
        """Raise the flag; more than once does no harm."""
        os.write(self._writing, b"!")

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the flag is raised. False when the time is over first."""
        # The byte stays in the pipe, so everybody sees it, now and later.
        return wait_for_any(self, timeout_s=timeout_s)

    def is_raised(self) -> bool:
        return self.wait(0)

    def fileno(self) -> int:
        return self._reading


def wait_for_any(*flags: StopFlag, timeout_s: float | None = None) -> bool:
    """Wait until one of the flags is raised. False when the time is over first."""
    poll = select.poll()
    for flag in flags:
        poll.register(flag, select.POLLIN)
    return bool(poll.poll(None if timeout_s is None else timeout_s * 1000))


class Pool:
    """A cluster's shared part. One of its workers at a time is the quarantine driver."""

    def __init__(self) -> None:
        self.stop = StopFlag()
        self._quarantine = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process

    def take_quarantine(self) -> bool:
        """Become the quarantine driver, until this process ends. False when another process is."""
        try:
            fcntl.lockf(self._quarantine, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


_current: Pool | None = None


def make_pool() -> Pool:
    """Make the pool that this process and all it forks from now on belong to."""
    global _current
    _current = Pool()
    return _current


def current_pool() -> Pool | None:
    """The pool that this process was forked in; None in a worker that was started some other way."""
    return _current


def stop_event(*flags: StopFlag) -> threading.Event:
    """An event that is set when one of the flags is raised, for code that waits in threads."""
    event = threading.Event()

    def watch() -> None:
        wait_for_any(*flags)
        event.set()

    threading.Thread(target=watch, name="stop-watch", daemon=True).start()
    return event
