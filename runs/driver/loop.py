"""The event loop of a driver, which ends although a tool on it does not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from runs.driver.invoke import PATIENCE_S

logger = logging.getLogger(__name__)


def run_to_end(main: Coroutine[Any, Any, None]) -> None:
    """Run `main` on a new event loop and raise what it raises.

    Not `asyncio.run`, which waits for good for tasks that swallow their cancelling and for threads of the loop's own
    pool: these are abandoned.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(main)
    finally:
        loop.set_exception_handler(None)  # that of `main` is over with it
        try:
            loop.run_until_complete(_end_tasks(loop))
        finally:
            asyncio.set_event_loop(None)
            loop.close()


async def _end_tasks(loop: asyncio.AbstractEventLoop) -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        _, stuck = await asyncio.wait(left, timeout=PATIENCE_S)
        for task in stuck:
            logger.error("%r does not end although it was cancelled, and is abandoned.", task.get_coro())
    try:
        async with asyncio.timeout(PATIENCE_S):
            await loop.shutdown_asyncgens()
    except TimeoutError:
        logger.error("A generator does not end, and is abandoned.")
