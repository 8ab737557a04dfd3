"""System checks of the settings without which runs are lost, doubled or slow. `manage.py check` shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connections

from runs.models import Driver

_A_DAY_S = 24 * 3600


@register(Tags.compatibility)
def check_settings(**kwargs: Any) -> list[CheckMessage]:
    database, tickets = settings.DATABASES["default"], getattr(settings, "Q_CLUSTER", {})
    messages: list[CheckMessage] = []
    if database["ENGINE"] == "django.db.backends.sqlite3":
        options = database.get("OPTIONS", {})
        if options.get("transaction_mode") != "IMMEDIATE" or "journal_mode=WAL" not in options.get("init_command", ""):
            messages.append(
                Error(
                    "SQLite is not in WAL mode with IMMEDIATE transactions.",
                    hint="Set OPTIONS['transaction_mode'] = 'IMMEDIATE' and PRAGMA journal_mode=WAL in init_command, "
                    "or drivers and requests fail with 'database is locked'.",
                    id="runs.E001",
                )
            )
    if database.get("ATOMIC_REQUESTS"):
        messages.append(
            Error(
                "ATOMIC_REQUESTS is on.",
                hint="Turn it off: services open their own transactions, and a request that waits for a run would "
                "hold one open for as long.",
                id="runs.E002",
            )
        )
    if tickets.get("max_attempts") != 1 or not tickets.get("ack_failures") or tickets.get("timeout") is not None:
        messages.append(
            Error(
                "django-q2 would repeat or kill the tasks that drivers live in.",
                hint="Set max_attempts=1, ack_failures=True and timeout=None in Q_CLUSTER.",
                id="runs.E003",
            )
        )
    if tickets.get("retry", 60) < _A_DAY_S:
        messages.append(
            Error(
                "django-q2 would hand out a driver's ticket again while the driver runs.",
                hint="Set retry in Q_CLUSTER to far more seconds than a driver lives, such as 2**31 - 1.",
                id="runs.E004",
            )
        )
    return messages


@register(Tags.database)
def check_hosts(*, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Drivers of several hosts cannot share a SQLite file: its locks do not work over a network."""
    if "default" not in (databases or ()) or connections["default"].vendor != "sqlite":
        return []
    if Driver._meta.db_table not in connections["default"].introspection.table_names():
        return []
    hosts = sorted(Driver.objects.values_list("host", flat=True).distinct())
    if len(hosts) < 2:
        return []
    return [
        Error(
            f"Drivers of several hosts work on one SQLite file: {', '.join(hosts)}.",
            hint="Set DATABASE_URL to PostgreSQL, and REDIS_URL for the queue and the cache that the hosts share.",
            id="runs.E005",
        )
    ]
