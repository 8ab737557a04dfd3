"""How much may be on its way to one client."""

import asyncio

import pytest

from runs.stream.frames import Frame
from runs.stream.window import Stalled, Window


def frame(seq: int, size_bytes: int, chunk: int = 0) -> Frame:
    return Frame(text="", size_bytes=size_bytes, seq=seq, chunk=chunk)


def window(*, acknowledged: bool = True, limit_bytes: int = 100, stall_s: float = 0.001) -> Window:
    return Window(acknowledged=acknowledged, limit_bytes=limit_bytes, stall_s=stall_s)


async def test_there_is_room_up_to_the_limit_and_none_at_it() -> None:
    opened = window(limit_bytes=100)
    opened.sent(frame(1, 99))
    await opened.room()
    opened.sent(frame(2, 1))
    with pytest.raises(Stalled):
        await opened.room()


async def test_an_acknowledgement_makes_room_for_what_it_covers() -> None:
    opened = window(limit_bytes=100)
    for seq in (1, 2, 3):
        opened.sent(frame(seq, 50))
    opened.acknowledge(1)
    with pytest.raises(Stalled):
        await opened.room()
    opened.acknowledge(2)
    await opened.room()


async def test_one_frame_larger_than_the_window_waits_for_its_own_acknowledgement_only() -> None:
    opened = window(limit_bytes=100)
    opened.sent(frame(1, 1_000))
    opened.acknowledge(1)
    await opened.room()


async def test_a_client_that_does_not_acknowledge_is_bounded_by_its_connection_alone() -> None:
    opened = window(acknowledged=False, limit_bytes=100)
    opened.sent(frame(1, 1_000))
    await opened.room()
    opened.pause()
    with pytest.raises(Stalled):
        await opened.room()
    opened.resume()
    await opened.room()


async def test_streamed_output_needs_no_acknowledgement() -> None:
    opened = window(limit_bytes=100)
    opened.sent(frame(1, 1_000, chunk=1))
    await opened.room()


async def test_an_acknowledgement_does_not_open_a_connection_that_is_full() -> None:
    opened = window()
    opened.pause()
    opened.sent(frame(1, 1_000))
    opened.acknowledge(1)
    with pytest.raises(Stalled):
        await opened.room()


async def test_room_comes_as_soon_as_there_is_some() -> None:
    opened = window(stall_s=5)
    opened.pause()
    asyncio.get_running_loop().call_soon(opened.resume)
    await opened.room()
