"""The bell over PostgreSQL and over Redis, each against the real thing where there is one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from channels.db import database_sync_to_async
from django.db import connection

from runs.bell import ANYTHING, Bell, Hint
from runs.bell.postgres import PostgresBell
from runs.bell.redis import RedisBell
from tests.support.ear import Ear
from tests.support.redis import own_redis


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    with own_redis(tmp_path) as server:
        yield server.url


@pytest.fixture(params=["postgres", "redis"])
def bell(request: pytest.FixtureRequest) -> Iterator[Bell]:
    if request.param == "redis":
        ringing: Bell = RedisBell(request.getfixturevalue("redis_url"), "flows.sqlite3")
    else:
        request.getfixturevalue("transactional_db")
        if connection.vendor != "postgresql":
            pytest.skip("the database is not PostgreSQL")
        ringing = PostgresBell()
    yield ringing
    ringing.close()


async def test_a_listener_looks_everywhere_once_it_hears_and_then_where_it_is_told(bell: Bell) -> None:
    ear = Ear()
    async with bell.listen("watcher", ear):
        await ear.until(ANYTHING)
        bell.ring("watcher", Hint(run_id=7, seq=12))
        await ear.until(Hint(run_id=7, seq=12))


async def test_each_role_hears_its_own_hints(bell: Bell) -> None:
    driver, watcher = Ear(), Ear()
    async with bell.listen("driver", driver), bell.listen("watcher", watcher):
        await driver.until(ANYTHING)
        await watcher.until(ANYTHING)
        driver.hints.clear()
        bell.ring("watcher", Hint(run_id=1, seq=1))
        bell.ring("driver", ANYTHING)
        await watcher.until(Hint(run_id=1, seq=1))
        await driver.until(ANYTHING)
    assert Hint(run_id=1, seq=1) not in driver.hints


async def test_redis_that_is_away_for_a_while_is_heard_again(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runs.bell.remote._RETRY_S", 0.01)
    ear = Ear()
    bell = RedisBell(redis_url, "flows.sqlite3")
    async with bell.listen("watcher", ear):
        await ear.until(ANYTHING)
        ear.hints.clear()
        await database_sync_to_async(_disconnect_everybody)(redis_url)
        await ear.until(ANYTHING)
        bell.ring("watcher", Hint(run_id=1, seq=1))
        await ear.until(Hint(run_id=1, seq=1))
    bell.close()


def _disconnect_everybody(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.client_kill_filter(_type="pubsub")


async def test_redis_that_is_not_there_disturbs_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bell = RedisBell(f"unix://{tmp_path}/nothing.sock", "flows.sqlite3")
    async with bell.listen("watcher", Ear()):
        bell.ring("watcher", Hint(run_id=1, seq=1))
        await database_sync_to_async(bell.close)()
    assert "does not ring" in caplog.text


async def test_postgres_that_drops_the_connection_is_heard_again(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("the database is not PostgreSQL")
    monkeypatch.setattr("runs.bell.remote._RETRY_S", 0.01)
    ear = Ear()
    bell = PostgresBell()
    async with bell.listen("watcher", ear):
        await ear.until(ANYTHING)
        ear.hints.clear()
        await database_sync_to_async(_end_every_listener)()
        await ear.until(ANYTHING)
        bell.ring("watcher", Hint(run_id=1, seq=1))
        await ear.until(Hint(run_id=1, seq=1))
    bell.close()


def _end_every_listener() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE query LIKE 'LISTEN%' AND datname = current_database()"
        )
