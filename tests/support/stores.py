"""The store that drivers of the tests have."""

from typing import Any

from django.db import connection

from runs.store.postgres import PostgresStore
from runs.store.sqlite import SqliteStore


def store_class() -> Any:
    """The class whose methods a test may watch or hinder."""
    return {"sqlite": SqliteStore, "postgresql": PostgresStore}[connection.vendor]
