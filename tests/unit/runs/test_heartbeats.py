"""Which heartbeats of a tool are kept."""

import asyncio

from runs.driver.heartbeats import Heartbeats
from runs.driver.invoke import Call


def kept_of(beats, *, every_s: float) -> list:
    """What is kept of lists of heartbeats that come at once; the lists come twice the time apart."""
    kept = []

    async def beat() -> None:
        loop = asyncio.get_running_loop()
        heartbeats = Heartbeats(Call(print), keep=kept.append, on_loop=loop.call_soon, every_s=every_s)
        for at_once in beats:
            for details in at_once:
                heartbeats(details)
            await asyncio.sleep(2 * every_s)

    asyncio.run(beat())
    return kept


def test_of_many_heartbeats_at_once_the_last_one_is_kept():
    assert kept_of([[1, 2, 3]], every_s=0.01) == [3]


def test_later_heartbeats_are_kept_if_they_say_something_new():
    assert kept_of([[1], [1], [2], [3]], every_s=0.01) == [1, 2, 3]


def test_heartbeats_come_at_most_once_in_their_time():
    async def beat() -> list:
        kept = []
        loop = asyncio.get_running_loop()
        heartbeats = Heartbeats(Call(print), keep=kept.append, on_loop=loop.call_soon, every_s=60)
        for details in range(100):
            heartbeats(details)
            await asyncio.sleep(0)
        return kept

    assert len(asyncio.run(beat())) == 1


def test_of_a_call_that_is_over_nothing_is_kept():
    async def beat() -> list:
        kept = []
        call = Call(print)
        Heartbeats(call, keep=kept.append, on_loop=asyncio.get_running_loop().call_soon)(1)
        call.give_up()
        await asyncio.sleep(0.01)
        return kept

    assert asyncio.run(beat()) == []
