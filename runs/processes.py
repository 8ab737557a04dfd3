"""Child processes of a supervisor: kept running, replaced, and ended with everything they started."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runs.driver.pool import StopFlag

logger = logging.getLogger(__name__)

TICK_S = 0.5
FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask the kernel to send this process SIGTERM when its parent ends, however it ends. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass(slots=True)
class Group:
    """A process with a process group of its own, which holds all that it starts."""

    leader: subprocess.Popen[bytes]
    started_at: float
    kill_at: float = float("inf")

    @property
    def pid(self) -> int:
        """The id of the leader, which is that of the group."""
        return self.leader.pid

    @property
    def is_running(self) -> bool:
        """Whether the leader lives."""
        return self.leader.poll() is None

    @property
    def is_empty(self) -> bool:
        """Whether the leader and everything it started have ended."""
        if self.is_running:
            return False
        with contextlib.suppress(ChildProcessError):
            # As process 1 of a container we inherit what the leader left behind.
            while os.waitpid(-self.pid, os.WNOHANG)[0]:
                pass
        return not self._send(0)

    def terminate(self, *, grace_s: float) -> None:
        """Ask the leader to end; `enforce` kills the group when `grace_s` is over."""
        self.kill_at = min(self.kill_at, time.monotonic() + grace_s)
        if self.is_running:
            self.leader.terminate()

    def enforce(self) -> None:
        if time.monotonic() >= self.kill_at:
            self._send(signal.SIGKILL)

    def _send(self, number: int) -> bool:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return False
        return True


class Child:
    """A program that is started again when it ends, after a pause that doubles each time it ends early."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        grace_s: float,
        environment: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.name = name
        self._command = command
        self._grace_s = grace_s
        self.environment = {**os.environ, **(environment or {})}
        self._pass_fds = pass_fds
        self._retired: list[Group] = []
        self._delay_s = FIRST_DELAY_S
        self._start_at = float("-inf")
        self.group: Group | None = None

    def tick(self) -> None:
        """Do what is due: start the program, or kill what did not end in time."""
        self._tidy()
        now = time.monotonic()
        if self.group is not None and not self.group.is_running:
            self._delay_s = FIRST_DELAY_S if now - self.group.started_at > LONGEST_DELAY_S else self._delay_s * 2
            self._start_at = now + min(self._delay_s, LONGEST_DELAY_S)
            logger.warning(
                "%s ended with status %s; it starts again in %.1f s.",
                self.name,
                self.group.leader.returncode,
                self._start_at - now,
            )
            self._retire()
        if self.group is None and now >= self._start_at:
            self.start()

    def start(self) -> None:
        """Start the program in a session of its own: a Ctrl-C in the terminal reaches the supervisor only."""
        leader = subprocess.Popen(  # noqa: S603 - the command is ours
            self._command,
            env=self.environment,
            pass_fds=self._pass_fds,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        self.group = Group(leader, time.monotonic())

    def replace(self) -> None:
        """Start a second one at once, and let the first one drain beside it."""
        self._retire()
        self.start()

    def stop(self) -> None:
        """Ask everything to end. `is_gone` tells when it has."""
        self._retire()

    @property
    def is_gone(self) -> bool:
        self._tidy()
        return self.group is None and not self._retired

    def _retire(self) -> None:
        if self.group is not None:
            self.group.terminate(grace_s=self._grace_s)
            self._retired.append(self.group)
            self.group = None

    def _tidy(self) -> None:
        self._retired = [group for group in self._retired if not group.is_empty]
        for group in self._retired:
            group.enforce()


def stop_on_signals() -> StopFlag:
    """A flag that SIGTERM or Ctrl-C raises. A second Ctrl-C ends this process at once, and its children soon after."""
    stop = StopFlag()

    def raise_flag(number: int, _: object) -> None:
        stop.raise_()
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, raise_flag)
    return stop


def supervise(children: Sequence[Child], stop: StopFlag) -> None:
    """Keep the children running until the flag is raised; return when all that they started has ended."""
    for child in children:
        child.start()
    while not stop.wait(TICK_S):
        for child in children:
            child.tick()
    for child in children:
        child.stop()
    while not all(child.is_gone for child in children):
        time.sleep(0.05)
