"""Which alarm of a run is the next, whatever was set, set anew and cleared."""

import asyncio
import random
from collections.abc import Hashable
from datetime import UTC, datetime, timedelta

from runs.driver.alarms import Alarms

LATER = datetime(2100, 1, 1, tzinfo=UTC)


def at(number: int) -> datetime:
    return LATER + timedelta(seconds=number)


def nothing() -> None:
    pass


async def test_the_next_alarm_is_the_first_of_those_that_are_set() -> None:
    alarms, wanted = Alarms(), dict[tuple[Hashable, Hashable], datetime]()
    dice = random.Random(7)
    for _ in range(3_000):
        owner, name, number = dice.randrange(20), dice.randrange(3), dice.randrange(1_000)
        if dice.random() < 0.3:
            alarms.clear(owner)
            wanted = {key: value for key, value in wanted.items() if key[0] != owner}
        else:
            alarms.set(owner, name, at(number), nothing)
            wanted[owner, name] = at(number)
        if dice.random() < 0.5:
            assert alarms.next_at == min(wanted.values(), default=None)
    alarms.close()
    assert alarms.next_at is None


async def test_an_alarm_that_has_rung_is_not_the_next() -> None:
    alarms, rung = Alarms(), asyncio.Event()
    alarms.set("a", "first", datetime.now(UTC), rung.set)
    alarms.set("a", "later", at(1), nothing)
    await rung.wait()
    assert alarms.next_at == at(1)
    alarms.close()


async def test_alarms_that_nobody_asks_for_do_not_pile_up() -> None:
    alarms = Alarms()
    for number in range(10_000):
        alarms.set("a", "only", at(number), nothing)
    assert len(alarms._heap) < 200
    assert alarms.next_at == at(9_999)
    alarms.close()
