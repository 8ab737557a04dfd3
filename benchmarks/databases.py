"""Fresh databases: each side of a scenario has one of its own, ours with our tables."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

Migrate = Callable[[str], None]
"""Makes our tables in the database of a URL."""


class Databases(Protocol):
    def ours(self) -> AbstractContextManager[str]:
        """The URL of a database with our tables, gone afterwards."""

    def peers(self) -> AbstractContextManager[str | None]:
        """The URL of an empty database, gone afterwards; None where the peer makes its own."""


class SqliteDatabases:
    """Files on the same disk as the project."""

    def __init__(self, scratch: Path, migrate: Migrate) -> None:
        self._scratch = scratch
        self._migrated = scratch / "migrated.sqlite3"
        migrate(f"sqlite:///{self._migrated}")

    @contextmanager
    def ours(self) -> Iterator[str]:
        with tempfile.TemporaryDirectory(dir=self._scratch) as directory:
            yield f"sqlite:///{shutil.copy(self._migrated, directory)}"

    @contextmanager
    def peers(self) -> Iterator[None]:
        yield None


class PostgresDatabases:
    """Databases of a server. Its URL names any database of it whose user may create others."""

    def __init__(self, server: str, migrate: Migrate) -> None:
        self._server = server
        self._prefix = f"bench_{secrets.token_hex(4)}"
        self._migrated = f"{self._prefix}_migrated"
        self._execute("CREATE DATABASE {}", self._migrated)
        try:
            migrate(self._url(self._migrated))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._execute("DROP DATABASE {} WITH (FORCE)", self._migrated)

    @contextmanager
    def ours(self) -> Iterator[str]:
        with self._fresh("CREATE DATABASE {} TEMPLATE {}", self._migrated) as url:
            yield url

    @contextmanager
    def peers(self) -> Iterator[str]:
        with self._fresh("CREATE DATABASE {}") as url:
            yield url

    @contextmanager
    def _fresh(self, statement: str, *names: str) -> Iterator[str]:
        name = f"{self._prefix}_{secrets.token_hex(4)}"
        self._execute(statement, name, *names)
        try:
            yield self._url(name)
        finally:
            self._execute("DROP DATABASE {} WITH (FORCE)", name)

    def _url(self, name: str) -> str:
        return urlunsplit(urlsplit(self._server)._replace(path=f"/{name}"))

    def _execute(self, statement: str, *names: str) -> None:
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
