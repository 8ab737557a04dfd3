"""Real processes on the test database."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from django.conf import settings
from django.db import connection

from runs.driver.identity import is_child

ROOT = Path(__file__).resolve().parent.parent.parent


def database_url() -> str:
    """The URL of the database that this test runs on."""
    values = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{values['NAME']}"
    user = f"{values['USER']}:{values['PASSWORD']}".rstrip(":")
    place = f"{values['HOST'] or ''}" + (f":{values['PORT']}" if values["PORT"] else "")
    if place.startswith("/"):
        return f"postgres://{user}@/{values['NAME']}?host={place}"
    return f"postgres://{user}@{place}/{values['NAME']}"


@contextmanager
def managing(*arguments: str, prefix: Sequence[str] = (), **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """`manage.py …` on the test database, in a process group of its own that is gone afterwards.

    `prefix` is a command that runs it.
    """
    process = subprocess.Popen(
        [*prefix, sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": database_url(),
            "SECRET_KEY": settings.SECRET_KEY,
            "PYTHONUNBUFFERED": "1",
            **environment,
        },
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(5)


def children_of(parent: int) -> list[int]:
    """The processes that a process has forked, oldest first."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    return sorted(pid for pid in pids if is_child(pid, parent))
