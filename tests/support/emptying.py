"""Empties the database between tests that commit.

Django's own way takes PostgreSQL a second and more: it truncates every table, which makes each a new file, and then
emits `post_migrate`, which writes content types and permissions anew. Here only rows are deleted, where there are any.
"""

from functools import cache

from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import TransactionTestCase

from accounts.services import ensure_local_organization

KEPT = frozenset(model._meta.db_table for model in (ContentType, Permission))
"""What migrating has written and no test changes."""


def empty_databases(case: TransactionTestCase) -> None:
    """Stands in for `TransactionTestCase._fixture_teardown`."""
    for name in case._databases_names(include_mirrors=False):
        _empty(connections[name])
    ensure_local_organization()


def _empty(connection: BaseDatabaseWrapper) -> None:
    tables = [connection.ops.quote_name(table) for table in _tables() if table not in KEPT]
    filled = " UNION ALL ".join(f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {table})" for table in tables)  # noqa: S608
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.execute(filled)
        for (table,) in cursor.fetchall():  # in any order: foreign keys are looked at when the transaction ends
            cursor.execute(f"DELETE FROM {table}")  # noqa: S608


@cache
def _tables() -> list[str]:
    return connections["default"].introspection.django_table_names(only_existing=True, include_views=False)
