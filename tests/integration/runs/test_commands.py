"""What the commands refuse before they start anything."""

import django.db
import pytest
from django.core.management import CommandError, call_command

from accounts.development import ensure_admin
from accounts.models import Membership, Organization, Role

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def start_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("nothing may be started")

    for command in ("worker", "serve"):
        monkeypatch.setattr(f"runs.management.commands.{command}.supervise", fail)
    monkeypatch.setattr("runs.cluster.run_pool", fail)
    monkeypatch.setattr("django.db.connections.close_all", lambda: None)  # the test's own transaction is on it


@pytest.mark.parametrize("command", ["worker", "qcluster"])
def test_workers_are_not_started_while_migrations_are_missing(command, monkeypatch):
    plan = [("runs.0002", False), ("runs.0003", False)]
    monkeypatch.setattr("runs.management.preflight.MigrationExecutor.migration_plan", lambda *_: plan)
    with pytest.raises(CommandError, match="The database lacks 2 migrations"):
        call_command(command)


@pytest.mark.parametrize("command", ["verify_runs", "prune_runs"])
def test_a_database_without_tables_is_said_and_no_traceback(command, monkeypatch):
    monkeypatch.setattr("runs.management.preflight.MigrationExecutor.migration_plan", lambda *_: [("runs.0001", False)])
    with pytest.raises(CommandError, match=r"The database lacks 1 migration\. Run `manage.py migrate` first"):
        call_command(command)


@pytest.mark.parametrize("command", ["worker", "qcluster"])
def test_workers_are_not_started_without_a_database(command, monkeypatch):
    def refuse(*_: object) -> None:
        raise django.db.OperationalError("unable to open database file")

    monkeypatch.setattr("runs.management.preflight.MigrationExecutor", refuse)
    with pytest.raises(CommandError, match="cannot be used: unable to open database file"):
        call_command(command)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1"])
def test_a_development_server_is_for_this_machine_only(host, settings):
    settings.DEBUG = True
    with pytest.raises(CommandError, match="without signing in"):
        call_command("serve", host=host, port=0)


def test_a_server_that_cannot_migrate_is_not_started(monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise django.db.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr("runs.management.commands.serve.call_command", refuse)
    with pytest.raises(CommandError, match="cannot be used: attempt to write a readonly database"):
        call_command("serve", port=0)


def test_the_admin_of_a_development_installation_is_made_once(client):
    password = ensure_admin()
    assert password is not None
    assert client.login(username="admin", password=password)
    membership = Membership.objects.get()
    assert (membership.organization.slug, membership.role) == (Organization.LOCAL, Role.ADMIN)
    assert membership.user.is_superuser
    assert ensure_admin() is None
    assert client.login(username="admin", password=password), "the password is not changed"
