"""Whether the installation says truly that it can do work."""

from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from runs.driver import registration

pytestmark = pytest.mark.django_db


def test_live_whatever_is_missing(client: Client) -> None:
    assert client.get("/health/live").json() == {"status": "ok"}


def test_not_ready_without_a_driver(client: Client) -> None:
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "unavailable",
        "checks": {
            "database": "ok",
            "migrations": "ok",
            "drivers": "No driver is alive, so runs wait: start manage.py worker.",
        },
    }


def test_ready_with_a_driver(client: Client) -> None:
    registration.register(quarantine=False)
    answer = client.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"


def test_not_ready_while_the_database_does_not_answer(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        raise OperationalError("no connection")

    monkeypatch.setattr("django.db.backends.utils.CursorWrapper.execute", refuse)
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["checks"]["database"] == "The database does not answer."


def test_not_ready_while_migrations_are_missing(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = [("runs", "0002"), ("runs", "0003")]
    monkeypatch.setattr("workflowsite.health.MigrationExecutor.migration_plan", lambda *args: plan)
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["checks"]["migrations"] == "2 migrations are not applied: run manage.py migrate."
