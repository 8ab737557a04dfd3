"""Runs scenarios: each side in a process of its own, in turn, on a copy of one migrated database."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.scenarios import Scenario

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
TIMEOUT_S = 600

Figures = dict[str, list[float]]
"""The values of each repeat, by the figure's key."""


class ScenarioFailed(RuntimeError):
    """A side did not come to its end; the message is the end of what it said."""


@dataclass(slots=True)
class Outcome:
    """What a scenario measured on both sides."""

    ours: Figures = field(default_factory=dict)
    peer: Figures = field(default_factory=dict)
    failure: str = ""


class Runner:
    """Scratch files live beside the results, on the same disk as the project."""

    def __init__(self, scratch: Path, peer_python: Path | None) -> None:
        self._scratch = scratch
        self._peer_python = peer_python
        self._migrated = scratch / "migrated.sqlite3"
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
            cwd=ROOT,
            env=self._environment(self._migrated, {}),
            check=True,
        )

    def measure(self, scenario: Scenario, repeats: int) -> Outcome:
        """Repeat a scenario, ours and the peer's by turns, so that both see the same machine."""
        outcome = Outcome()
        try:
            for _ in range(repeats):
                _add(outcome.ours, self._measure_ours(scenario))
                if self._peer_python is not None and scenario.peer is not None:
                    _add(outcome.peer, self.ask_peer(self._peer_python, *scenario.peer))
        except ScenarioFailed as failure:
            outcome.failure = str(failure)
        return outcome

    def ask_peer(self, python: Path, measure: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        command = [str(python), "-m", "benchmarks.langgraph_side", measure, json.dumps(parameters)]
        return _run(command, cwd=self._scratch, env={**os.environ, "PYTHONPATH": str(ROOT)})

    def _measure_ours(self, scenario: Scenario) -> dict[str, float]:
        measure, parameters = scenario.ours
        with tempfile.TemporaryDirectory(dir=self._scratch) as directory:
            database = Path(shutil.copy(self._migrated, directory))
            environment = self._environment(database, scenario.environment)
            command = [sys.executable, "-m", "benchmarks.ours", measure, json.dumps(parameters)]
            return _run(command, cwd=ROOT, env=environment)

    def _environment(self, database: Path, changes: Mapping[str, str]) -> dict[str, str]:
        """Our settings as they ship, whatever the caller's environment says."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("WORKFLOW_")}
        inherited.pop("REDIS_URL", None)
        return {
            **inherited,
            "DATABASE_URL": f"sqlite:///{database}",
            "DEBUG": "0",
            "SECRET_KEY": secrets.token_urlsafe(48),
            "WORKFLOW_TOOL_MODULES": "benchmarks.tools",
            **changes,
        }


@contextmanager
def runner(peer_python: Path | None) -> Iterator[Runner]:
    RESULTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=RESULTS, prefix="scratch-") as scratch:
        yield Runner(Path(scratch), peer_python)


def _add(figures: Figures, values: Mapping[str, float]) -> None:
    for key, value in values.items():
        figures.setdefault(key, []).append(value)


def _run(command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> dict[str, Any]:
    try:
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    except subprocess.CalledProcessError as error:
        raise ScenarioFailed(error.stderr[-2000:]) from error
    except subprocess.TimeoutExpired as error:
        raise ScenarioFailed(f"It took longer than {TIMEOUT_S} s.") from error
    return json.loads(done.stdout.splitlines()[-1])
