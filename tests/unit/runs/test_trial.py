"""How long a step is alone in quarantine."""

import asyncio

from runs.driver.trial import Trial

FIRST, SECOND = b"first", b"second"


def trial(doubts: dict[bytes, int] | None = None, *, alone_s: float = 2.0, on_survived=lambda: None) -> Trial:
    return Trial(doubts=doubts or {}, alone_s=alone_s, on_survived=on_survived)


def test_each_doubt_doubles_the_time_alone():
    assert [trial({FIRST: doubts}).alone_s(FIRST) for doubts in range(4)] == [2, 4, 8, 16]
    assert trial({FIRST: 3}).alone_s(SECOND) == 2


def test_a_step_that_lives_for_long_enough_is_acquitted():
    async def live() -> Trial:
        survived = asyncio.Event()
        tried = trial(alone_s=0.001, on_survived=survived.set)
        tried.suspect(FIRST)
        tried.suspect(SECOND)
        tried.begin(FIRST)
        tried.called(FIRST)
        await survived.wait()
        return tried

    tried = asyncio.run(live())
    assert not tried.is_under_way
    assert (tried.suspects(FIRST), tried.suspects(SECOND)) == (False, True)


def test_the_time_of_a_step_that_is_over_is_not_that_of_the_next():
    async def end_early() -> bool:
        survived = asyncio.Event()
        tried = trial(alone_s=0.01, on_survived=survived.set)
        tried.begin(FIRST)
        tried.called(FIRST)
        tried.acquit(FIRST)
        tried.begin(SECOND)
        await asyncio.sleep(0.02)
        return tried.tries(SECOND) and not survived.is_set()

    assert asyncio.run(end_early())
