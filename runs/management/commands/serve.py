"""Everything in one command: the database's tables, the web server and the workers."""

from __future__ import annotations

import os
import select
import socket
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

import django.db
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from accounts.development import ensure_admin
from runs.cluster import ClusterChild
from runs.management.preflight import at_least_one, check_platform, counted, is_loopback, port_number
from runs.processes import Child, stop_on_signals, supervise

BACKLOG = 2048
HTTP_TIMEOUT_S = 60
WEB_GRACE_S = 10.0


class Command(BaseCommand):
    help = "Migrates the database, then serves pages and API and executes runs until SIGTERM or Ctrl-C."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
        parser.add_argument("--port", type=port_number, default=8000, help="0 takes a free one (%(default)s)")
        parser.add_argument(
            "--workers", type=at_least_one, default=settings.WORKFLOW.workers, help="drivers (%(default)s)"
        )

    def handle(self, *args: Any, host: str, port: int, workers: int, **options: Any) -> None:
        check_platform()
        if settings.DEBUG and not is_loopback(host):
            raise CommandError(
                f"With DEBUG=1 anyone who reaches {host} could do anything without signing in. "
                "Serve on 127.0.0.1, or set DEBUG=0 with a SECRET_KEY and ALLOWED_HOSTS."
            )
        stop = stop_on_signals()
        with listen(host, port) as listener:
            self._prepare_database()
            cluster = ClusterChild(workers=workers)
            said = f"Serving on {url_of(listener)} with {counted(workers, 'worker')}. Stop with Ctrl-C."
            supervise([WebChild(listener, announce=lambda: self._say(said)), cluster], stop)
        cluster.forget_queues()
        self.stdout.write("Stopped.")

    def _say(self, sentence: str) -> None:
        self.stdout.write(sentence)
        self.stdout.flush()

    def _prepare_database(self) -> None:
        try:
            call_command("migrate", interactive=False, verbosity=0)
            password = ensure_admin() if settings.DEBUG else None
        except django.db.Error as error:
            raise CommandError(f"The database cannot be used: {error}") from error
        finally:
            connections.close_all()
        if password:
            self.stdout.write(f"Sign in as admin with the password {password} (shown this once).")


def listen(host: str, port: int) -> socket.socket:
    """Open the socket here and not in the web server: its number is known before, and it outlives a restart."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        # Python's words for a port in use repeat the address.
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise CommandError(f"Cannot listen on {host} port {port}: {why}. Choose another with --port.") from error


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


class WebChild(Child):
    """Daphne on a socket that is open already. `announce` is called once, after its first answer."""

    def __init__(self, listener: socket.socket, *, announce: Callable[[], None]) -> None:
        super().__init__(
            "The web server",
            [
                *(sys.executable, "-m", "daphne", "--fd", str(listener.fileno())),
                *("--http-timeout", str(HTTP_TIMEOUT_S), "-v", "0", "workflowsite.asgi:application"),
            ],
            grace_s=WEB_GRACE_S,
            environment={"PYTHONPATH": os.pathsep.join([str(settings.BASE_DIR), os.environ.get("PYTHONPATH", "")])},
            pass_fds=[listener.fileno()],
        )
        self._address = listener.getsockname()[:2]
        self._announce = announce
        self._question: socket.socket | None = self._ask()

    def tick(self) -> None:
        super().tick()
        self._hear()

    def _hear(self) -> None:
        if self._question is None or not select.select([self._question], [], [], 0)[0]:
            return
        is_answered = _received(self._question)
        self._question.close()
        # A web server that ended before it answered leaves the question to the next one.
        self._question = None if is_answered else self._ask()
        if is_answered:
            self._announce()

    def stop(self) -> None:
        if self._question is not None:
            self._question.close()
        super().stop()

    def _ask(self) -> socket.socket:
        """A request that waits in the socket's queue until somebody serves it. Any answer will do."""
        question = socket.create_connection(self._address)
        question.sendall(b"GET /health/live HTTP/1.0\r\nHost: localhost\r\n\r\n")
        return question


def _received(question: socket.socket) -> bool:
    try:
        return bool(question.recv(1))
    except OSError:
        return False
