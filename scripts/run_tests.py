"""Runs the whole suite on SQLite, beside it integration and durability on PostgreSQL, and prints the coverage of both.

Side by side, because much of either is waiting. PostgreSQL is the server of TEST_DATABASE_URL, else one that lets us in
at the local socket or at 127.0.0.1. Where there is none, or no Chromium, the tests that need it are left out and the
last lines say so. They also name every test that failed, for the end of a log is all that some get to see.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import psycopg

ROOT = Path(__file__).resolve().parent.parent
SQLITE = f"sqlite:///{ROOT / 'var' / 'workflow.sqlite3'}"
PGOPTIONS = "-c synchronous_commit=off"
"""No test crashes the server, so none has to wait for its disk."""
NEEDED_PERCENT = 90
NOTHING_COLLECTED = 5
TESTS_THERE = ("tests/integration", "tests/durability")
SOURCE_THERE = ("runs/store", "runs/bell")
"""Of which coverage is taken on PostgreSQL: the rest does the same on SQLite, and watching takes half of the time."""
SUMMARY_HEADING = re.compile(r"^=+ short test summary info =+$")
FAILED_LINE = re.compile(r"^(FAILED|ERROR) \S")
CLOSING_LINE = re.compile(r"^=+ .* in [\d.]+s.* =+$")
COLOR = re.compile(r"\x1b\[[\d;]*m")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main() -> int:
    coverage("erase")
    postgres = find_postgres()
    notes = []
    suite = Suite((), database=SQLITE)
    suite_there = Suite(TESTS_THERE, database=postgres, measured=SOURCE_THERE) if postgres else None
    ending = suite.show()
    status, failed = ending.status, ending.failed
    if suite_there:
        there = suite_there.show()
        status = status or (0 if there.status == NOTHING_COLLECTED else there.status)
        failed += tuple(f"On PostgreSQL: {line}" for line in there.failed)
        notes.append(f"On PostgreSQL, integration and durability: {there.closing.strip('= ')}")
    else:
        notes.append(
            "There is no PostgreSQL to test on; set TEST_DATABASE_URL to a server where we may create databases."
        )
    if not any(map(shutil.which, BROWSERS)):
        notes.append("There is no Chromium, so the browser tests were left out.")
    covered = report_coverage()
    print(*failed, *notes, ending.closing, sep="\n", flush=True)
    return status or (0 if covered else 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a pytest ended: `failed` are its summary's lines of what failed or could not be set up or collected."""

    status: int
    failed: tuple[str, ...]
    closing: str


class Suite:
    """A pytest under coverage that has been started."""

    def __init__(self, arguments: Sequence[str], *, database: str, measured: Sequence[str] = ()) -> None:
        """Coverage is taken of the folders `measured`, else of all that is configured."""
        self._name = database.partition(":")[0]
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        source = [f"--source={','.join(measured)}"] if measured else []
        command = [sys.executable, "-m", "coverage", "run", *source, "-m", "pytest", "--no-header", *arguments]
        if sys.stdout.isatty():
            command.append("--color=yes")
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": database, "PGOPTIONS": f"{os.environ.get('PGOPTIONS', '')} {PGOPTIONS}"},
            stdout=subprocess.PIPE,
            text=True,
        )
        # Read at once, although it may be shown later: a full pipe would stop it.
        threading.Thread(target=self._read, daemon=True).start()

    def show(self) -> Ending:
        """Pass its output on until it ends."""
        print(f"\n--- {self._name} ---", flush=True)
        lines = []
        while (line := self._lines.get()) is not None:
            print(line, end="", flush=True)
            lines.append(COLOR.sub("", line).strip())
        closing = [line for line in lines if CLOSING_LINE.match(line)] or ["pytest did not finish."]
        return Ending(status=self._process.wait(), failed=failed_in(lines), closing=closing[-1])

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._lines.put(line)
        self._lines.put(None)


def failed_in(lines: list[str]) -> tuple[str, ...]:
    """The lines of the summary that name what failed; before it, what tests print and log may look like them."""
    headings = [number for number, line in enumerate(lines) if SUMMARY_HEADING.match(line)]
    return tuple(line for line in lines[headings[-1] :] if FAILED_LINE.match(line)) if headings else ()


def find_postgres() -> str | None:
    """The URL of a database that the tests may make, on a server where they may."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        return given
    for user in (getpass.getuser(), "postgres"):
        for host in ("%2Fvar%2Frun%2Fpostgresql", "127.0.0.1"):
            if may_create_databases(f"postgres://{user}@{host}/postgres"):
                return f"postgres://{user}@{host}/workflow"
    return None


def may_create_databases(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=2) as connection:
            row = connection.execute(
                "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
            ).fetchone()
    except psycopg.Error:
        return False
    return bool(row and row[0])


def report_coverage() -> bool:
    """Print what is not covered and the totals; return whether lines and branches are both covered well enough."""
    coverage("combine", "--quiet")
    coverage("report")
    path = ROOT / ".coverage.json"
    coverage("json", "--quiet", "-o", str(path))
    totals = json.loads(path.read_text())["totals"]
    path.unlink()
    lines = 100 * totals["covered_lines"] / totals["num_statements"]
    branches = 100 * totals["covered_branches"] / totals["num_branches"]
    print(f"\nCoverage: {lines:.1f} % of lines, {branches:.1f} % of branches; {NEEDED_PERCENT} % of each are needed.")
    return min(lines, branches) >= NEEDED_PERCENT


def coverage(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "coverage", *arguments], cwd=ROOT, check=False)


if __name__ == "__main__":
    sys.exit(main())
