"""Many runs at once over REST against `manage.py serve`."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.acceptance.test_serve import serving
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

RUNS = 60
CLIENTS = 8
NODES = {
    f"n{number}": {"outputs": {"n": "= n + 1"}, "next": "end" if number == 4 else f"n{number + 1}"}
    for number in range(5)
}


def test_all_runs_that_eight_clients_start_at_once_complete(tmp_path: Path):
    with serving(tmp_path / "db.sqlite3") as server:

        def start(number: int) -> requests.Response:
            body = {"graph": "five", "initial_state": {"n": number}}
            return requests.post(f"{server.url}api/v1/runs/", json=body, timeout=60)

        def look(run: str) -> dict[str, Any]:
            answer = requests.get(f"{server.url}graph/state/{run}", timeout=60)
            assert answer.status_code == 200, answer.text
            return answer.json()

        definition = {"name": "five", "start_node": "n0", "nodes": NODES}
        assert requests.post(f"{server.url}graph/create", json=definition, timeout=60).status_code == 200
        with ThreadPoolExecutor(CLIENTS) as clients:
            answers = list(clients.map(start, range(RUNS)))
        assert Counter(answer.status_code for answer in answers) == {201: RUNS}, [answer.text for answer in answers]
        runs = [answer.json()["id"] for answer in answers]
        assert len(set(runs)) == RUNS
        for number, run in enumerate(runs):
            wait_until(lambda run=run: look(run)["status"] != "running", f"{run} is over")
            assert (look(run)["status"], look(run)["current_state"]) == ("completed", {"n": number + 5})
