"""`manage.py serve`, as somebody starts and stops it."""

import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests
from django.conf import settings

from runs.driver.identity import read_stat
from runs.management.commands.serve import WebChild, listen, url_of
from tests.acceptance.conftest import wait_until_ready
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

EXIT_WITHIN_S = 30


class Server:
    """A running `manage.py serve`, and what it has said."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said = ""
        while not (url := re.search(r"Serving on (\S+) ", self.said)):
            line = process.stdout.readline()
            assert line, f"The server did not start: {self.said}"
            self.said += line
        self.url = url[1]
        wait_until_ready(self.url)

    def stop(self, number: int) -> int:
        self.process.send_signal(number)
        self.said += self.process.communicate(timeout=EXIT_WITHIN_S)[0]
        return self.process.returncode


@contextmanager
def serving(database: Path, **environment: str) -> Iterator[Server]:
    with subprocess.Popen(
        [sys.executable, "manage.py", "serve", "--port", "0", "--workers", "1"],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DEBUG": "1", "DATABASE_URL": f"sqlite:///{database}", **environment},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield Server(process)
        finally:
            with suppress(ProcessLookupError):
                process.kill()  # its children end with it


def test_it_starts_from_nothing_says_where_and_ends_well(tmp_path: Path):
    with serving(tmp_path / "db.sqlite3") as first:
        assert requests.get(first.url, timeout=20).status_code == 200
        assert first.stop(signal.SIGTERM) == 0
    assert re.search(r"Sign in as admin with the password \S{12} \(shown this once\)", first.said)
    assert first.said.endswith("Stopped.\n")
    with serving(tmp_path / "db.sqlite3") as second:
        assert second.stop(signal.SIGINT) == 0
    assert "password" not in second.said


def test_outside_development_mode_it_makes_no_admin(tmp_path: Path):
    with serving(tmp_path / "db.sqlite3", DEBUG="0", SECRET_KEY="x" * 50) as server:
        answer = requests.get(f"{server.url}api/v1/graphs/", timeout=20)
        assert answer.status_code in (401, 403)
        server.stop(signal.SIGTERM)
    assert "password" not in server.said


def test_a_web_server_that_is_killed_is_started_again_on_the_same_port(tmp_path: Path):
    with serving(tmp_path / "db.sqlite3") as server:
        [web] = [pid for pid in children_of(server.process.pid) if b"daphne" in command_of(pid)]
        os.kill(web, signal.SIGKILL)
        wait_until(lambda: web not in children_of(server.process.pid), "it is gone")
        # The socket is the supervisor's, so the request waits for the new web server instead of being refused.
        assert requests.get(server.url, timeout=60).status_code == 200
        assert server.stop(signal.SIGTERM) == 0


def test_it_says_where_only_once_the_web_server_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DEBUG", "1")
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'db.sqlite3'}")
    said = []
    with listen("127.0.0.1", 0) as listener:
        web = WebChild(listener, announce=lambda: said.append(url_of(listener)))
        web.start()
        try:
            os.killpg(web.group.pid, signal.SIGSTOP)  # as slow to start as can be
            web.tick()
            assert not said
            os.killpg(web.group.pid, signal.SIGCONT)
            wait_until(lambda: web.tick() or said, "it has answered")
            assert requests.get(f"{said[0]}health/live", timeout=20).status_code == 200
            web.tick()
            assert len(said) == 1
        finally:
            web.stop()
            wait_until(lambda: web.is_gone, "it has ended")


def test_a_web_server_that_ends_before_it_answers_is_asked_again():
    said = []
    with listen("127.0.0.1", 0) as listener:
        web = WebChild(listener, announce=lambda: said.append(True))
        for answer in (b"", b"HTTP/1.1 200 OK"):
            connection, _ = listener.accept()
            connection.recv(1_000)
            connection.sendall(answer)
            connection.close()
            wait_until(lambda: select.select([web._question], [], [], 0)[0], "the end has come")
            web._hear()
            assert bool(said) == bool(answer)
        web.stop()


def children_of(parent: int) -> list[int]:
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    return [pid for pid in pids if (stat := read_stat(pid)) and stat.parent == parent and not stat.has_ended]


def command_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()
