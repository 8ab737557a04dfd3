"""The doorbell between the processes of an installation: hints that there is something new in the database.

Three ways to ring, chosen by what the installation has: PostgreSQL's LISTEN/NOTIFY, Redis pub/sub where there is a
REDIS_URL beside SQLite, else datagram sockets in a private directory of this host. A hint carries no data and may be
lost, doubled or late; whoever listens also looks at the database every `poll_interval_s`, so a lost hint costs that
much and nothing else. Ringing comes after the commit, never raises, never waits, and is safe in every thread and
after a fork.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from django.conf import settings

from runs.bell.channels import ANYTHING, Hint, Role

__all__ = ["ANYTHING", "Hint", "Listener", "Role", "ring_drivers", "ring_watchers", "stop_ringing"]

logger = logging.getLogger(__name__)

OnHint = Callable[[Hint], None]


class Bell(Protocol):
    """One way to ring."""

    def ring(self, role: Role, hint: Hint) -> None:
        """Tell every listener of this role, without waiting."""

    def close(self) -> None:
        """Give back what ringing holds; the next ring takes it again."""

    def listen(self, role: Role, on_hint: OnHint) -> AbstractAsyncContextManager[None]:
        """Call `on_hint` on the running loop for each hint, while the context is open."""


def ring_drivers() -> None:
    """Tell the drivers that work or mail is waiting."""
    _ring("driver", ANYTHING)


def ring_watchers(run_id: int, seq: int) -> None:
    """Tell whoever watches the run that its journal has reached `seq` (or that it streamed something)."""
    _ring("watcher", Hint(run_id=run_id, seq=seq))


def stop_ringing() -> None:
    """Send what still waits to be sent and disconnect, as before the database goes away. The next ring connects."""
    _bell().close()


class Listener:
    """Hears one role's hints: `async with Listener("watcher", on_hint): …`.

    `on_hint` is called on the running loop and must be quick. ANYTHING comes whenever hints may have been missed.
    Entering never fails: a bell that cannot be heard is logged, and the slow poll carries on alone.
    """

    def __init__(self, role: Role, on_hint: OnHint) -> None:
        self._listening = _bell().listen(role, on_hint)

    async def __aenter__(self) -> None:
        await self._listening.__aenter__()

    async def __aexit__(self, *exception: object) -> None:
        await self._listening.__aexit__(None, None, None)


def _ring(role: Role, hint: Hint) -> None:
    try:
        _bell().ring(role, hint)
    except Exception:  # a hint is never worth failing the work that has just been committed
        logger.debug("The bell did not ring.", exc_info=True)


def _bell() -> Bell:
    # By the settings of the moment, which costs half a microsecond: tests change the database's name.
    database = settings.DATABASES["default"]
    return _bell_of(
        database["ENGINE"], str(database["NAME"]), settings.ENVIRONMENT.redis_url, settings.WORKFLOW.runtime_dir
    )


@functools.cache
def _bell_of(engine: str, database: str, redis_url: str | None, runtime_dir: Path | None) -> Bell:
    if engine == "django.db.backends.postgresql":
        from runs.bell.postgres import PostgresBell

        return PostgresBell()
    if redis_url:
        from runs.bell.redis import RedisBell

        return RedisBell(redis_url, database)
    from runs.bell.local import LocalBell, directory_for

    return LocalBell(directory_for(database, runtime_dir))
