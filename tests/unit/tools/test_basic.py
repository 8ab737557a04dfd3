import asyncio

import pytest

from tools import Context, ToolError, registry
from tools.builtin.basic import LONGEST_SLEEP_S, fail, noop, set_state, sleep
from tools.calling import bind
from tools.errors import ToolInputError


def test_noop_changes_nothing():
    assert asyncio.run(noop()) is None


def test_set_state_returns_the_values_as_the_update():
    assert asyncio.run(set_state({"a": 1})) == {"a": 1}


def test_fail_fails_with_the_message():
    with pytest.raises(ToolError, match=r"^out of luck$"):
        asyncio.run(fail("out of luck"))


def test_sleep_waits_that_long(monkeypatch):
    waited = []

    async def record(seconds):
        waited.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", record)
    asyncio.run(sleep(2.5))
    assert waited == [2.5]


@pytest.mark.parametrize("seconds", [-0.1, LONGEST_SLEEP_S + 1, "1"])
def test_sleep_is_bounded(seconds):
    with pytest.raises(ToolInputError):
        bind(registry.get("sleep"), inputs={"seconds": seconds}, state={}, context=Context())
