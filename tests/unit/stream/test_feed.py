"""A feed and its followers: order, no gap, no repeat, whatever comes when."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from runs.redaction import Redaction
from runs.stream.feed import KEPT_FRAMES, Feed, Position
from runs.stream.frames import FRAME_BYTES, FRAME_ENTRIES, events_frame
from tests.unit.stream.journal import Follower, Journal


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def feed(journal: Journal) -> Feed:
    return Feed(1, journal)


@asynccontextmanager
async def following(feed: Feed, after: int) -> AsyncIterator[Follower]:
    follower = Follower()

    async def follow() -> None:
        async for frame in feed.follow(Position(seq=after)):
            follower.take(frame)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(follow())
        yield follower
        task.cancel()


async def followed_to_the_end(feed: Feed, after: int) -> Follower:
    follower = Follower()
    async for frame in feed.follow(Position(seq=after)):
        follower.take(frame)
    return follower


async def test_the_backlog_comes_first_and_what_is_new_after_it(journal: Journal, feed: Feed) -> None:
    journal.write(3)
    await feed.advance(journal.head)
    async with following(feed, after=0) as follower:
        await follower.until(3)
        journal.write(2)
        await feed.advance(journal.head)
        await follower.until(5)
    assert follower.seqs == [1, 2, 3, 4, 5]


async def test_a_follower_that_comes_back_gets_what_it_missed_and_nothing_twice(journal: Journal, feed: Feed) -> None:
    await feed.advance(journal.head)
    journal.write(10)
    await feed.advance(journal.head)  # one frame of ten entries
    journal.finish()
    await feed.advance(journal.head)
    for after in range(11):
        assert (await followed_to_the_end(feed, after)).seqs == list(range(after + 1, 11))


async def test_new_entries_are_read_once_for_all_followers(journal: Journal, feed: Feed) -> None:
    await feed.advance(journal.head)
    async with following(feed, 0) as first, following(feed, 0) as second, following(feed, 0) as third:
        for _ in range(5):
            journal.write()
            await feed.advance(journal.head)
        for follower in (first, second, third):
            await follower.until(5)
            assert follower.seqs == [1, 2, 3, 4, 5]
    assert journal.entry_reads == 5


async def test_followers_in_line_share_the_very_same_frames(journal: Journal, feed: Feed) -> None:
    await feed.advance(journal.head)
    async with following(feed, 0) as first, following(feed, 0) as second:
        await asyncio.sleep(0)
        journal.write()
        await feed.advance(journal.head)
        await first.until(1)
        await second.until(1)
    assert first.frames[0] is second.frames[0]


async def test_a_follower_that_falls_behind_the_kept_frames_goes_on_from_the_database(
    journal: Journal, feed: Feed
) -> None:
    journal.write()
    await feed.advance(journal.head)
    slow = feed.follow(Position(seq=0))
    follower = Follower()
    follower.take(await anext(slow))
    for _ in range(KEPT_FRAMES + 10):
        journal.write()
        await feed.advance(journal.head)
    journal.finish()
    await feed.advance(journal.head)
    async for frame in slow:
        follower.take(frame)
    assert follower.seqs == list(range(1, KEPT_FRAMES + 12))


async def test_kept_frames_are_bounded_in_bytes(journal: Journal, feed: Feed) -> None:
    await feed.advance(journal.head)
    journal.write(12, padding=FRAME_BYTES)
    await feed.advance(journal.head)
    kept_bytes = sum(frame.size_bytes for frame in feed._kept)
    assert kept_bytes < 5 * FRAME_BYTES


async def test_a_burst_is_cut_into_frames_and_stays_in_order(journal: Journal, feed: Feed) -> None:
    await feed.advance(journal.head)
    async with following(feed, 0) as follower:
        journal.write(2 * FRAME_ENTRIES + 1)
        await feed.advance(journal.head)
        await follower.until(2 * FRAME_ENTRIES + 1)
    assert follower.seqs == list(range(1, 2 * FRAME_ENTRIES + 2))
    assert len(follower.frames) == 3


async def test_writes_between_a_followers_reads_are_neither_lost_nor_doubled(journal: Journal, feed: Feed) -> None:
    journal.write(3 * FRAME_ENTRIES)
    await feed.advance(journal.head)
    async with following(feed, 7) as follower:
        for _ in range(20):
            journal.write(3)
            await feed.advance(journal.head)
        await follower.until(len(journal.entries))
    assert follower.seqs == list(range(8, len(journal.entries) + 1))


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
async def test_following_ends_with_the_run(journal: Journal, feed: Feed, status: str) -> None:
    journal.write(2)
    await feed.advance(journal.head)
    async with following(feed, 0) as follower:
        journal.write()
        journal.finish(status)
        await feed.advance(journal.head)
        await follower.until(3)
    assert feed.is_over
    assert feed.status == status


async def test_a_run_that_waits_or_is_paused_is_not_over(journal: Journal, feed: Feed) -> None:
    for status in ("pending", "waiting", "paused"):
        journal.finish(status)
        await feed.advance(journal.head)
        assert not feed.is_over


async def test_following_ends_when_the_run_is_deleted(journal: Journal, feed: Feed) -> None:
    await feed.advance(journal.head)
    await feed.advance(None)
    assert (await followed_to_the_end(feed, 0)).seqs == []
    assert feed.status is None


async def test_what_a_tool_streams_comes_between_the_entries(journal: Journal, feed: Feed) -> None:
    journal.write()
    await feed.advance(journal.head)
    async with following(feed, 0) as follower:
        await follower.until(1)
        journal.stream("Hel")
        await feed.advance(journal.head)
        journal.stream("lo")
        await feed.advance(journal.head)
        journal.chunks_in_flight.clear()
        journal.write()
        await feed.advance(journal.head)
        await follower.until(2)
    assert follower.streamed == ["Hel", "lo"]
    assert follower.seqs == [1, 2]


async def test_a_late_follower_gets_what_steps_in_flight_have_streamed_so_far(journal: Journal, feed: Feed) -> None:
    journal.write()
    journal.stream("early")
    await feed.advance(journal.head)
    journal.stream("late")
    await feed.advance(journal.head)
    journal.finish()
    await feed.advance(journal.head)
    follower = await followed_to_the_end(feed, 1)
    assert follower.streamed == ["early", "late"]


async def test_an_entry_that_cannot_be_read_ends_the_stream_with_its_error(journal: Journal, feed: Feed) -> None:
    await feed.advance(journal.head)
    feed.fail(ValueError("broken"))
    with pytest.raises(ValueError, match="broken"):
        await followed_to_the_end(feed, 0)


def test_a_single_entry_larger_than_a_frame_is_a_frame_of_its_own(journal: Journal) -> None:
    journal.write()
    journal.write(padding=2 * FRAME_BYTES)
    first = events_frame(journal.entries, Redaction(None))
    assert first is not None
    assert first.seq == 1
    second = events_frame(journal.entries[1:], Redaction(None))
    assert second is not None
    assert second.seq == 2
    assert second.size_bytes > 2 * FRAME_BYTES


def test_a_frame_is_the_message_that_clients_know(journal: Journal) -> None:
    journal.write(2)
    frame = events_frame(journal.entries, Redaction(None))
    assert frame is not None
    message = json.loads(frame.text)
    assert message["type"] == "events"
    assert [event["seq"] for event in message["events"]] == [1, 2]
    assert frame.lines == ("Completed node: work", "Completed node: work")
