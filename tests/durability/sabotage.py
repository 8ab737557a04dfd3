"""Tools and faults that a worker process under test is given, by WORKFLOW_TOOL_MODULES=tests.durability.sabotage.

`SABOTAGE=point:n,…` kills the process with SIGKILL at the n-th time it comes to a point, at each point once in all
processes together. The points lie in a tool, around a claim, and around and inside the transaction that commits a step.
"""

import os
import signal
from collections import Counter
from pathlib import Path

from django.contrib.auth.models import Group

from runs import bell
from runs.store import RunWrite, sqlite
from tools import Context, tool

FOLDER = Path(os.environ.get("SABOTAGE_FOLDER", "/nonexistent"))
POINTS = dict(point.split(":") for point in os.environ.get("SABOTAGE", "").split(",") if point)

_passed: Counter[str] = Counter()


def pass_point(name: str) -> None:
    """Die here if it is the time and the place."""
    if name not in POINTS:
        return
    _passed[name] += 1
    if _passed[name] == int(POINTS[name]):
        try:
            (FOLDER / f"killed-{name}").touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


def are_injected(sabotage: str, folder: Path) -> bool:
    """Whether somebody has died at each of the points."""
    return all((folder / f"killed-{point.partition(':')[0]}").exists() for point in sabotage.split(","))


@tool
def count(ctx: Context, n: int) -> dict:
    """Counts, and notes each call in a file that survives the process."""
    pass_point("before-a-tool")
    with (FOLDER / "calls").open("a") as calls:
        calls.write(f"{ctx.step_id} {ctx.attempt} {ctx.idempotency_key}\n")
    pass_point("in-a-tool")
    return {"n": n + 1, "log": n}


@tool(atomic=True)
def book(ctx: Context, n: int) -> dict:
    """Counts, and writes a row in the transaction of its own completion."""
    Group.objects.create(name=f"{ctx.step_id} {n}")
    pass_point("in-an-atomic-tool")
    return {"n": n + 1}


def _around_atomic() -> None:
    join, end = atomic.join_transaction, atomic.AtomicCall._end

    def sabotaged_join(run_write):
        joined = join(run_write)
        pass_point("before-an-atomic-commit")
        return joined

    def sabotaged_end(self, *args):
        pass_point("after-an-atomic-commit")
        end(self, *args)

    atomic.join_transaction = sabotaged_join
    atomic.AtomicCall._end = sabotaged_end


def _around(store: type) -> None:
    commit = store.commit

    def sabotaged(self, writes):
        kinds = ["a"] * any(write.events for write in writes) + ["the-last"] * any(map(_ends, writes))
        for kind in kinds:
            pass_point(f"before-{kind}-commit")
        lost = commit(self, writes)
        for kind in kinds:
            pass_point(f"after-{kind}-commit")
        return lost

    store.commit = sabotaged


def _ends(write: RunWrite) -> bool:
    """Whether the run is over with it."""
    return write.head is not None and write.head.finished_at is not None


def _around_a_claim(store: type) -> None:
    claim = store.claim

    def sabotaged(self, **options):
        if self._connection.execute(
            "SELECT 1 FROM runs_run WHERE driver_id IS NULL AND wake_at IS NOT NULL"
        ).fetchone():
            pass_point("before-a-claim")
        claimed = claim(self, **options)
        if claimed:
            pass_point("after-a-claim")
        return claimed

    store.claim = sabotaged


def _before_the_bell() -> None:
    ring = bell.ring_watchers

    def sabotaged(run_id, seq):
        pass_point("before-the-bell")
        ring(run_id, seq)

    bell.ring_watchers = sabotaged


def _after_taking(store: type) -> None:
    take = store.take_signal

    def sabotaged(self, *args, **options):
        taken = take(self, *args, **options)
        if taken:
            pass_point("after-taking-a-signal")
        return taken

    store.take_signal = sabotaged


def _after_expiring(store: type) -> None:
    expire = store.expire_task

    def sabotaged(self, *args, **options):
        answers = expire(self, *args, **options)
        pass_point("after-expiring-a-task")
        return answers

    store.expire_task = sabotaged


def _inside() -> None:
    write = sqlite.SqliteStore._write

    def sabotaged(self, run_write):
        written = write(self, run_write)
        pass_point("in-a-commit")
        return written

    sqlite.SqliteStore._write = sabotaged


if POINTS:
    from runs.driver import atomic
    from runs.store import postgres

    _around_atomic()
    _around(sqlite.SqliteStore)
    _around(postgres.PostgresStore)
    _before_the_bell()
    for store in (sqlite.SqliteStore, postgres.PostgresStore):
        _around_a_claim(store)
        _after_taking(store)
        _after_expiring(store)
    _inside()
