"""Who a process is, so that another process can tell whether it has ended.

A process id alone is not enough: it is used again after a death, and it means something else in another container
or after a reboot. The kernel's boot id, the pid namespace and the moment the process started make it unique. Where
there is no /proc the answer is always "cannot tell", and the lease decides.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Process(Protocol):
    """What identifies a process. A `Driver` row has these fields too."""

    @property
    def boot_id(self) -> str: ...
    @property
    def pid_namespace(self) -> str: ...
    @property
    def pid(self) -> int: ...
    @property
    def process_started(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessIdentity:
    """A process, unmistakably: `process_started` is in the kernel's clock ticks since boot."""

    host: str
    boot_id: str
    pid_namespace: str
    pid: int
    process_started: str

    @classmethod
    def current(cls) -> ProcessIdentity:
        """The process that asks."""
        stat = read_stat(os.getpid())
        return cls(
            host=socket.gethostname(),
            boot_id=_boot_id(),
            pid_namespace=_pid_namespace(),
            pid=os.getpid(),
            process_started=stat.started if stat else "",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStat:
    """The parts of /proc/<pid>/stat (proc(5)) that matter here."""

    state: str
    parent: int
    group: int
    started: str

    @property
    def has_ended(self) -> bool:
        """A zombie has ended; only its parent has not looked yet."""
        return self.state in "ZX"


def read_stat(pid: int) -> ProcessStat | None:
    """How the kernel describes the process with this id now; None when there is none."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # The second field is the program's name in parentheses; it may contain blanks and parentheses of its own.
    state, parent, group, *others = line.rpartition(")")[2].split()
    return ProcessStat(state=state, parent=int(parent), group=int(group), started=others[16])


def is_child(pid: int, parent: int) -> bool:
    """Whether a process with this id lives that the parent started."""
    stat = read_stat(pid)
    return stat is not None and stat.parent == parent and not stat.has_ended


def is_visible(process: Process) -> bool:
    """Whether this process could see that one, if it lives: same boot of the same kernel, same pid namespace."""
    here = (_boot_id(), _pid_namespace())
    return all(here) and here == (process.boot_id, process.pid_namespace)


def look_up(process: Process) -> ProcessStat | None:
    """How the kernel describes that process now; None when it has ended or cannot be seen from here."""
    stat = read_stat(process.pid) if is_visible(process) else None
    return stat if stat and stat.started == process.process_started and not stat.has_ended else None


def has_ended(process: Process) -> bool:
    """True when that process has certainly ended; False when it lives or cannot be seen from here."""
    return is_visible(process) and look_up(process) is None


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
