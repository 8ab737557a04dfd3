"""A whole installation on a database of its own, and a browser to look at it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parent.parent.parent
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
BUILT = ROOT / "frontend" / "dist" / "manifest.json"
START_S = 60

expect.set_options(timeout=20_000)  # a slow or busy machine is no failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What `manage.py serve` serves in development mode."""

    url: str
    password: str
    """Of the user admin."""

    def create(self, nodes: dict[str, Any], *, name: str = "graph", **more: Any) -> str:
        definition = {"name": name, "start_node": next(iter(nodes)), "nodes": nodes, **more}
        return self._post("graph/create", definition)["graph_id"]

    def start(self, graph: str, **state: Any) -> str:
        return self._post("graph/run", {"graph_id": graph, "initial_state": state})["run_id"]

    def start_held(self, graph: str, *, at: str) -> str:
        """A run that a breakpoint holds before a node."""
        body = {"graph": graph, "breakpoints": [{"node": at}]}
        answer = requests.post(f"{self.url}api/v1/runs/", json=body, timeout=20)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def ask(self, run: str, verb: str, **body: Any) -> None:
        """What a control verb, or a patch, asks of a run over REST."""
        answer = requests.post(f"{self.url}api/v1/runs/{run}/{verb}/", json=body, timeout=20)
        assert answer.ok, answer.text

    def finish(self, run: str) -> dict[str, Any]:
        """Wait for the end of a run."""
        while (answer := self._get(f"graph/state/{run}"))["status"] == "running":
            pass
        return answer

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = requests.post(self.url + path, json=body, timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def _get(self, path: str) -> dict[str, Any]:
        return requests.get(self.url + path, timeout=20).json()


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("installation")
    process = subprocess.Popen(
        [sys.executable, "manage.py", "serve", "--port", "0", "--workers", "1"],
        cwd=ROOT,
        env={
            **os.environ,
            "DEBUG": "1",
            "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
            "PYTHONUNBUFFERED": "1",
            "WORKFLOW_TOOL_MODULES": "tests.durability.rough_tools",
            "WORKFLOW_STOP_GRACE_S": "0.5",  # tests leave runs behind that would go on for minutes
        },
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        said = ""
        while not (url := re.search(r"Serving on (\S+) ", said)):
            line = process.stdout.readline()
            assert line, f"The server did not start: {said}"
            said += line
        password = re.search(r"password (\S+) ", said)
        assert password
        wait_until_ready(url[1])
        yield Installation(url=url[1], password=password[1])
    finally:
        process.terminate()
        try:
            process.wait(30)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def wait_until_ready(url: str) -> None:
    session = requests.Session()
    retries = requests.adapters.Retry(
        total=None, connect=200, status=200, backoff_factor=0.1, backoff_max=0.3, status_forcelist=[503]
    )
    session.mount(url, requests.adapters.HTTPAdapter(max_retries=retries))
    session.get(f"{url}health/ready", timeout=START_S).raise_for_status()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Not longer than a module: as long as Playwright runs, Django takes this thread for that of an event loop.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser, installation: Installation) -> Iterator[BrowserContext]:
    context = browser.new_context(base_url=installation.url)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page on which nothing goes wrong unnoticed: neither a script's error nor a breach of the policy."""
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    page = context.new_page()
    page.on("console", note)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    assert complaints == []
