"""Tools for processes of their own, which load this module by WORKFLOW_TOOL_MODULES; some of them do not survive."""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

from tools import Command, Context, Send, ToolError, tool

MIB = 1024 * 1024


class Upset(ConnectionError):
    """An error with a past and a wish."""

    def __init__(self, message: str, retry_after: object = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@tool
def whoami() -> dict:
    return {"pid": os.getpid()}


@tool
async def whoami_async(ctx: Context) -> dict:
    await asyncio.sleep(0)
    return {"pid": os.getpid(), "attempt": ctx.attempt}


@tool(effect="pure")
def place_item(item: str, index: int) -> dict:
    return {"place": f"{index}: {item}"}


@tool
def greet(name: str, state, ctx: Context, punctuation: str = "!") -> dict:
    ctx.log(f"greeting {name}", "warning")
    ctx.stream("hel")
    ctx.stream("lo")
    print("this goes to the worker's log")
    os.write(1, b"\xff" * 100)
    subprocess.run([sys.executable, "-c", "print('and this')"], check=True)
    return {
        "greeting": f"hello {name}{punctuation}",
        "keys": sorted(state),
        "key": ctx.idempotency_key,
        "attempt": ctx.attempt,
        "has_deadline": ctx.deadline is not None,
        "stdin": sys.stdin.read(),
        "last": ctx.last_heartbeat,
    }


@tool
def babble(ctx: Context, size_bytes: int) -> dict:
    ctx.stream("x" * size_bytes)
    return {}


@tool
def command_in_process() -> Command:
    return Command(update={"a": 1}, set={"b": 2}, delete=["c"], goto=[Send("x", {"i": 1}), "y"])


@tool
def perish(how: str):
    """Does not return."""
    match how:
        case "exit":
            os._exit(3)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "segfault":
            ctypes.string_at(0)
        case "loop":
            while True:
                pass
        case "allocate":
            return {"n": len(bytearray(8 * 1024 * MIB))}
        case "sys.exit":
            sys.exit(3)
        case "upset":
            raise Upset("no answer", timedelta(seconds=2))
        case "tool error":
            raise ToolError("in my own words")
        case "set":
            return {"v": {1}}
        case "huge":
            return {"v": "x" * (20 * MIB)}
        case "rubbish":
            for number in range(3, 64):
                try:
                    os.write(number, b"rubbish")
                except OSError:
                    continue
            time.sleep(60)
    raise AssertionError(how)


@tool
def allocate(size_bytes: int) -> dict:
    return {"n": len(bytearray(size_bytes))}


@tool
def spin(seconds: float) -> dict:
    """Uses so many CPU seconds."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return {"spun": True}


@tool
def leave_note_and_hang(path: str, kind: str = "sleep") -> dict:
    """Writes its process id and that of a process it has started to the file, and hangs."""
    sleeper = subprocess.Popen(["sleep", "600"])
    Path(path).write_text(f"{os.getpid()} {sleeper.pid}")
    while kind == "spin":
        pass
    time.sleep(600)
    return {}


@tool
def wait_until_cancelled(entered: str, left: str, ctx: Context) -> dict:
    Path(entered).write_text(str(os.getpid()))
    while not ctx.cancelled:
        time.sleep(0.01)
    Path(left).touch()
    return {}


@tool
def beat(times: int, ctx: Context, pause_s: float = 0.0, then_hang: bool = False) -> dict:
    for number in range(times):
        ctx.heartbeat({"done": number + 1})
        time.sleep(pause_s)
    if then_hang:
        time.sleep(600)
    return {"beaten": times}


@tool
async def beat_async(times: int, ctx: Context, pause_s: float = 0.0, then_hang: bool = False) -> dict:
    for number in range(times):
        ctx.heartbeat({"done": number + 1})
        await asyncio.sleep(pause_s)
    if then_hang:
        await asyncio.sleep(600)
    return {"beaten": times}


@tool
def beat_details(size_bytes: int, ctx: Context) -> dict:
    """Its details are a JSON string of so many bytes."""
    ctx.heartbeat("x" * (size_bytes - 2))
    return {}


@tool
def beat_and_wait(times: int, ctx: Context) -> dict:
    """Falls silent, and returns when nobody waits any more."""
    for _ in range(times):
        ctx.heartbeat()
    while not ctx.cancelled:
        time.sleep(0.01)
    return {}


@tool
def parts_in_process(ctx: Context, path: str) -> dict:
    """Records a step, fails once, and asks."""

    def first() -> tuple:
        with Path(path).open("a") as calls:
            calls.write("a")
        return ("a", 1)

    value = ctx.step("first", first)
    if ctx.attempt == 1:
        raise ValueError("once")
    return {"first": value, "answer": ctx.interrupt("Sure?", {"type": "string"}), "attempt": ctx.attempt}


@tool
async def parts_in_process_async(ctx: Context, path: str) -> dict:
    async def first() -> tuple:
        await asyncio.sleep(0)
        with Path(path).open("a") as calls:  # noqa: ASYNC230 - nothing else runs in this process
            calls.write("a")
        return ("a", 1)

    value = await ctx.step("first", first)
    if ctx.attempt == 1:
        raise ValueError("once")
    return {"first": value, "answer": ctx.interrupt("Sure?", {"type": "string"}), "attempt": ctx.attempt}


@tool
def prattle(ctx: Context, lines: int, size_bytes: int) -> dict:
    for _ in range(lines):
        ctx.log("x" * size_bytes)
    return {"prattled": True}
