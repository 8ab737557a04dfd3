"""The one tailer of a web process."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager

from django.conf import settings
from django.db import Error

from runs.bell import Hint, Listener
from runs.stream.feed import Feed
from runs.stream.reader import DatabaseReader, Reader

logger = logging.getLogger(__name__)

FEW_FOLLOWERS = 200
TICK_S = 0.025
WIDE_TICK_S = 0.1
"""Between two looks. One message to hundreds of sockets takes longer than the narrow tick."""


class Hub:
    """Keeps the feeds of the runs that are followed in this process up to date. Works while there are any."""

    def __init__(self, make_reader: Callable[[], Reader] = DatabaseReader) -> None:
        self._make_reader = make_reader
        self._feeds: dict[int, Feed] = {}

    @asynccontextmanager
    async def watching(self, run_id: int) -> AsyncGenerator[Feed, None]:
        """The run's feed, up to date, and kept so while the context is open. Raises `django.db.Error`."""
        if not self._feeds:
            self._start()
        feed = self._feeds.setdefault(run_id, Feed(run_id, self._reader))
        feed.followers += 1
        try:
            await self._refresh([feed])
            yield feed
        finally:
            feed.followers -= 1
            if not feed.followers:
                del self._feeds[run_id]
            if not self._feeds:
                self._stop()

    def _start(self) -> None:
        self._reader = self._make_reader()
        self._refreshing = asyncio.Lock()
        self._news = asyncio.Event()
        self._changed: set[int] = set()
        self._look_everywhere_at = 0.0
        self._tailer = asyncio.create_task(self._tail())

    def _stop(self) -> None:
        self._tailer.cancel()
        self._reader.close()

    async def _tail(self) -> None:
        async with Listener("watcher", self._on_hint):
            while True:
                feeds = await self._wait_for_news()
                try:
                    await self._refresh(feeds)
                except Error as error:
                    logger.warning("The stream cannot read the database (%s); it tries again.", error)
                await asyncio.sleep(self._tick_s())

    def _on_hint(self, hint: Hint) -> None:
        if hint.run_id is None:
            self._look_everywhere_at = 0.0
        elif hint.run_id in self._feeds:
            self._changed.add(hint.run_id)
        else:
            return
        self._news.set()

    async def _wait_for_news(self) -> list[Feed]:
        """Wait for the bell or the slow poll, and return the feeds to look at."""
        try:
            async with asyncio.timeout(max(0.0, self._look_everywhere_at - time.monotonic())):
                await self._news.wait()
        except TimeoutError:
            pass
        self._news.clear()
        changed, self._changed = self._changed, set()
        if time.monotonic() < self._look_everywhere_at:
            return [self._feeds[run_id] for run_id in changed if run_id in self._feeds]
        self._look_everywhere_at = time.monotonic() + settings.WORKFLOW.poll_interval_s
        return list(self._feeds.values())

    async def _refresh(self, feeds: Iterable[Feed]) -> None:
        async with self._refreshing:  # two readers of one feed would take the same entries in twice
            wanted = {feed.run_id: feed for feed in feeds}
            heads = await self._reader.heads(wanted.keys())
            for run_id, feed in wanted.items():
                try:
                    await feed.advance(heads.get(run_id))
                except Error:
                    raise
                except Exception as error:  # an entry that cannot be read ends the stream of its run alone
                    logger.exception("The journal of the run with id %s cannot be streamed.", run_id)
                    feed.fail(error)

    def _tick_s(self) -> float:
        followers = sum(feed.followers for feed in self._feeds.values())
        return TICK_S if followers <= FEW_FOLLOWERS else WIDE_TICK_S


hub = Hub()
