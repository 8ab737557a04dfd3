"""A real daphne on the test database, and a client of its WebSockets."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any
from urllib.parse import quote

from django.conf import settings
from django.db import connection
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

TIMEOUT_S = 20


def environment(**variables: str) -> dict[str, str]:
    """The environment of a process that works on the test database."""
    return {
        **os.environ,
        "DATABASE_URL": _database_url(),
        "SECRET_KEY": settings.SECRET_KEY,
        "DEBUG": "0",
        "ALLOWED_HOSTS": "127.0.0.1,example.org",
        **variables,
    }


def _database_url() -> str:
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    login = ":".join(quote(database[key] or "", safe="") for key in ("USER", "PASSWORD"))
    return f"postgres://{login}@{quote(database['HOST'] or '', safe='')}:{database['PORT']}/{database['NAME']}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    port: int
    pid: int
    log: SimpleQueue[str]

    def wait_for(self, words: str, times: int = 1) -> None:
        """Wait until that many more lines of the server's log have the words."""
        while times:
            times -= words in self.log.get(timeout=TIMEOUT_S)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def resident_bytes(self) -> int:
        """The memory that the process uses now."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def kill(self) -> None:
        """As the kernel does when memory runs out."""
        os.kill(self.pid, signal.SIGKILL)

    def watch(
        self,
        run_uuid: object,
        query: str = "",
        *,
        key: str | None = None,
        origin: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> ClientConnection:
        """Open a socket on a run; a context manager."""
        authorization = {} if key is None else {"Authorization": f"Bearer {key}"}
        return connect(
            f"ws://127.0.0.1:{self.port}/ws/graph/run/{run_uuid}{query}",
            additional_headers={**authorization, **(headers or {})},
            origin=Origin(origin) if origin else None,
            max_size=None,
            compression=None,
            open_timeout=TIMEOUT_S,
        )


@contextmanager
def running_server(**variables: str) -> Iterator[Server]:
    # Opened here, so that nobody else can take the port in the meantime.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", "daphne", "--fd", str(listener.fileno()), "workflowsite.asgi:application"],
            env=environment(PYTHONUNBUFFERED="1", **variables),
            pass_fds=[listener.fileno()],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    server = Server(port=port, pid=process.pid, log=SimpleQueue())
    threading.Thread(target=_pass_lines_on, args=(process.stdout, server.log), daemon=True).start()
    try:
        server.wait_for("Listening on TCP")
        yield server
    finally:
        process.terminate()
        process.wait(TIMEOUT_S)


def _pass_lines_on(output: IO[str], log: SimpleQueue[str]) -> None:
    for line in output:
        log.put(line)


def receive(client: ClientConnection) -> dict[str, Any]:
    """The next message."""
    message: dict[str, Any] = json.loads(client.recv(TIMEOUT_S))
    return message


def receive_events(client: ClientConnection, count: int) -> list[dict[str, Any]]:
    """Messages until they hold `count` events or more; the events."""
    events: list[dict[str, Any]] = []
    while len(events) < count:
        message = receive(client)
        if message["type"] == "events":
            events += message["events"]
    return events


def receive_all(client: ClientConnection) -> list[dict[str, Any]]:
    """Every message until the server closes."""
    messages = []
    try:
        while True:
            messages.append(receive(client))
    except ConnectionClosed:
        return messages


def seqs(messages: list[dict[str, Any]]) -> list[int]:
    """The seqs of the events in messages."""
    return [event["seq"] for message in messages if message["type"] == "events" for event in message["events"]]


def close_code(client: ClientConnection) -> int | None:
    """The code that the server closes with, whatever it sends before."""
    receive_all(client)
    return client.close_code
