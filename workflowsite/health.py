"""Whether this installation lives, and whether it can do work, for load balancers and people."""

from __future__ import annotations

from collections.abc import Callable

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from runs.driver import registration


class _NotReady(Exception):
    """What is missing, and what to do about it."""


@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """200 as long as the web process answers."""
    return JsonResponse({"status": "ok"})


@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """200 when runs can be started and will be executed; else 503, and what is missing."""
    checks = {}
    for name, check in _CHECKS.items():
        try:
            check()
        except _NotReady as reason:
            checks[name] = str(reason)
        except DatabaseError:
            checks[name] = "The database does not answer."
        else:
            checks[name] = "ok"
    is_ready = set(checks.values()) == {"ok"}
    body = {"status": "ok" if is_ready else "unavailable", "checks": checks}
    return JsonResponse(body, status=200 if is_ready else 503)


def _reach_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _find_all_migrations_applied() -> None:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        raise _NotReady(f"{len(missing)} migrations are not applied: run manage.py migrate.")


def _find_live_driver() -> None:
    if not registration.is_any_alive():
        raise _NotReady("No driver is alive, so runs wait: start manage.py worker.")


_CHECKS: dict[str, Callable[[], None]] = {
    "database": _reach_database,
    "migrations": _find_all_migrations_applied,
    "drivers": _find_live_driver,
}
