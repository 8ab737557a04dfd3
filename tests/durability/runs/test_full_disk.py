"""The disk that the journal is on fills up in the middle of runs; they go on when there is space again."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from runs.models import Run
from tests.durability.counting import RUNS, TURNS, assert_counted_once, counting, entries_of
from tests.durability.disks import Disk, database_on_small_disk
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

STILL_S = 0.5


@pytest.fixture
def disk(transactional_db: None) -> Iterator[Disk]:
    with database_on_small_disk() as disk:
        yield disk


def wait_until_nothing_is_written(runs: list[Run]) -> None:
    seen = [-1, entries_of(runs)]
    while seen[-1] != seen[-2]:
        time.sleep(STILL_S)
        seen.append(entries_of(runs))


@pytest.mark.parametrize(
    ("lease_s", "full_s", "attempts"),
    [(15, 0, {1}), (1.5, 3, {1, 2})],
    ids=["shorter than the lease", "longer than the lease"],
)
def test_runs_end_as_if_nothing_had_happened(
    disk: Disk, actor, api_client, tmp_path: Path, lease_s: float, full_s: float, attempts: set
):
    if lease_s < 15 and connection.vendor != "sqlite":
        pytest.skip("the leases are on another disk")
    with counting(actor, tmp_path, lease_s=lease_s) as runs:
        wait_until(lambda: entries_of(runs) > 5 * RUNS, "the runs are under way")
        disk.fill()
        wait_until_nothing_is_written(runs)
        assert entries_of(runs) < RUNS * TURNS, "it came too late"
        large = {"n": 0, "log": [], "load": os.urandom(50_000).hex()}  # no hole is left for it
        refused = api_client.post("/api/v1/runs/", {"graph": str(runs[0].version.graph.uuid), "initial_state": large})
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1"), refused.content
        assert api_client.get(f"/api/v1/runs/{runs[0].uuid}/state/").status_code == 200
        time.sleep(full_s)
        disk.free()
    assert_counted_once(runs, tmp_path, attempts=attempts)
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            assert cursor.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
