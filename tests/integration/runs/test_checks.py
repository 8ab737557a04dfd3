"""The system checks fire on settings that would lose or double runs, and on nothing else."""

from copy import deepcopy
from typing import Any

import pytest
from django.conf import settings as project
from django.db import connection
from pytest_django.fixtures import Settings

from runs.checks import check_hosts, check_settings
from runs.driver import registration
from runs.models import Driver

SQLITE = {
    "ENGINE": "django.db.backends.sqlite3",
    "OPTIONS": {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL;"},
}


def ids(messages: list[Any]) -> list[str]:
    return [message.id for message in messages]


def test_the_projects_own_settings_pass() -> None:
    assert check_settings() == []


@pytest.mark.filterwarnings("ignore:Overriding setting DATABASES")
@pytest.mark.parametrize(
    ("database", "tickets", "found"),
    [
        ({**SQLITE, "OPTIONS": {}}, {}, ["runs.E001"]),
        ({**SQLITE, "OPTIONS": {**SQLITE["OPTIONS"], "transaction_mode": "DEFERRED"}}, {}, ["runs.E001"]),
        ({"ENGINE": "django.db.backends.postgresql"}, {}, []),
        ({**SQLITE, "ATOMIC_REQUESTS": True}, {}, ["runs.E002"]),
        (SQLITE, {"max_attempts": 0}, ["runs.E003"]),
        (SQLITE, {"ack_failures": False}, ["runs.E003"]),
        (SQLITE, {"timeout": 60}, ["runs.E003"]),
        (SQLITE, {"retry": 60}, ["runs.E004"]),
    ],
)
def test_dangerous_settings_are_named(
    settings: Settings, database: dict[str, Any], tickets: dict[str, Any], found: list[str]
) -> None:
    cluster = deepcopy(project.Q_CLUSTER)
    settings.DATABASES = {"default": database}
    settings.Q_CLUSTER = {**cluster, **tickets}
    assert ids(check_settings()) == found


@pytest.mark.django_db
def test_drivers_of_several_hosts_need_a_database_server() -> None:
    driver = registration.register(quarantine=False)
    assert check_hosts(databases=["default"]) == []

    Driver.objects.create(
        host="another-host",
        boot_id="b",
        pid_namespace="n",
        pid=1,
        process_started="1",
        started_at=driver.started_at,
        beat_at=driver.beat_at,
    )
    refused = ["runs.E005"] if connection.vendor == "sqlite" else []
    assert ids(check_hosts(databases=["default"])) == refused
    assert check_hosts(databases=[]) == []
