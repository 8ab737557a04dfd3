"""The seam between drivers and a database."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from django.db import connections

from runs.store.writes import EventRow, RunWrite, StepRow

OPEN_STEPS = """
SELECT step, node, path, status, attempt, scheduled_seq, scheduled_at, started_at, finished_seq, finished_at, error
FROM runs_step WHERE run_id = %s AND status IN ('running', 'waiting', 'failed')
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedRun:
    """A run that this driver now holds, under `epoch`."""

    id: int
    uuid: uuid.UUID
    version_id: int
    status: str
    epoch: int
    seq: int
    durability: str
    quarantined: bool
    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """An unread message to a run."""

    id: int
    run_id: int
    kind: str
    payload: str
    actor: str


class Store(Protocol):
    """What a driver needs of a database. Each method is one short transaction; `StoreError` means: try again."""

    def claim(self, *, driver_id: int, limit: int, now: datetime, quarantine: bool) -> list[ClaimedRun]:
        """Take up to `limit` due runs, each by a conditional update that raises its epoch."""

    def commit(self, writes: Sequence[RunWrite]) -> set[int]:
        """Write all or nothing, then ring the watchers of what was written.

        Return the ids of runs that another driver owns, of which nothing was written.
        """

    def events(self, run_id: int, *, after: int = 0) -> list[EventRow]:
        """The journal of a run after `after`, in order."""

    def snapshots(self, run_id: int) -> list[tuple[int, int]]:
        """Seq and size of each snapshot, oldest first."""

    def snapshot(self, run_id: int, seq: int) -> str:
        """The text of one snapshot."""

    def journal_size(self, run_id: int) -> int:
        """How much the entries of a run hold together. Reads all of them."""

    def head(self, run_id: int) -> tuple[int, int] | None:
        """The epoch and the seq of a run, to find out whether a write whose answer was lost has arrived.

        None for a run that was deleted.
        """

    def open_steps(self, run_id: int) -> list[StepRow]:
        """The rows of steps that may still change."""

    def unread_mail(self, run_ids: Iterable[int]) -> list[Mail]:
        """Messages not yet taken in, in order."""

    def close(self) -> None:
        """Give the connection back. The store cannot be used afterwards."""


def open_store(*, busy_timeout_s: float = 20.0) -> Store:
    """A store with a connection of its own to Django's default database.

    `busy_timeout_s` is how long a write waits for SQLite's write lock before it raises `StoreBusy`. Opening blocks
    and must not be called on an event loop.
    """
    wrapper: Any = connections["default"].copy()
    if wrapper.vendor == "sqlite":
        from runs.store.sqlite import SqliteStore

        return SqliteStore(wrapper.get_new_connection(wrapper.get_connection_params()), busy_timeout_s)
    from runs.store.postgres import PostgresStore

    parameters = {**wrapper.get_connection_params(), "autocommit": True}
    return PostgresStore(lambda: wrapper.Database.connect(**parameters))
