"""Tools and faults that a worker process under test is given, by WORKFLOW_TOOL_MODULES=tests.durability.sabotage.

`SABOTAGE=point:n` kills the process with SIGKILL at the n-th time it comes to a point, once in all processes
together. The points lie in a tool, and around and inside the transaction that commits a step.
"""

import os
import signal
from pathlib import Path

from runs.store import sqlite
from tools import Context, tool

FOLDER = Path(os.environ.get("SABOTAGE_FOLDER", "/nonexistent"))
POINT, _, NTH = os.environ.get("SABOTAGE", "none:0").partition(":")

_passed = 0


def pass_point(name: str) -> None:
    """Die here if it is the time and the place."""
    global _passed
    if name != POINT:
        return
    _passed += 1
    if _passed == int(NTH):
        try:
            (FOLDER / "killed").touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


@tool
def count(ctx: Context, n: int) -> dict:
    """Counts, and notes each call in a file that survives the process."""
    with (FOLDER / "calls").open("a") as calls:
        calls.write(f"{ctx.step_id} {ctx.attempt} {ctx.idempotency_key}\n")
    pass_point("in-a-tool")
    return {"n": n + 1, "log": n}


def _around(store: type) -> None:
    commit = store.commit

    def sabotaged(self, writes):
        if any(write.events for write in writes):
            pass_point("before-a-commit")
        lost = commit(self, writes)
        if any(write.events for write in writes):
            pass_point("after-a-commit")
        return lost

    store.commit = sabotaged


def _inside() -> None:
    write = sqlite.SqliteStore._write

    def sabotaged(self, run_write):
        written = write(self, run_write)
        pass_point("in-a-commit")
        return written

    sqlite.SqliteStore._write = sabotaged


if POINT != "none":
    from runs.store import postgres

    _around(sqlite.SqliteStore)
    _around(postgres.PostgresStore)
    _inside()
