"""Runs the whole suite on SQLite, then integration and durability on PostgreSQL, and prints the coverage of both.

PostgreSQL is the server of TEST_DATABASE_URL, else one that lets us in at the local socket or at 127.0.0.1. Where
there is none, or no Chromium, the tests that need it are left out and the last lines say so.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg

ROOT = Path(__file__).resolve().parent.parent
SQLITE = f"sqlite:///{ROOT / 'var' / 'workflow.sqlite3'}"
NEEDED_PERCENT = 90
NOTHING_COLLECTED = 5
CLOSING_LINE = re.compile(r"^=+ .* in [\d.]+s.* =+$")
COLOR = re.compile(r"\x1b\[[\d;]*m")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main() -> int:
    coverage("erase")
    postgres = find_postgres()
    notes = []
    status, closing = run_pytest([], database=SQLITE)
    if postgres:
        only = ["tests/integration", "tests/durability"]
        status_there, closing_there = run_pytest(only, database=postgres)
        status = status or (0 if status_there == NOTHING_COLLECTED else status_there)
        notes.append(f"On PostgreSQL, integration and durability: {closing_there.strip('= ')}")
    else:
        notes.append(
            "There is no PostgreSQL to test on; set TEST_DATABASE_URL to a server where we may create databases."
        )
    if not any(map(shutil.which, BROWSERS)):
        notes.append("There is no Chromium, so the browser tests were left out.")
    covered = report_coverage()
    print(*notes, closing, sep="\n", flush=True)
    return status or (0 if covered else 1)


def run_pytest(arguments: list[str], *, database: str) -> tuple[int, str]:
    """Run pytest under coverage, pass its output on, and return its status and its closing line."""
    print(f"\n--- {database.partition(':')[0]} ---", flush=True)
    command = [sys.executable, "-m", "coverage", "run", "-m", "pytest", "--no-header", *arguments]
    if sys.stdout.isatty():
        command.append("--color=yes")
    closing = "pytest did not finish."
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            plain = COLOR.sub("", line).strip()
            closing = plain if CLOSING_LINE.match(plain) else closing
    return process.returncode, closing


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
