"""Tools in processes of their own: what they may do to themselves, and that nobody else is harmed."""

import asyncio
import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from runs.driver.invoke import Call, Finished
from runs.driver.logs import CUT, checked_details
from runs.driver.process import messages
from runs.driver.process.pool import ProcessPool
from tests.support import process_tools
from tools import Command, Context, Send, ToolError, registry

WAIT_S = 60
MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def environment_of_the_processes(monkeypatch: pytest.MonkeyPatch, settings) -> None:
    monkeypatch.setenv("WORKFLOW_TOOL_MODULES", process_tools.__name__)
    monkeypatch.setenv("SECRET_KEY", settings.SECRET_KEY)


def limited(settings, **limits) -> None:
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update=limits)


class Harness:
    """Calls tools through a pool, as a driver does."""

    def __init__(self, pool: ProcessPool) -> None:
        self.pool = pool
        self.said: list[tuple] = []

    def start(self, called: str, /, *, timeout_s=WAIT_S, state=None, last=None, heartbeat_s=None, **inputs):
        """Returns the call and the future of its end."""
        done: asyncio.Future[Finished] = asyncio.get_running_loop().create_future()
        call = Call(done.set_result)
        context = Context(
            run_id="r",
            step_id="s",
            attempt=2,
            last_heartbeat=last,
            on_log=lambda *words: self.said.append(("log", *words)),
            on_stream=lambda text: self.said.append(("stream", text)),
            on_heartbeat=lambda details: call.beat(checked_details(details)),
        )
        tool = registry.get(called)
        request = messages.call(
            tool, inputs=inputs, local_names={}, state=state or {}, context=context, timeout_s=timeout_s
        )
        call.expect_heartbeats(every_s=heartbeat_s)
        call.run_in_process(request, context, timeout_s=timeout_s, pool=self.pool)
        return call, done

    async def call(self, called: str, /, **options) -> Finished:
        return await asyncio.wait_for(self.start(called, **options)[1], WAIT_S)

    async def pid(self) -> int:
        return (await self.call("whoami")).value["pid"]


@pytest.fixture
async def harness():
    async with ProcessPool() as pool:
        yield Harness(pool)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


async def until(condition, what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        await asyncio.sleep(0.005)


async def note(path: Path) -> list[int]:
    pids: list[int] = []

    def is_there() -> bool:
        if path.exists():
            pids[:] = map(int, path.read_text().split())
        return bool(pids)

    await until(is_there, "the tool has left its note")
    return pids


async def test_a_tool_has_all_of_its_context_and_its_output_disturbs_nothing(harness):
    finished = await harness.call("greet", name="Ada", state={"x": 1, "name": "Bob"}, last={"done": 3})
    assert finished.error is None, finished.traceback
    assert finished.value == {
        "greeting": "hello Ada!",
        "keys": ["name", "x"],
        "key": "r:s",
        "attempt": 2,
        "has_deadline": True,
        "stdin": "",
        "last": {"done": 3},
    }
    assert harness.said == [("log", "greeting Ada", "warning"), ("stream", "hel"), ("stream", "lo")]


@pytest.mark.parametrize(("more_bytes", "is_whole"), [(0, True), (1, False)])
async def test_what_a_tool_streams_is_cut_before_it_leaves_the_process(harness, settings, more_bytes, is_whole):
    limit_bytes = settings.WORKFLOW.max_stream_step_bytes
    finished = await harness.call("babble", size_bytes=limit_bytes + more_bytes)
    assert finished.error is None, finished.traceback
    ((_, text),) = harness.said
    assert len(text.encode()) == limit_bytes
    assert text.endswith(CUT) is not is_whole


async def test_fifty_calls_in_a_row_are_made_by_the_same_process(harness):
    pids = {await harness.pid() for _ in range(50)}
    assert len(pids) == 1
    assert os.getpid() not in pids


async def test_a_coroutine_runs_in_the_process_too(harness):
    pid = await harness.pid()
    assert (await harness.call("whoami_async")).value == {"pid": pid, "attempt": 2}


async def test_a_command_comes_across(harness):
    assert (await harness.call("command_in_process")).value == Command(
        update={"a": 1}, set={"b": 2}, delete=["c"], goto=[Send("x", {"i": 1}), Send("y", {})]
    )


async def test_only_what_the_tool_can_see_of_the_state_goes_along():
    context = Context()
    state = {"name": "Ada", "secret": "x"}
    call = partial(messages.call, inputs={}, local_names={}, state=state, context=context, timeout_s=1)
    assert call(registry.get("beat_details"))["state"] == {}
    assert call(registry.get("greet"))["state"] == state


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ("exit", "ProcessDied", "exit status 3"),
        ("kill", "ProcessDied", "SIGKILL"),
        ("segfault", "ProcessDied", "SIGSEGV"),
        ("rubbish", "ProcessDied", "disturbed its talk"),
        ("allocate", "MemoryError", "WORKFLOW_PROCESS_MEMORY_BYTES"),
        ("sys.exit", "SystemExit", "3"),
        ("tool error", "ToolError", "in my own words"),
        ("set", "JsonInvalid", "Python type set"),
        ("huge", "JsonInvalid", "4,194,304"),
    ],
)
async def test_whatever_a_tool_does_costs_its_own_call_only(harness, how, error, words):
    finished = await harness.call("perish", how=how)
    assert type(finished.error).__name__ == error
    assert words in str(finished.error)
    assert (await harness.call("whoami")).error is None


async def test_an_endless_loop_is_killed_at_its_timeout(harness):
    await harness.pid()
    began = time.monotonic()
    finished = await harness.call("perish", how="loop", timeout_s=0.3)
    assert type(finished.error) is TimeoutError
    assert time.monotonic() - began < 5
    assert await harness.pid()


async def test_a_timeout_kills_what_the_tool_has_started(harness, tmp_path):
    await harness.pid()
    path = tmp_path / "note"
    _, done = harness.start("leave_note_and_hang", path=str(path), timeout_s=3)
    pids = await note(path)
    assert type((await done).error) is TimeoutError
    await until(lambda: not any(map(is_alive, pids)), "the tool and its child are gone")


async def test_a_call_that_is_given_up_can_return_in_peace(harness, tmp_path):
    call, done = harness.start("wait_until_cancelled", entered=str(tmp_path / "in"), left=str(tmp_path / "out"))
    (pid,) = await note(tmp_path / "in")
    call.give_up()
    await until((tmp_path / "out").exists, "the tool has seen that it is cancelled")
    await harness.pid()
    assert is_alive(pid)
    assert not done.done()


async def test_a_call_that_is_given_up_and_does_not_return_is_killed(harness, tmp_path):
    call, done = harness.start("leave_note_and_hang", path=str(tmp_path / "note"), kind="spin")
    pids = await note(tmp_path / "note")
    call.give_up()
    await until(lambda: not any(map(is_alive, pids)), "the tool and its child are gone")
    assert not done.done()


async def test_a_call_that_is_given_up_while_it_waits_is_never_made(settings, tmp_path):
    limited(settings, tool_processes=1)
    async with ProcessPool() as pool:
        harness = Harness(pool)
        _, first = harness.start("spin", seconds=0.2)
        waiting, _ = harness.start("leave_note_and_hang", path=str(tmp_path / "note"))
        waiting.give_up()
        await first
        await harness.pid()
        assert not (tmp_path / "note").exists()


@pytest.mark.parametrize(("size", "processes"), [(1, 1), (2, 2)])
async def test_there_are_as_many_processes_as_the_setting_says(settings, size, processes):
    limited(settings, tool_processes=size)
    async with ProcessPool() as pool:
        harness = Harness(pool)
        calls = [harness.start("spin", seconds=0.1)[1] for _ in range(4)]
        await asyncio.gather(*calls)
        pids = [harness.start("whoami")[1] for _ in range(8)]
        assert len({finished.value["pid"] for finished in await asyncio.gather(*pids)}) <= processes
        assert len(pool._processes) == processes


async def test_the_time_a_call_waits_for_a_process_is_not_its_own(settings):
    limited(settings, tool_processes=1)
    async with ProcessPool() as pool:
        harness = Harness(pool)
        calls = [harness.start("sleep", seconds=0.5, timeout_s=2.5)[1] for _ in range(6)]
        assert [finished.error for finished in await asyncio.gather(*calls)] == [None] * 6


async def test_a_process_without_work_ends_after_a_while(settings):
    limited(settings, process_idle_s=0.1)
    async with ProcessPool() as pool:
        pid = await Harness(pool).pid()
        await until(lambda: not is_alive(pid), "the process is gone")


async def test_a_process_that_does_not_start_in_time_fails_the_call(settings):
    limited(settings, process_start_s=0.05)
    async with ProcessPool() as pool:
        finished = await Harness(pool).call("whoami")
    assert "was not ready after 0.05 s" in str(finished.error)


async def test_a_process_that_cannot_start_fails_the_calls_that_wait(monkeypatch):
    monkeypatch.setenv("WORKFLOW_WORKERS", "none")
    async with ProcessPool() as pool:
        harness = Harness(pool)
        ends = await asyncio.gather(*(harness.call("whoami") for _ in range(3)))
    assert [type(finished.error).__name__ for finished in ends] == ["ProcessDied"] * 3
    assert "could not start" in str(ends[0].error)
    assert ends[0].took_ms == 0


async def test_no_process_outlives_its_pool(tmp_path):
    async with ProcessPool() as pool:
        harness = Harness(pool)
        idle = await harness.pid()
        harness.start("leave_note_and_hang", path=str(tmp_path / "note"), kind="spin")
        pids = [idle, *await note(tmp_path / "note")]
        harness.start("whoami")  # a second one may just be starting
    await until(lambda: not any(map(is_alive, pids)), "all are gone")


async def test_a_stray_sigterm_does_not_end_a_tool(harness, tmp_path):
    call, _ = harness.start("wait_until_cancelled", entered=str(tmp_path / "in"), left=str(tmp_path / "out"))
    (pid,) = await note(tmp_path / "in")
    os.kill(pid, signal.SIGTERM)
    call.give_up()
    await until((tmp_path / "out").exists, "the tool has returned by itself")


# --------------------------------------------------------------------------- limits


async def test_memory_up_to_the_limit_is_given_and_no_more(monkeypatch):
    monkeypatch.setenv("WORKFLOW_PROCESS_MEMORY_BYTES", str(1024 * MIB))
    async with ProcessPool() as pool:
        harness = Harness(pool)
        assert (await harness.call("allocate", size_bytes=300 * MIB)).error is None
        pid = await harness.pid()
        finished = await harness.call("allocate", size_bytes=1024 * MIB)
        assert isinstance(finished.error, MemoryError)
        assert "in allocate" in finished.traceback
        assert await harness.pid() != pid, "a process that ran out of memory is not used again"


async def test_cpu_seconds_up_to_the_limit_are_given_and_no_more(monkeypatch):
    monkeypatch.setenv("WORKFLOW_PROCESS_CPU_S", "1")
    async with ProcessPool() as pool:
        harness = Harness(pool)
        for _ in range(3):  # the limit is for each call; the kernel counts it in coarse steps
            assert (await harness.call("spin", seconds=0.6)).error is None
        finished = await harness.call("spin", seconds=5)
    assert isinstance(finished.error, TimeoutError)
    assert "CPU" in str(finished.error)


# --------------------------------------------------------------------------- errors


async def test_an_error_keeps_its_names_its_words_its_place_and_its_wish(harness):
    finished = await harness.call("perish", how="upset")
    error = finished.error
    names = [cls.__name__ for cls in type(error).__mro__]
    assert names[0] == "Upset"
    assert [name for name in names if name != "Upset"] == [
        *("ConnectionError", "OSError", "Exception", "BaseException", "object")
    ]
    assert str(error) == "no answer"
    assert error.retry_after == 2
    assert 'process_tools.py", line' in finished.traceback
    assert isinstance(error, process_tools.Upset), "so a tool's own `retryable` can match it"


def across(error: BaseException) -> BaseException:
    return messages.read_answer(messages.raised(error, traceback="")).error


def test_an_error_of_a_class_that_the_driver_does_not_know_is_matched_by_name():
    class Base(KeyError):
        pass

    class Other(Exception):
        pass

    class Derived(Other, Base):
        def __init__(self, one, two):
            super().__init__(one)

    error = across(Derived("k", 2))
    assert [cls.__name__ for cls in type(error).__mro__] == [
        *("Derived", "Other", "Base", "KeyError", "LookupError", "Exception", "BaseException", "object")
    ]
    assert str(error) == "'k'"
    assert isinstance(error, KeyError)


@pytest.mark.parametrize(
    "error",
    [
        KeyError("k"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        ExceptionGroup("several", [ValueError("one")]),
        ToolError("mine"),
        SystemExit(3),
        ValueError("a\ud800b"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_any_making_keeps_its_name_and_words(error):
    copy = across(error)
    assert type(copy).__name__ == type(error).__name__
    assert str(copy) == str(error).replace("\ud800", "?")
    assert copy.retry_after is None


# --------------------------------------------------------------------------- heartbeats


@pytest.mark.parametrize("name", ["beat", "beat_async"])
async def test_a_tool_that_falls_silent_is_ended_and_its_last_details_are_known(harness, name):
    finished = await harness.call(name, times=3, then_hang=True, heartbeat_s=0.3)
    assert type(finished.error).__name__ == "HeartbeatTimeout"
    assert isinstance(finished.error, TimeoutError)
    assert finished.heartbeat == {"done": 3}


async def test_a_tool_that_beats_may_take_longer_than_between_two_heartbeats(harness):
    await harness.pid()
    finished = await harness.call("beat", times=5, pause_s=0.5, heartbeat_s=2)
    assert (finished.value, finished.heartbeat) == ({"beaten": 5}, {"done": 5})


async def test_details_at_the_limit_are_taken_and_one_byte_more_is_refused(harness):
    assert (await harness.call("beat_details", size_bytes=64 * 1024)).error is None
    refused = await harness.call("beat_details", size_bytes=64 * 1024 + 1)
    assert type(refused.error).__name__ == "JsonInvalid"
    assert refused.heartbeat is None
