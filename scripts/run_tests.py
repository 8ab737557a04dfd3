"""Runs the whole suite on SQLite, beside it integration and durability on PostgreSQL, and prints the coverage of both.

Side by side, because much of either is waiting. PostgreSQL is the server of TEST_DATABASE_URL, else one that lets us in
at the local socket or at 127.0.0.1. Where there is none, or no Chromium, the tests that need it are left out and the
last lines say so. They also name every test that failed, for the end of a log is all that some get to see.

A few tests that failed are tried again when nothing else runs, for real servers, workers and browsers share the machine
with the other suite and with whatever else is on it. What passes only then is named too, and is worth a look.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue

import psycopg

ROOT = Path(__file__).resolve().parent.parent
SQLITE = f"sqlite:///{ROOT / 'var' / 'workflow.sqlite3'}"
PGOPTIONS = "-c synchronous_commit=off"
"""No test crashes the server, so none has to wait for its disk."""
NEEDED_PERCENT = 90
TESTS_FAILED = 1
FEW = 10
"""More failures than these are no matter of a busy machine."""
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
    suites = [Suite("", (), database=SQLITE)]
    notes = []
    if postgres:
        suites.append(Suite("On PostgreSQL: ", TESTS_THERE, database=postgres, measured=SOURCE_THERE))
    else:
        notes.append(
            "There is no PostgreSQL to test on; set TEST_DATABASE_URL to a server where we may create databases."
        )
    with tempfile.TemporaryDirectory() as folder:
        for number, suite in enumerate(suites):
            suite.start(Path(folder, str(number)))
        endings = [suite.show() for suite in suites]
        endings = [suite.try_again(ending) for suite, ending in zip(suites, endings, strict=True)]
    if not any(map(shutil.which, BROWSERS)):
        notes.append("There is no Chromium, so the browser tests were left out.")
    covered = report_coverage()
    failed = [line for ending in endings for line in ending.failed]
    unsteady = [line for ending in endings for line in ending.unsteady]
    closings = [ending.closing for ending in reversed(endings)]
    print(*failed, *unsteady, *notes, *closings, sep="\n", flush=True)
    status = next((ending.status for ending in endings if ending.status), 0)
    return status or (0 if covered else 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a pytest ended.

    `failed` are its summary's lines of what failed or could not be set up or collected; `unsteady` are those of what
    failed and then passed alone.
    """

    status: int
    failed: tuple[str, ...]
    closing: str
    unsteady: tuple[str, ...] = ()


class Suite:
    """Tests on one database, run by a pytest under coverage."""

    def __init__(self, label: str, arguments: Sequence[str], *, database: str, measured: Sequence[str] = ()) -> None:
        """The lines that tell of it begin with `label`. Coverage is taken of the folders `measured`, else of all."""
        self._label = label
        self._arguments = arguments
        self._database = database
        self._measured = measured

    def start(self, cache: Path, *more: str) -> None:
        """Run all, or what the arguments of pytest in `more` say; what fails is written down in the folder `cache`."""
        self._cache = cache
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        source = [f"--source={','.join(self._measured)}"] if self._measured else []
        command = [sys.executable, "-m", "coverage", "run", *source, "-m", "pytest", "--no-header"]
        command += ["-o", f"cache_dir={cache}", *self._arguments, *more]
        if sys.stdout.isatty():
            command.append("--color=yes")
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={
                **os.environ,
                "DATABASE_URL": self._database,
                "PGOPTIONS": f"{os.environ.get('PGOPTIONS', '')} {PGOPTIONS}",
            },
            stdout=subprocess.PIPE,
            text=True,
        )
        # Read at once, although it may be shown later: a full pipe would stop it.
        threading.Thread(target=self._read, daemon=True).start()

    def show(self) -> Ending:
        """Pass its output on until it ends."""
        print(f"\n--- {self._database.partition(':')[0]} ---", flush=True)
        lines = []
        while (line := self._lines.get()) is not None:
            print(line, end="", flush=True)
            lines.append(COLOR.sub("", line).strip())
        closing = [line for line in lines if CLOSING_LINE.match(line)] or ["pytest did not finish."]
        return Ending(
            status=self._process.wait(),
            failed=tuple(self._label + line for line in failed_in(lines)),
            closing=self._label + closing[-1],
        )

    def try_again(self, ending: Ending) -> Ending:
        """Run what failed once more, if it was not much; the `ending` with what remains of its failures."""
        if ending.status != TESTS_FAILED or len(ending.failed) > FEW:
            return ending
        self.start(self._cache, "--last-failed", "--last-failed-no-failures=none")
        again = self.show()
        still = {line.partition(" - ")[0] for line in again.failed}
        unsteady = [line for line in ending.failed if line.partition(" - ")[0] not in still]
        return replace(
            ending,
            status=again.status,
            failed=again.failed,
            unsteady=tuple(f"Passed only when tried again alone: {line}" for line in unsteady),
        )

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
