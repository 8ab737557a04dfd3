"""Somebody who listens to the bell."""

import asyncio

from runs.bell import Hint
from tests.support.waiting import WAIT_S


class Ear:
    """Remembers what it hears, and lets a test wait until it has heard enough."""

    def __init__(self) -> None:
        self.hints: list[Hint] = []
        self._heard = asyncio.Event()

    def __call__(self, hint: Hint) -> None:
        self.hints.append(hint)
        self._heard.set()

    async def until(self, hint: Hint) -> None:
        async with asyncio.timeout(WAIT_S):
            while hint not in self.hints:
                await self._heard.wait()
                self._heard.clear()
