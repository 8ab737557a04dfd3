"""What the processes of one cluster share: made before the cluster forks, inherited by every worker.

A pipe and a file lock instead of multiprocessing's events and locks: the kernel takes them back from a process that
is killed, while a semaphore that a killed process held, or waited for, is stuck for all the others.
"""

from __future__ import annotations

import array
import fcntl
import os
import select
import tempfile


class StopFlag:
    """A flag that every process forked from its maker sees. It can be raised in a signal handler, and never lowered."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()

    def raise_(self) -> None:
        """Raise the flag; more than once does no harm."""
        os.write(self._writing, b"!")

    def is_set(self) -> bool:
        return self.wait(0)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait, `timeout` seconds at most, until the flag is raised; return whether it is."""
        return AnyFlag(self).wait(timeout)

    def fileno(self) -> int:
        return self._reading


class AnyFlag:
    """Several flags seen as one, which is raised when one of them is."""

    def __init__(self, *flags: StopFlag) -> None:
        self._flags = flags

    def is_set(self) -> bool:
        return self.wait(0)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait, `timeout` seconds at most, until a flag is raised; return whether one is."""
        poll = select.poll()
        for flag in self._flags:
            # Nobody takes the byte out of the pipe, so everybody finds it, now and later.
            poll.register(flag, select.POLLIN)
        return bool(poll.poll(None if timeout is None else timeout * 1000))


class Roll:
    """Where the processes forked from its maker enter themselves, for the maker to read."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)

    def enter(self, pid: int) -> None:
        """Enter a process. It may die at once; its entry stays."""
        os.write(self._writing, array.array("i", [pid]).tobytes())

    def read(self) -> array.array[int]:
        """The process ids entered since the last time."""
        entries = array.array("i")
        try:
            while chunk := os.read(self._reading, select.PIPE_BUF):
                entries.frombytes(chunk)
        except BlockingIOError:
            pass
        return entries


class Pool:
    """A cluster's shared part. One of its workers at a time is the quarantine driver."""

    def __init__(self) -> None:
        self.stop = StopFlag()
        self.drivers = Roll()
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
