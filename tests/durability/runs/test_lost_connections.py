"""PostgreSQL cuts every connection again and again, as in a restart, and nobody but the log notices."""

from pathlib import Path

import pytest
import requests
from django.db import connection

from accounts.models import Role
from accounts.services import issue_api_key
from runs import selectors
from runs.models import Driver, Event, Run
from tests.durability import rough_tools as _rough_tools  # noqa: F401 - registers the tools here, too
from tests.durability import sabotage as _sabotage  # noqa: F401 - and here
from tests.durability.judging import assert_completed_once, calls_of
from tests.integration.stream.server import Server, receive_all, running_server, seqs
from tests.support.processes import managing
from tests.support.runs import finish, start
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.slow,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no server"),
]

EXIT_WITHIN_S = 30
CUTS = 25
RUNS = 6
TURNS = 40

#   s ──► a ⟲ (forty turns) ──► j
#    └──► b ────────────────────┘
NODES = {
    "s": {"next": ["a", "b"]},
    "a": {"tool": "count", "next": {"condition": f"n >= {TURNS}", "if_true": "j", "if_false": "a"}},
    "b": {"tool": "count", "inputs": {"n": 100}, "outputs": {"log": "= result.log"}, "next": "j"},
    "j": {"join": "all"},
}


def cut_all_connections() -> int:
    """Cut all but this process's; return how many those were."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return cursor.fetchone()[0]


def cut_at_every_progress(runs: list[Run]) -> int:
    """Cut whenever the runs have come further since the last time; return how many connections were cut."""
    entries = Event.objects.filter(run__in=runs)
    cut = 0
    for _ in range(CUTS):
        before = entries.count()
        cut += cut_all_connections()
        wait_until(lambda before=before: entries.count() > before, "the runs go on")
    return cut


def follow_to_the_end(server: Server, run: Run, key: str) -> list[int]:
    """Watch a run, coming back with the last seq whenever the socket is closed before the end; the seqs."""
    got: list[int] = []
    while True:
        with server.watch(run.uuid, f"?after={got[-1] if got else 0}", key=key) as client:
            messages = receive_all(client)
        got += seqs(messages)
        if messages and messages[-1]["type"] == "end":
            return got


def test_runs_end_as_if_nothing_had_happened(actor, tmp_path: Path):
    (tmp_path / "calls").touch()
    _, key = issue_api_key(name="watcher", role=Role.VIEWER, actor=actor)
    with (
        running_server() as server,
        managing(
            "worker",
            "--workers=1",
            WORKFLOW_TOOL_MODULES="tests.durability.sabotage,tests.durability.rough_tools",
            WORKFLOW_BEAT_INTERVAL_S="0.5",
            SABOTAGE_FOLDER=str(tmp_path),
        ) as cluster,
    ):
        wait_until(lambda: Driver.objects.count() == 2, "both drivers are up")
        drivers = set(Driver.objects.values_list("pid", flat=True))
        slow = start(actor, {"w": {"tool": "wait_for_file"}}, {"path": str(tmp_path / "go")})
        runs = [start(actor, NODES, {"n": 0, "log": []}, state={"reducers": {"log": "append"}}) for _ in range(RUNS)]
        with server.watch(runs[0].uuid, "?after=0", key=key) as early:
            assert cut_at_every_progress(runs) > CUTS
            for run in runs:
                assert finish(run).status == Run.Status.COMPLETED, run.error
            # Without a gap, until it was told to come back, or to the end.
            got = seqs(receive_all(early))
        assert got == list(range(1, len(got) + 1))
        assert follow_to_the_end(server, runs[0], key) == list(range(1, runs[0].seq + 1))
        cut_all_connections()
        (tmp_path / "go").touch()
        assert finish(slow).status == Run.Status.COMPLETED, slow.error
        cut_all_connections()
        answer = requests.get(
            f"{server.origin}/api/v1/runs/{slow.uuid}/state/", headers={"Authorization": f"Bearer {key}"}, timeout=20
        )
        assert answer.json()["values"]["seen"] is True
        assert set(Driver.objects.values_list("pid", flat=True)) == drivers, "no driver had to be replaced"
        cluster.terminate()
        assert cluster.wait(EXIT_WITHIN_S) == 0
    assert not Driver.objects.exists(), "the drivers ended in good order"
    assert_completed_once(slow)
    for run in runs:
        assert selectors.current_state(run).values == {"n": TURNS, "log": [*range(TURNS), 100]}
        assert_completed_once(run)
        calls = calls_of(run, tmp_path)
        assert len(set(calls)) == len(calls) == TURNS + 1, "no tool is called again"
        assert {attempt for _, attempt in calls} == {1}
