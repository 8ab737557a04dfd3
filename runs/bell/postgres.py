"""The bell on PostgreSQL: LISTEN/NOTIFY, which reaches every host.

Hints go out on a connection of their own and not in the transaction of a step, which would make the steps of all
drivers wait for one another: docs/adr/0004-notify-outside-the-steps-transaction.md.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any

import psycopg
from django.db import connections

from runs.bell.channels import CHANNELS, Hint, Role, encode
from runs.bell.outbox import Batch, Outbox
from runs.bell.remote import heard

_NOTIFY = "SELECT pg_notify(channel, payload) FROM unnest(%s::text[], %s::text[]) AS hint (channel, payload)"


class PostgresBell:
    def __init__(self) -> None:
        self._outbox = Outbox(_connected)

    def ring(self, role: Role, hint: Hint) -> None:
        self._outbox.put(role, hint)

    def close(self) -> None:
        self._outbox.close()

    def listen(self, role: Role, on_hint: Callable[[Hint], None]) -> AbstractAsyncContextManager[None]:
        return heard(lambda: _payloads(CHANNELS[role]), on_hint, (psycopg.Error, OSError))


@contextmanager
def _connected() -> Iterator[Callable[[Batch], None]]:
    with psycopg.Connection.connect(**_parameters(), autocommit=True) as connection:

        def notify(batch: Batch) -> None:
            channels = [CHANNELS[role] for role, _ in batch]
            connection.execute(_NOTIFY, (channels, [encode(hint) for _, hint in batch]))

        yield notify


async def _payloads(channel: str) -> AsyncGenerator[str, None]:
    async with await psycopg.AsyncConnection.connect(**_parameters(), autocommit=True) as connection:
        await connection.execute(f"LISTEN {channel}")
        yield ""
        async for notification in connection.notifies():
            yield notification.payload


def _parameters() -> dict[str, Any]:
    """What Django connects with, without what concerns its cursors and types."""
    parameters = connections["default"].get_connection_params()
    for key in ("context", "cursor_factory", "prepare_threshold"):
        parameters.pop(key, None)
    return parameters
