"""Runs scenarios: each side in a process of its own, in turn, on a copy of one migrated database."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.databases import Databases, PostgresDatabases, SqliteDatabases
from benchmarks.scenario import Scenario

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
QUESTION_TIMEOUT_S = 60

Figures = dict[str, list[float]]
"""The values of each repeat, by the figure's key."""


class ScenarioFailed(RuntimeError):
    """A side did not come to its end; the message is the end of what it said."""


class ScenarioSkipped(RuntimeError):
    """The scenario cannot be measured here or yet; the message is a sentence that says why."""


@dataclass(slots=True)
class Outcome:
    """What a scenario measured on both sides."""

    ours: Figures = field(default_factory=dict)
    peer: Figures = field(default_factory=dict)
    failure: str = ""
    skipped: str = ""
    """Why it was not measured."""


class Runner:
    """Scratch files live beside the results, on the same disk as the project."""

    def __init__(self, scratch: Path, databases: Mapping[str, Databases], peer_python: Path | None) -> None:
        self._scratch = scratch
        self._databases = databases
        self._peer_python = peer_python

    def measure(self, scenario: Scenario, repeats: int) -> Outcome:
        """Repeat a scenario, ours and the peer's by turns, so that both see the same machine."""
        outcome = Outcome()
        try:
            for _ in range(repeats):
                _add(outcome.ours, self._measure_ours(scenario))
                if self._peer_python is not None and scenario.peer is not None:
                    _add(outcome.peer, self._measure_peer(self._peer_python, scenario, *scenario.peer))
        except ScenarioFailed as failure:
            outcome.failure = str(failure)
        except ScenarioSkipped as reason:
            outcome.skipped = str(reason)
        return outcome

    def ask_peer(self, python: Path, question: str) -> dict[str, Any]:
        """The answer to a question that needs no database."""
        return self._run_peer(python, question, {}, url=None, timeout_s=QUESTION_TIMEOUT_S)

    def _measure_peer(
        self, python: Path, scenario: Scenario, measure: str, parameters: Mapping[str, Any]
    ) -> dict[str, float]:
        with self._databases[scenario.database].peers() as url:
            return self._run_peer(python, measure, parameters, url=url, timeout_s=scenario.timeout_s)

    def _run_peer(
        self, python: Path, measure: str, parameters: Mapping[str, Any], *, url: str | None, timeout_s: float
    ) -> dict[str, Any]:
        environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        environment |= {"PYTHONPATH": str(ROOT)} | ({"DATABASE_URL": url} if url else {})
        command = [str(python), "-m", "benchmarks.langgraph_side", measure, json.dumps(parameters)]
        return _run(command, cwd=self._scratch, env=environment, timeout_s=timeout_s)

    def _measure_ours(self, scenario: Scenario) -> dict[str, float]:
        if scenario.database not in self._databases:
            raise ScenarioSkipped("No PostgreSQL server was named with --postgres.")
        measure, parameters = scenario.ours
        with self._databases[scenario.database].ours() as url:
            command = [sys.executable, "-m", "benchmarks.ours", measure, json.dumps(parameters)]
            environment = _environment(url, scenario.environment)
            figures = _run(command, cwd=ROOT, env=environment, timeout_s=scenario.timeout_s)
        if "skipped" in figures:
            raise ScenarioSkipped(figures["skipped"])
        return figures


@contextmanager
def runner(peer_python: Path | None, postgres: str | None = None) -> Iterator[Runner]:
    """`postgres` is the URL of a server for the scenarios that need one."""
    RESULTS.mkdir(exist_ok=True)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=RESULTS, prefix="scratch-")))
        databases: dict[str, Databases] = {"sqlite": SqliteDatabases(scratch, _migrate)}
        if postgres is not None:
            databases["postgres"] = stack.enter_context(closing(PostgresDatabases(postgres, _migrate)))
        yield Runner(scratch, databases, peer_python)


def _migrate(url: str) -> None:
    command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(command, cwd=ROOT, env=_environment(url, {}), check=True)


def _environment(url: str, changes: Mapping[str, str]) -> dict[str, str]:
    """Our settings as they ship, whatever the caller's environment says."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WORKFLOW_")}
    inherited.pop("REDIS_URL", None)
    return {
        **inherited,
        "DATABASE_URL": url,
        "DEBUG": "0",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "WORKFLOW_TOOL_MODULES": "benchmarks.tools",
        **changes,
    }


def _add(figures: Figures, values: Mapping[str, float]) -> None:
    for key, value in values.items():
        figures.setdefault(key, []).append(value)


def _run(command: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout_s: float) -> dict[str, Any]:
    try:
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout_s, check=True)
    except subprocess.CalledProcessError as error:
        raise ScenarioFailed(error.stderr[-2000:]) from error
    except subprocess.TimeoutExpired as error:
        raise ScenarioFailed(f"It took longer than {timeout_s:g} s.") from error
    return json.loads(done.stdout.splitlines()[-1])
