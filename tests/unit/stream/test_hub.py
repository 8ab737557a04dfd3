"""The tailer of a process: woken by the bell, and by the clock where the bell is not heard."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from django.db import OperationalError
from pytest_django import Settings

from runs.bell import ANYTHING, Hint
from runs.stream import hub as hub_module
from runs.stream.feed import Feed, Position
from runs.stream.hub import Hub
from tests.unit.stream.journal import Follower, Journal


class Bell:
    """Rings by hand."""

    def __init__(self) -> None:
        self.on_hint: Callable[[Hint], None] | None = None

    def listener(self, role: str, on_hint: Callable[[Hint], None]) -> AbstractAsyncContextManager[None]:
        return self._listen(on_hint)

    @asynccontextmanager
    async def _listen(self, on_hint: Callable[[Hint], None]) -> AsyncIterator[None]:
        self.on_hint = on_hint
        try:
            yield
        finally:
            self.on_hint = None

    def ring(self, hint: Hint) -> None:
        assert self.on_hint is not None
        self.on_hint(hint)


@pytest.fixture
def bell(monkeypatch: pytest.MonkeyPatch) -> Bell:
    bell = Bell()
    monkeypatch.setattr(hub_module, "Listener", bell.listener)
    return bell


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def hub(bell: Bell, journal: Journal, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Hub:
    monkeypatch.setattr(hub_module, "TICK_S", 0.0)
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"poll_interval_s": 3600.0})
    return Hub(lambda: journal)


async def settle() -> None:
    """Let everything run that can run without time passing."""
    for _ in range(50):
        await asyncio.sleep(0)


@asynccontextmanager
async def following(feed: Feed) -> AsyncIterator[Follower]:
    follower = Follower()

    async def follow() -> None:
        async for frame in feed.follow(Position(seq=0)):
            follower.take(frame)

    task = asyncio.create_task(follow())
    yield follower
    task.cancel()


async def test_a_hint_brings_what_is_new(hub: Hub, bell: Bell, journal: Journal) -> None:
    async with hub.watching(1) as feed, following(feed) as follower:
        await settle()
        journal.write()
        await settle()
        assert follower.seqs == []
        bell.ring(Hint(run_id=1, seq=1))
        await follower.until(1)


async def test_a_hint_of_another_run_makes_nobody_look(hub: Hub, bell: Bell, journal: Journal) -> None:
    async with hub.watching(1) as feed, following(feed) as follower:
        await settle()
        journal.write()
        bell.ring(Hint(run_id=2, seq=1))
        await settle()
        assert follower.seqs == []


async def test_a_vague_hint_makes_it_look_at_every_run(hub: Hub, bell: Bell, journal: Journal) -> None:
    async with hub.watching(1) as feed, following(feed) as follower:
        await settle()
        journal.write()
        bell.ring(ANYTHING)
        await follower.until(1)


async def test_the_slow_poll_finds_what_no_bell_told(hub: Hub, journal: Journal, settings: Settings) -> None:
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"poll_interval_s": 0.001})
    async with hub.watching(1) as feed, following(feed) as follower:
        await settle()
        journal.write()
        await follower.until(1)


async def test_two_who_watch_one_run_share_its_feed(hub: Hub) -> None:
    async with hub.watching(1) as first, hub.watching(1) as second, hub.watching(2) as other:
        assert first is second
        assert other is not first


async def test_it_listens_only_while_somebody_watches(hub: Hub, bell: Bell) -> None:
    async with hub.watching(1):
        async with hub.watching(2):
            await settle()
        await settle()
        assert bell.on_hint is not None
    await settle()
    assert bell.on_hint is None
    async with hub.watching(1):
        await settle()
        assert bell.on_hint is not None


async def test_who_comes_later_finds_the_feed_up_to_date(hub: Hub, journal: Journal) -> None:
    async with hub.watching(1):
        await settle()
        journal.write(3)
        async with hub.watching(1) as feed:
            assert feed.seq == 3


async def test_a_database_that_is_away_for_a_while_costs_only_delay(
    hub: Hub, bell: Bell, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    async with hub.watching(1) as feed, following(feed) as follower:
        await settle()
        journal.write()
        journal.failure = OperationalError("gone")
        bell.ring(Hint(run_id=1, seq=1))
        await settle()
        assert "it tries again" in caplog.text
        journal.failure = None
        bell.ring(Hint(run_id=1, seq=1))
        await follower.until(1)


async def test_an_unreadable_journal_ends_its_own_stream_and_no_other(
    hub: Hub, bell: Bell, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hub.watching(1) as broken, hub.watching(2) as sound, following(sound) as follower:
        await settle()
        monkeypatch.setattr(broken, "advance", _fails)
        journal.write()
        bell.ring(ANYTHING)
        await follower.until(1)
        with pytest.raises(KeyError):
            async for _ in broken.follow(Position(seq=0)):
                pass


async def _fails(head: object) -> None:
    raise KeyError("node")


async def test_with_many_followers_it_looks_less_often(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "FEW_FOLLOWERS", 1)
    async with hub.watching(1):
        assert hub._tick_s() == hub_module.TICK_S
        async with hub.watching(2):
            assert hub._tick_s() == hub_module.WIDE_TICK_S
