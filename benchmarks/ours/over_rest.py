"""Runs submitted over HTTP to a real server with its workers (`manage.py serve`)."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from accounts.models import Role
from accounts.services import issue_api_key
from benchmarks import definitions
from benchmarks.ours.driving import MeasurementFailed, actor
from benchmarks.workload import elapsed, latency_figures, percentile
from runs.models import Run

PATIENCE_S = 60.0
LOOK_EVERY_S = 0.005
WARM_UP_RUNS = 10


class Client:
    """One kept-alive connection of a caller with an API key."""

    def __init__(self, url: str, key: str) -> None:
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE_S)
        self._headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}

    def get(self, path: str) -> tuple[int, Any]:
        return self._request("GET", path, None)

    def post(self, path: str, body: Any) -> Any:
        status, answer = self._request("POST", path, json.dumps(body))
        if status != 200:
            raise MeasurementFailed(f"POST {path} was answered with {status}: {answer}")
        return answer

    def _request(self, method: str, path: str, body: str | None) -> tuple[int, Any]:
        self._connection.request(method, path, body, self._headers)
        with self._connection.getresponse() as response:
            return response.status, json.load(response)

    def close(self) -> None:
        self._connection.close()


def rest_throughput(*, runs: int, threads: int) -> dict[str, float]:
    """Runs a second, from the first submit until all runs are over."""
    with server() as (url, key), closing(Client(url, key)) as client:
        graph = client.post("/graph/create", definitions.short_run())["graph_id"]
        body = {"graph_id": graph, "initial_state": {}}
        _warm_up(client, body)

        def submit(share: int) -> None:
            with closing(Client(url, key)) as own:
                for _ in range(share):
                    own.post("/graph/run", body)

        shares = [runs // threads + (number < runs % threads) for number in range(threads)]
        with ThreadPoolExecutor(threads) as pool:
            start_ns = time.perf_counter_ns()
            list(pool.map(submit, shares))
            submitted_s = elapsed(start_ns)
        _wait_until_over(WARM_UP_RUNS + runs)
        return {"runs_s": runs / elapsed(start_ns), "submits_s": runs / submitted_s}


def latency(*, submits: int, pause_s: float) -> dict[str, float]:
    """From the submit to the moment the first step's tool runs, on an idle server; and where that time goes."""
    submitted_ns: dict[str, int] = {}
    with server() as (url, key), closing(Client(url, key)) as client:
        graph = client.post("/graph/create", definitions.short_run())["graph_id"]
        body = {"graph_id": graph, "initial_state": {}}
        _warm_up(client, body)
        for _ in range(submits):
            time.sleep(pause_s)
            now_ns = time.time_ns()
            submitted_ns[client.post("/graph/run", body)["run_id"]] = now_ns
        _wait_until_over(WARM_UP_RUNS + submits)
        waits_s, accepted_s, claimed_s = [], [], []
        for run in Run.objects.filter(uuid__in=submitted_ns):
            _, answer = client.get(f"/graph/state/{run.uuid}")
            start_ns = submitted_ns[str(run.uuid)]
            waits_s.append((answer["current_state"]["stamped_ns"] - start_ns) / 1e9)
            accepted_s.append(run.created_at.timestamp() - start_ns / 1e9)
            claimed_s.append((run.started_at - run.created_at).total_seconds())
    return {
        **latency_figures(waits_s),
        "submit_to_created_p50_ms": percentile(accepted_s, 50) * 1000,
        "created_to_claimed_p50_ms": percentile(claimed_s, 50) * 1000,
    }


@contextmanager
def server() -> Iterator[tuple[str, str]]:
    """A server on a free port and an API key for it. Outside development mode, as it would be deployed."""
    _, key = issue_api_key(name="benchmark", role=Role.ADMIN, actor=actor())
    command = [sys.executable, "manage.py", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "DEBUG": "0"}) as process:
        assert process.stdout is not None
        try:
            url = next(word for line in process.stdout for word in line.split() if word.startswith("http://"))
            _wait_until_ready(url, key)
            yield url, key
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def _wait_until_ready(url: str, key: str) -> None:
    start_ns = time.perf_counter_ns()
    while elapsed(start_ns) < PATIENCE_S:
        with closing(Client(url, key)) as client:
            try:
                if client.get("/health/ready")[0] == 200:
                    return
            except (OSError, json.JSONDecodeError):
                pass
        time.sleep(0.1)
    raise MeasurementFailed(f"The server was not ready after {PATIENCE_S:.0f} s.")


def _warm_up(client: Client, body: dict[str, Any]) -> None:
    for _ in range(WARM_UP_RUNS):
        client.post("/graph/run", body)
    _wait_until_over(WARM_UP_RUNS)


def _wait_until_over(runs: int) -> None:
    """Look into the database rather than ask the server, which has other things to do."""
    start_ns = time.perf_counter_ns()
    with closing(sqlite3.connect(settings.DATABASES["default"]["NAME"])) as database:
        while elapsed(start_ns) < PATIENCE_S:
            rows = database.execute("SELECT status, count(*) FROM runs_run GROUP BY status").fetchall()
            counts = dict(rows)
            if counts.get("failed"):
                raise MeasurementFailed("A measured run has failed.")
            if counts.get("completed", 0) >= runs:
                return
            time.sleep(LOOK_EVERY_S)
    raise MeasurementFailed(f"The runs were not over after {PATIENCE_S:.0f} s: {counts}")
