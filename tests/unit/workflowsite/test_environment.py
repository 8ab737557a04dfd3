"""What the variables accept, and the sentence that ends the start where they do not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workflowsite.environment import read_environment


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("WORKFLOW_") or name in (
            "DEBUG",
            "SECRET_KEY",
            "ALLOWED_HOSTS",
            "DATABASE_URL",
            "REDIS_URL",
        ):
            monkeypatch.delenv(name)


def test_nothing_need_be_set() -> None:
    environment, limits = read_environment()
    assert environment.debug is False
    assert environment.allowed_hosts == ("localhost", "127.0.0.1", "[::1]")
    assert limits.max_json_depth == 64


def test_lists_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", "flows.example, .internal ,")
    monkeypatch.setenv("WORKFLOW_TOOL_MODULES", "shop.tools,billing.flows.tools")
    environment, limits = read_environment()
    assert environment.allowed_hosts == ("flows.example", ".internal")
    assert limits.tool_modules == ("shop.tools", "billing.flows.tools")


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DEBUG", "SECRET_KEY", "DATABASE_URL", "REDIS_URL", "WORKFLOW_LEASE_S"):
        monkeypatch.setenv(name, "")
    environment, limits = read_environment()
    assert (environment.secret_key, environment.database_url, environment.redis_url) == (None, None, None)
    assert limits.lease_s == 15


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("DEBUG", "perhaps", "give 1 or 0, not perhaps."),
        ("SECRET_KEY", "short", "at least 32 random characters"),
        ("ALLOWED_HOSTS", "https://flows.example", "leave out the scheme"),
        ("ALLOWED_HOSTS", "flows.example:8000", "leave out the scheme, the port"),
        ("DATABASE_URL", "mysql://root@localhost/flows", "SQLite file"),
        ("DATABASE_URL", "flows.sqlite3", "SQLite file"),
        ("DATABASE_URL", "sqlite://:memory:", "SQLite file"),
        ("DATABASE_URL", "sqlite:////nowhere/at/all/flows.sqlite3", "does not exist"),
        ("REDIS_URL", "localhost:6379", "such as redis://"),
        ("WORKFLOW_TOOL_MODULES", "shop/tools.py", "import path"),
        ("WORKFLOW_MAX_JSON_DEPTH", "0", "give at least 1, not 0."),
        ("WORKFLOW_MAX_STATE_BYTES", "16MiB", "give a whole number, not 16MiB."),
        ("WORKFLOW_LEASE_S", "nan", "give a finite number, not nan."),
        ("WORKFLOW_POLL_INTERVAL_S", "-1", "give more than 0, not -1."),
        ("WORKFLOW_SQLITE_SYNCHRONOUS", "OFF", "give 'NORMAL' or 'FULL', not OFF."),
        ("WORKFLOW_PROCESS_MEMORY_BYTES", str(256 * 1024 * 1024 - 1), "give at least 268435456, not 268435455."),
        ("WORKFLOW_PROCESS_CPU_S", "-1", "give at least 0, not -1."),
        ("WORKFLOW_MAX_HEARTBEAT_BYTES", "0", "give at least 1, not 0."),
        ("WORKFLOW_ATOMIC_LOCK_S", "10.1", "give at most 10, not 10.1."),
        ("WORKFLOW_MAX_STEP_PARTS", "0", "give at least 1, not 0."),
    ],
)
def test_nonsense_is_refused_with_the_variable_and_what_to_give(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as refusal:
        read_environment()
    assert str(refusal.value).startswith(f"The environment variable {name} is not usable: ")
    assert sentence in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WORKFLOW_LEASE_S", "8"),
        ("WORKFLOW_MAX_UPDATE_BYTES", str(17 * 1024**2)),
        ("WORKFLOW_MAX_DEFINITION_BYTES", str(11 * 1024**2)),
        ("WORKFLOW_MAX_LOG_LINE_BYTES", str(2 * 1024**2)),
    ],
)
def test_limits_must_fit_together(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=name):
        read_environment()


def test_a_misspelt_limit_is_refused_with_the_right_spelling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKFLOW_MAX_STAT_BYTES", "1000")
    with pytest.raises(SystemExit, match=r"Did you mean WORKFLOW_MAX_STATE_BYTES\?"):
        read_environment()


def test_every_complaint_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBUG", "perhaps")
    monkeypatch.setenv("WORKFLOW_LEASE_S", "soon")
    monkeypatch.setenv("WORKFLOW_NOTHING", "1")
    with pytest.raises(SystemExit) as refusal:
        read_environment()
    assert len(str(refusal.value).splitlines()) == 3


def test_outside_development_mode_a_secret_key_is_demanded() -> None:
    start = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=Path(__file__).resolve().parents[3],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert start.returncode == 1
    assert start.stderr == "Set SECRET_KEY to at least 32 random characters, or DEBUG=1 for development.\n"


@pytest.mark.parametrize(
    ("variable", "accepted", "refused"),
    [
        ("WORKFLOW_RETENTION_DAYS", ["0", "36500"], ["-1", "36501", "a month"]),
        ("WORKFLOW_WEBHOOK_TIMEOUT_S", ["0.1", "30"], ["0", "30.1"]),
        ("WORKFLOW_WEBHOOK_TRIES", ["1", "50"], ["0", "51"]),
        ("WORKFLOW_WEBHOOK_FIRST_RETRY_S", ["0.1"], ["0"]),
        ("WORKFLOW_WEBHOOK_LONGEST_RETRY_S", ["1"], ["0.9"]),
    ],
)
def test_what_becomes_of_runs_that_are_over_has_bounds(
    variable: str, accepted: list[str], refused: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in accepted:
        monkeypatch.setenv(variable, value)
        read_environment()
    for value in refused:
        monkeypatch.setenv(variable, value)
        with pytest.raises(SystemExit, match=variable):
            read_environment()
