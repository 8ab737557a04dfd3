"""The bell of one host: every listener owns a datagram socket in a private directory; ringing sends to all of them.

The directory is the register of who listens: a socket file whose owner is gone refuses the datagram and is removed by
whoever notices. Linux lets only `net.unix.max_dgram_qlen` datagrams wait in a socket; those past that are dropped, so
a listener that finds that many waiting says ANYTHING. Between two readings it rests: waking a sleeping process costs
the one that rings more than all the rest, and a busy driver rings thousands of times a second.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import secrets
import socket
import stat
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from runs.bell.channels import ANYTHING, Hint, Role, decode, encode

logger = logging.getLogger(__name__)

_PAYLOAD_BYTES = 64
_REST_S = 0.005
_CLOCK_STEP_NS = 50_000_000
"""File systems stamp directories with a clock that is up to some ten milliseconds late."""


def directory_for(database: str, runtime_dir: Path | None) -> Path:
    """Where the sockets of the installation with this SQLite file live.

    By default under the system's temporary directory, whose short path leaves room for a socket's name (108 bytes).
    """
    parent = runtime_dir or Path(tempfile.gettempdir())
    digest = hashlib.sha256(str(Path(database).resolve()).encode()).hexdigest()[:16]
    return parent / f"workflow-bell-{os.getuid()}-{digest}"


class LocalBell:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sender.setblocking(False)
        self._read_at_ns = 0
        self._changed_at_ns = -1
        self._addresses: dict[Role, tuple[str, ...]] = {"driver": (), "watcher": ()}

    def ring(self, role: Role, hint: Hint) -> None:
        payload = encode(hint).encode()
        for address in self._listeners(role):
            try:
                self._sender.sendto(payload, address)
            except BlockingIOError:
                pass  # its queue is full, so it will wake and say ANYTHING
            except (ConnectionRefusedError, FileNotFoundError):
                with suppress(OSError):
                    os.unlink(address)  # noqa: PTH108 - a Path costs more than the whole ring

    def close(self) -> None:
        """Nothing is held but one socket, which the next ring would need again."""

    @asynccontextmanager
    async def listen(self, role: Role, on_hint: Callable[[Hint], None]) -> AsyncIterator[None]:
        try:
            receiver, address = self._open(role)
        except OSError as error:
            logger.warning("The bell cannot be heard (%s); news comes by the slow poll alone.", error)
            yield
            return
        ear = _Ear(receiver, on_hint)
        try:
            yield
        finally:
            ear.close()
            address.unlink(missing_ok=True)

    def _open(self, role: Role) -> tuple[socket.socket, Path]:
        _make_private(self._directory)
        address = self._directory / f"{role}-{os.getpid()}-{secrets.token_hex(4)}"
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        receiver.setblocking(False)
        try:
            receiver.bind(str(address))
        except OSError:
            receiver.close()
            raise
        return receiver, address

    def _listeners(self, role: Role) -> tuple[str, ...]:
        try:
            status = os.lstat(self._directory)
        except FileNotFoundError:
            return ()
        if not _is_private(status):
            return ()
        changed_at_ns = status.st_mtime_ns
        # A listing made within the clock's step of the last change may have missed one with the same stamp.
        if changed_at_ns != self._changed_at_ns or self._read_at_ns - changed_at_ns < _CLOCK_STEP_NS:
            self._read_at_ns = time.time_ns()
            names = os.listdir(self._directory)  # noqa: PTH208 - on the path of every commit
            self._addresses = {
                "driver": self._of_role("driver", names),
                "watcher": self._of_role("watcher", names),
            }
            self._changed_at_ns = changed_at_ns
        return self._addresses[role]

    def _of_role(self, role: Role, names: list[str]) -> tuple[str, ...]:
        return tuple(f"{self._directory}/{name}" for name in names if name.startswith(f"{role}-"))


def _make_private(directory: Path) -> None:
    """Make the directory, or refuse one that other users could have put there or can write to."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _is_private(directory.lstat()):
        raise PermissionError(f"{directory} is not a private directory of this user; remove it")


def _is_private(status: os.stat_result) -> bool:
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077


def _queue_length() -> int:
    try:
        return int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text())
    except OSError:
        return 1


class _Ear:
    """Reads a listener's socket on the running loop: at once after a silence, then after each rest."""

    def __init__(self, receiver: socket.socket, on_hint: Callable[[Hint], None]) -> None:
        self._receiver = receiver
        self._on_hint = on_hint
        self._queue_length = _queue_length()
        self._loop = asyncio.get_running_loop()
        self._rest: asyncio.TimerHandle | None = None
        self._listen()

    def close(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
        self._loop.remove_reader(self._receiver)
        self._receiver.close()

    def _listen(self) -> None:
        self._loop.add_reader(self._receiver, self._drain)

    def _drain(self) -> None:
        self._loop.remove_reader(self._receiver)
        self._rest = self._loop.call_later(_REST_S, self._listen)
        payloads: list[bytes] = []
        with suppress(BlockingIOError):
            while len(payloads) <= self._queue_length:
                payloads.append(self._receiver.recv(_PAYLOAD_BYTES))
        for payload in dict.fromkeys(payloads):
            self._on_hint(decode(payload.decode("ascii", "replace")))
        if len(payloads) >= self._queue_length:
            self._on_hint(ANYTHING)
