"""Redis goes away and comes back, empty: runs go on, are started and are watched as if it had not."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from accounts.models import Role
from accounts.services import issue_api_key
from graphs import services as graphs
from runs import selectors
from runs.models import Driver, Event, Run
from tests.durability import rough_tools as _rough_tools  # noqa: F401 - registers the tools here, too
from tests.durability import sabotage as _sabotage  # noqa: F401 - and here
from tests.durability.judging import assert_completed_once, calls_of
from tests.integration.stream.server import Server, receive_all, running_server, seqs
from tests.support.processes import managing
from tests.support.redis import OwnRedis, own_redis
from tests.support.runs import definition, finish, start
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

ANSWERED_WITHIN_S = 10
RUNS = 3
TURNS = 40

#   s ──► a ⟲ (forty turns) ──► c ──► j      c: its result is looked for in Redis
#    └──► w (until the test lets it go) ──► j
NODES = {
    "s": {"next": ["a", "w"]},
    "a": {"tool": "count", "next": {"condition": f"n >= {TURNS}", "if_true": "c", "if_false": "a"}},
    "c": {"tool": "doubled", "inputs": {"n": "= n"}, "cache": {"ttl_s": 60}, "next": "j"},
    "w": {"tool": "wait_for_file", "next": "j"},
    "j": {"join": "all"},
}
SCHEMA = {"reducers": {"log": "append"}}


def post_run(server: Server, key: str, graph: object, state: dict) -> Run:
    answer = requests.post(
        f"{server.origin}/api/v1/runs/",
        json={"graph": str(graph), "initial_state": state},
        headers={"Authorization": f"Bearer {key}"},
        timeout=ANSWERED_WITHIN_S,
    )
    assert answer.status_code == 201, answer.text
    return Run.objects.get(uuid=answer.json()["id"])


@pytest.mark.parametrize(
    ("leave", "return_"),
    [(OwnRedis.kill, OwnRedis.start), (OwnRedis.pause, OwnRedis.go_on)],
    ids=["killed", "silent"],
)
def test_runs_go_on_without_redis_and_with_it_again(
    actor, tmp_path: Path, leave: Callable[[OwnRedis], None], return_: Callable[[OwnRedis], None]
):
    (tmp_path / "calls").touch()
    _, key = issue_api_key(name="watcher", role=Role.OPERATOR, actor=actor)
    with (
        own_redis(tmp_path) as redis,
        running_server(REDIS_URL=redis.url) as server,
        managing(
            "worker",
            "--workers=1",
            REDIS_URL=redis.url,
            WORKFLOW_TOOL_MODULES="tests.durability.sabotage,tests.durability.rough_tools",
            WORKFLOW_BEAT_INTERVAL_S="0.5",
            SABOTAGE_FOLDER=str(tmp_path),
        ),
    ):
        wait_until(lambda: Driver.objects.count() == 2, "both drivers are up")
        early, late = ({"n": 0, "log": [], "path": str(tmp_path / name)} for name in ("early", "late"))
        runs = [start(actor, NODES, early, state=SCHEMA) for _ in range(RUNS)]
        watched = start(actor, NODES, late, state=SCHEMA)
        with server.watch(watched.uuid, "?after=0", key=key) as socket:
            entries = Event.objects.filter(run__in=runs)
            wait_until(lambda: entries.count() > 5 * RUNS, "the runs are under way")
            leave(redis)
            graph = graphs.create_graph(definition=definition(NODES, state=SCHEMA), actor=actor).graph
            runs.append(post_run(server, key, graph.uuid, early))
            (tmp_path / "early").touch()
            for run in runs:
                assert finish(run).status == Run.Status.COMPLETED, run.error
            os.kill(Driver.objects.get(quarantine=False).pid, signal.SIGKILL)
            wait_until(Run.objects.filter(pk=watched.pk, driver__quarantine=True).exists, "the other driver goes on")
            return_(redis)
            wait_until(Driver.objects.filter(quarantine=False).exists, "the dead driver is replaced")
            runs.append(post_run(server, key, graph.uuid, early))
            assert finish(runs[-1]).status == Run.Status.COMPLETED, runs[-1].error
            (tmp_path / "late").touch()
            assert finish(watched).status == Run.Status.COMPLETED, watched.error
            assert seqs(receive_all(socket)) == list(range(1, watched.seq + 1))
    for run in [*runs, watched]:
        values = selectors.current_state(run).values
        assert (values["n"], values["log"], values["doubled"]) == (TURNS, list(range(TURNS)), 2 * TURNS)
        assert_completed_once(run)
        calls = calls_of(run, tmp_path)
        assert len(set(calls)) == len(calls), "no attempt is made twice"
