"""Two hosts on one machine: each has its own network, processes and name, and a cable to the database to be pulled.

    host a ── cable ──┐
                      bridge ── forwarder ── the test's PostgreSQL
    host b ── cable ──┘

They share nothing but the file system. PostgreSQL stays where it listens: what comes to the forwarder's port on the
bridge is passed on to it.
"""

import itertools
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.db import connection

from runs.models import Driver
from tests.support.processes import children_of, managing

BACKLOG_BYTES = 65536
NOTHING_HEARD_S = 5
"""After so long a connection whose other end is silent is given up, as a server should be set to do."""
BOOT = ("unshare", "--uts", "--pid", "--mount-proc", "--fork", "--kill-child")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def _why_not() -> str | None:
    """Why there can be no hosts here, if so."""
    if os.geteuid() != 0:
        return "network namespaces take root"
    missing = [program for program in ("ip", "unshare") if shutil.which(program) is None]
    if missing:
        return f"there is no {' and no '.join(missing)}"
    name = f"wf{os.getpid()}"
    try:
        with ExitStack() as stack:
            _ip("link", "add", name, "type", "bridge")
            stack.callback(_ip, "link", "delete", name)
            _ip("netns", "add", name)
            stack.callback(_ip, "netns", "delete", name)
            _ip("netns", "exec", name, *BOOT, "true")
    except subprocess.CalledProcessError as error:
        return f"no host can be made: {error.stderr.strip()}"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A host by its name, which is that of its namespace and of its end of the cable, too."""

    name: str
    database_url: str

    @property
    def _socket(self) -> str:
        """The bridge's end of the cable."""
        return f"{self.name}-br"

    def pull_cable(self) -> None:
        """From now on nothing comes in or goes out, and nobody is told."""
        _ip("link", "set", self._socket, "down")

    def plug_cable_in(self) -> None:
        _ip("link", "set", self._socket, "up")

    @contextmanager
    def managing(self, *arguments: str, **environment: str) -> Iterator[None]:
        """`manage.py …` on this host, which has no other processes."""
        boot = ["ip", "netns", "exec", self.name, *BOOT]
        named = ["sh", "-c", f'echo {self.name} > /proc/sys/kernel/hostname; exec "$@"', "sh"]
        environment = {"DATABASE_URL": self.database_url, **environment}
        with managing(*arguments, prefix=[*boot, *named], **environment) as outside:
            try:
                yield
            finally:
                # `unshare` does not pass a SIGTERM on to the process that it waits for.
                for pid in children_of(outside.pid):
                    os.kill(pid, signal.SIGTERM)


def is_running(driver: Driver) -> bool:
    """Whether the driver's process runs, on whatever host."""
    return any(_is_of(driver, process) for process in Path("/proc").iterdir() if process.name.isdecimal())


def _is_of(driver: Driver, process: Path) -> bool:
    try:
        if str((process / "ns" / "pid").readlink()) != driver.pid_namespace:
            return False
        [pids] = [line for line in (process / "status").read_text().splitlines() if line.startswith("NSpid:")]
    except OSError:  # it has ended
        return False
    return int(pids.split()[-1]) == driver.pid


@contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Skips the test where that is not possible."""
    if why_not := _why_not():
        pytest.skip(why_not)
    network = f"198.18.{os.getpid() % 256}"  # RFC 2544: nobody's but a test's
    bridge = f"wf{os.getpid()}"
    with ExitStack() as stack:
        _ip("link", "add", bridge, "type", "bridge")
        stack.callback(_ip, "link", "delete", bridge)
        _ip("address", "add", f"{network}.1/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        port = stack.enter_context(_forwarding(f"{network}.1"))
        database = connection.settings_dict
        user = f"{database['USER']}:{database['PASSWORD']}".rstrip(":")
        url = f"postgres://{user}@{network}.1:{port}/{database['NAME']}"
        first, second = (Host(name=f"{bridge}{letter}", database_url=url) for letter in "ab")
        for host, number in ((first, 2), (second, 3)):
            stack.enter_context(_namespace(host.name, bridge, f"{network}.{number}/24"))
        yield first, second


@contextmanager
def _namespace(name: str, bridge: str, address: str) -> Iterator[None]:
    _ip("netns", "add", name)
    try:
        _ip("link", "add", f"{name}-br", "type", "veth", "peer", "name", "cable", "netns", name)
        _ip("link", "set", f"{name}-br", "master", bridge, "up")
        _ip("-n", name, "address", "add", address, "dev", "cable")
        for device in ("lo", "cable"):
            _ip("-n", name, "link", "set", device, "up")
        yield
    finally:
        _ip("netns", "delete", name)


@contextmanager
def _forwarding(address: str) -> Iterator[int]:
    """Pass what comes to a port of the address on to the test's PostgreSQL; the port."""
    with socket.create_server((address, 0)) as listener:
        threading.Thread(target=_accept, args=(listener,), daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket) -> None:
    with suppress(OSError):  # the listener is closed
        while True:
            client, _ = listener.accept()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, NOTHING_HEARD_S * 1000)
            server = _connect_to_postgres()
            for ends in itertools.permutations((client, server)):
                threading.Thread(target=_pump, args=ends, daemon=True).start()


def _connect_to_postgres() -> socket.socket:
    host, port = connection.settings_dict["HOST"] or "/var/run/postgresql", connection.settings_dict["PORT"] or 5432
    if not host.startswith("/"):
        return socket.create_connection((host, int(port)))
    server = socket.socket(socket.AF_UNIX)
    server.connect(f"{host}/.s.PGSQL.{port}")
    return server


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(BACKLOG_BYTES):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
