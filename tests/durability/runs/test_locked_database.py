"""Another program locks the SQLite file for seconds, in the middle of runs: they end as if it had not."""

import sqlite3
import threading
from pathlib import Path

import pytest
from django.db import connection

from tests.durability.counting import RUNS, TURNS, assert_counted_once, counting, entries_of
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.slow,
    pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has no such lock"),
]


def lock_the_database(seconds: float) -> None:
    """Keep everybody from writing for so long, as somebody's backup or console may."""
    with sqlite3.connect(connection.settings_dict["NAME"], timeout=20, isolation_level=None) as intruder:
        intruder.execute("BEGIN EXCLUSIVE")
        threading.Event().wait(seconds)
        intruder.execute("ROLLBACK")
    intruder.close()


@pytest.mark.parametrize(
    ("lease_s", "locked_s", "attempts"),
    [(15, 2, {1}), (1.5, 4, {1, 2})],
    ids=["shorter than the lease", "longer than the lease"],
)
def test_runs_end_as_if_nothing_had_happened(actor, tmp_path: Path, lease_s: float, locked_s: float, attempts: set):
    with counting(actor, tmp_path, lease_s=lease_s) as runs:
        wait_until(lambda: entries_of(runs) > 10 * RUNS, "the runs are under way")
        lock_the_database(locked_s)
        assert entries_of(runs) < RUNS * TURNS, "the lock came too late"
    assert_counted_once(runs, tmp_path, attempts=attempts)
