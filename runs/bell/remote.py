"""Hearing a bell over a network: subscribe, and subscribe again whenever the connection is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress

from runs.bell.channels import Hint, decode

logger = logging.getLogger(__name__)

_RETRY_S = 1.0


@asynccontextmanager
async def heard(
    subscribe: Callable[[], AsyncGenerator[str, None]],
    on_hint: Callable[[Hint], None],
    failures: tuple[type[Exception], ...],
) -> AsyncIterator[None]:
    """Call `on_hint` for each payload that `subscribe()` yields, while the context is open.

    `subscribe` connects and yields an empty payload as soon as it hears, so that what came before is looked for.
    `failures` are the exceptions after which it is worth trying again.
    """
    task = asyncio.create_task(_hear(subscribe, on_hint, failures))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _hear(
    subscribe: Callable[[], AsyncGenerator[str, None]],
    on_hint: Callable[[Hint], None],
    failures: tuple[type[Exception], ...],
) -> None:
    while True:
        try:
            async with aclosing(subscribe()) as payloads:
                async for payload in payloads:
                    on_hint(decode(payload))
        except failures as error:
            logger.warning("The bell cannot be heard (%s); news comes by the slow poll.", error)
        await asyncio.sleep(_RETRY_S)
