"""The doorbell of one host. No database: two ends and a directory."""

import asyncio
import os
import socket
import time
from pathlib import Path

import pytest

from runs import bell
from runs.bell import ANYTHING, Hint, local
from runs.bell.local import LocalBell, directory_for
from runs.bell.postgres import PostgresBell
from runs.bell.redis import RedisBell
from tests.support.ear import Ear


def sockets_in(directory: Path) -> list[Path]:
    return list(directory.iterdir())


def ring_in_a_forked_child(ringer: LocalBell, hint: Hint) -> None:
    pid = os.fork()
    if pid == 0:
        ringer.ring("watcher", hint)
        os._exit(0)
    os.waitpid(pid, 0)


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "bell"


async def test_a_watcher_hears_which_run_has_news(directory: Path, ear: Ear) -> None:
    async with LocalBell(directory).listen("watcher", ear):
        LocalBell(directory).ring("watcher", Hint(run_id=7, seq=12))
        await ear.until(Hint(run_id=7, seq=12))
    assert ear.hints == [Hint(run_id=7, seq=12)]


async def test_every_listener_of_the_role_hears_it_and_no_other(directory: Path) -> None:
    first, second, driver = Ear(), Ear(), Ear()
    ringer = LocalBell(directory)
    async with (
        LocalBell(directory).listen("watcher", first),
        LocalBell(directory).listen("watcher", second),
        LocalBell(directory).listen("driver", driver),
    ):
        ringer.ring("watcher", Hint(run_id=1, seq=1))
        ringer.ring("driver", ANYTHING)
        await asyncio.gather(
            first.until(Hint(run_id=1, seq=1)), second.until(Hint(run_id=1, seq=1)), driver.until(ANYTHING)
        )
    assert driver.hints == [ANYTHING]


async def test_a_listener_that_comes_later_is_heard_of_at_once(directory: Path) -> None:
    ringer, first, second = LocalBell(directory), Ear(), Ear()
    async with LocalBell(directory).listen("watcher", first):
        ringer.ring("watcher", Hint(run_id=1, seq=1))
        async with LocalBell(directory).listen("watcher", second):
            ringer.ring("watcher", Hint(run_id=1, seq=2))
            await second.until(Hint(run_id=1, seq=2))


async def test_a_full_queue_becomes_a_hint_to_look_everywhere(directory: Path, ear: Ear) -> None:
    ringer = LocalBell(directory)
    async with LocalBell(directory).listen("watcher", ear):
        for run_id in range(2_000):  # more than any queue holds; the loop does not run in between
            ringer.ring("watcher", Hint(run_id=run_id, seq=1))
        await ear.until(ANYTHING)


async def test_a_listener_that_has_just_read_rests_and_then_hears_what_came(
    directory: Path, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_REST_S", 0.5)
    ringer = LocalBell(directory)
    async with LocalBell(directory).listen("watcher", ear):
        ringer.ring("watcher", Hint(run_id=1, seq=1))
        await ear.until(Hint(run_id=1, seq=1))
        ringer.ring("watcher", Hint(run_id=1, seq=2))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert Hint(run_id=1, seq=2) not in ear.hints
        await ear.until(Hint(run_id=1, seq=2))


async def test_hints_that_wait_together_are_heard_once(directory: Path, ear: Ear) -> None:
    ringer = LocalBell(directory)
    async with LocalBell(directory).listen("driver", ear):
        for _ in range(5):
            ringer.ring("driver", ANYTHING)
        await ear.until(ANYTHING)
    assert ear.hints == [ANYTHING]


async def test_a_listener_leaves_nothing_behind(directory: Path, ear: Ear) -> None:
    async with LocalBell(directory).listen("driver", ear):
        assert len(sockets_in(directory)) == 1
    assert sockets_in(directory) == []


def test_the_socket_of_a_dead_listener_is_removed(directory: Path) -> None:
    directory.mkdir(mode=0o700)
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    dead.bind(str(directory / "driver-1-dead"))
    dead.close()
    LocalBell(directory).ring("driver", ANYTHING)
    assert sockets_in(directory) == []


async def test_a_forked_child_can_ring(directory: Path, ear: Ear) -> None:
    ringer = LocalBell(directory)
    async with LocalBell(directory).listen("watcher", ear):
        ringer.ring("watcher", Hint(run_id=1, seq=1))
        ring_in_a_forked_child(ringer, Hint(run_id=1, seq=2))
        await ear.until(Hint(run_id=1, seq=2))


@pytest.fixture
def open_to_all(directory: Path) -> Path:
    directory.mkdir()
    directory.chmod(0o777)
    return directory


async def test_a_directory_that_others_can_write_to_is_not_used(
    open_to_all: Path, ear: Ear, caplog: pytest.LogCaptureFixture
) -> None:
    async with LocalBell(open_to_all).listen("watcher", ear):
        assert sockets_in(open_to_all) == []
    assert "not a private directory" in caplog.text


def test_nothing_is_sent_into_a_directory_that_others_can_write_to(open_to_all: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as trap:
        trap.bind(str(open_to_all / "watcher-1-trap"))
        trap.setblocking(False)
        LocalBell(open_to_all).ring("watcher", Hint(run_id=1, seq=1))
        with pytest.raises(BlockingIOError):
            trap.recv(64)


def test_ringing_without_any_listener_makes_nothing(directory: Path) -> None:
    LocalBell(directory).ring("driver", ANYTHING)
    assert not directory.exists()


async def test_a_datagram_that_makes_no_sense_means_look_everywhere(directory: Path, ear: Ear) -> None:
    async with LocalBell(directory).listen("watcher", ear):
        (address,) = sockets_in(directory)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stray:
            stray.sendto(b"\xff\xff", str(address))
        await ear.until(ANYTHING)


def test_installations_with_different_databases_do_not_share_a_directory(tmp_path: Path) -> None:
    assert directory_for(str(tmp_path / "a.sqlite3"), None) != directory_for(str(tmp_path / "b.sqlite3"), None)
    assert directory_for("a.sqlite3", tmp_path) == directory_for(str(Path("a.sqlite3").resolve()), tmp_path)
    assert directory_for("a.sqlite3", tmp_path).parent == tmp_path


def test_a_ring_costs_no_more_than_a_hundred_microseconds(directory: Path) -> None:
    directory.mkdir(mode=0o700)
    ringer = LocalBell(directory)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(directory / "watcher-1-test"))
        os.utime(directory, (time.time() - 10, time.time() - 10))  # not changed just now: listed once
        started = time.process_time()
        for seq in range(200):
            ringer.ring("watcher", Hint(run_id=1, seq=seq))
        cost_s = (time.process_time() - started) / 200
    assert cost_s < 100e-6


async def test_a_path_too_long_for_a_socket_leaves_the_slow_poll(
    tmp_path: Path, ear: Ear, caplog: pytest.LogCaptureFixture
) -> None:
    async with LocalBell(tmp_path / ("long" * 30)).listen("watcher", ear):
        assert "cannot be heard" in caplog.text


@pytest.mark.parametrize(
    ("engine", "redis_url", "kind"),
    [
        ("django.db.backends.sqlite3", None, LocalBell),
        ("django.db.backends.sqlite3", "redis://localhost", RedisBell),
        ("django.db.backends.postgresql", None, PostgresBell),
        ("django.db.backends.postgresql", "redis://localhost", PostgresBell),
    ],
)
def test_the_bell_is_the_one_that_reaches_furthest(engine: str, redis_url: str | None, kind: type) -> None:
    assert isinstance(bell._bell_of(engine, "flows.sqlite3", redis_url, None), kind)


@pytest.fixture
def broken_bell(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def ring(self, role: bell.Role, hint: Hint) -> None:
            raise OSError("no bell today")

    monkeypatch.setattr(bell, "_bell_of", lambda *which: Broken())


@pytest.mark.usefixtures("broken_bell")
def test_a_bell_that_does_not_work_disturbs_nobody() -> None:
    bell.ring_drivers()
    bell.ring_watchers(1, 1)
