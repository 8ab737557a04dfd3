"""Tools that tests run: well behaved ones, and every kind of bad one."""

import asyncio
import sys
import threading
import time
from collections.abc import Mapping

from tests.support.waiting import wait_until
from tools import Command, Context, ToolError, tool

gates: dict[str, threading.Event] = {}
"""Events that `wait_for` and `wait_for_async` wait for, by name."""
entered: dict[str, threading.Event] = {}
"""Events that they set when they begin."""


def gate(name: str) -> tuple[threading.Event, threading.Event]:
    """A new gate: (entered, open)."""
    entered[name], gates[name] = threading.Event(), threading.Event()
    return entered[name], gates[name]


@tool(effect="pure")
def increment(n: int = 0) -> dict:
    return {"n": n + 1}


@tool(effect="pure")
async def increment_async(n: int = 0) -> dict:
    return {"n": n + 1}


@tool(effect="pure")
def double(x: int) -> dict:
    return {"doubled": 2 * x}


@tool(effect="pure")
def give(value):
    return value


@tool
def wait_for(name: str, ctx: Context) -> dict:
    """Returns when its gate opens or its run gives it up."""
    entered[name].set()
    while not gates[name].wait(0.005):
        if ctx.cancelled:
            break
    return {"waited": True, "attempt": ctx.attempt}


@tool
def think_aloud(name: str, ctx: Context) -> dict:
    """Streams two words, then waits for its gate."""
    ctx.stream("Hmm, ")
    ctx.stream("well")
    return wait_for(name, ctx)


@tool
async def wait_for_async(name: str) -> dict:
    entered[name].set()
    while not gates[name].is_set():  # noqa: ASYNC110 - the test sets it from its own thread
        await asyncio.sleep(0.005)
    return {"waited": True}


@tool
async def cling(name: str) -> dict:
    """Does not let itself be cancelled before its gate opens."""
    entered[name].set()
    while not gates[name].is_set():
        try:  # noqa: SIM105 - the very thing that a tool must not do
            await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            pass
    return {"waited": True}


@tool
def spoil(items: list) -> dict:
    """Changes its argument, which must not change the state."""
    items.append("spoiled")
    return {}


@tool
def talk(ctx: Context, lines: int = 2) -> dict:
    for number in range(lines):
        ctx.log(f"line {number}")
    ctx.stream("to")
    ctx.stream("ken")
    return {"key": ctx.idempotency_key, "has_deadline": ctx.deadline is not None}


@tool
def stream_and_wait(name: str, ctx: Context, text: str = "token") -> dict:
    ctx.stream(text)
    while not gates[name].wait(0.005) and not ctx.cancelled:
        pass
    return {}


@tool
def command() -> Command:
    return Command(update={"log": "c"}, set={"n": 7}, delete=["gone"])


@tool
def go_elsewhere() -> Command:
    return Command(goto="b")


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Exiting(Exception):
    def __str__(self) -> str:
        sys.exit(3)


class Limited(Exception):
    """Reads when to come back from an answer that does not say it."""

    @property
    def retry_after(self) -> float:
        return float({}["Retry-After"])


class Faceless(Exception):
    """Breaks whoever asks what it is."""

    @property
    def __class__(self):
        raise RuntimeError("no face")


class Lazy(Mapping):
    """Loads its values when they are read, so often; then it cannot."""

    def __init__(self, error: BaseException, times: int = 0) -> None:
        self.error = error
        self.times = times

    def __getitem__(self, key: str) -> int:
        self.times -= 1
        if self.times < 0:
            raise self.error
        return 1

    def __iter__(self):
        return iter(["v"])

    def __len__(self) -> int:
        return 1


def _circle() -> list:
    circle: list = []
    circle.append(circle)
    return circle


BAD_RESULTS = {
    "a set": lambda: {"v": {1}},
    "an object": lambda: {"v": object()},
    "bytes": lambda: {"v": b"x"},
    "NaN": lambda: {"v": float("nan")},
    "infinity": lambda: {"v": float("inf")},
    "a circle": lambda: {"v": _circle()},
    "a huge integer": lambda: {"v": 2**63},
    "NUL": lambda: {"v": "\x00"},
    "a lone surrogate": lambda: {"v": "\ud800"},
    "a number for a key": lambda: {1: "v"},
    "20 MiB": lambda: {"v": "x" * (20 * 1024 * 1024)},
    "a list": lambda: [1],
    "a number": lambda: 1,
    "values that cannot be read": lambda: Command(update=Lazy(ConnectionError("gone"))),
    "values that exit": lambda: Command(update=Lazy(SystemExit(3))),
}


@tool
def misbehave(how: str):
    """Returns or raises something that no step may end with."""
    match how:
        case "raise":
            raise ValueError("oh")
        case "raise a tool error":
            raise ToolError("in my own words")
        case "raise without words":
            raise Unspeakable
        case "raise words that exit":
            raise Exiting
        case "raise a wish that cannot be read":
            raise Limited("429")
        case "raise what cannot be looked at":
            raise Faceless
        case "raise NUL":
            raise ValueError("a\x00b")
        case "raise a surrogate":
            raise ValueError("cannot read caf\udce9.txt")
        case "exit":
            sys.exit(3)
        case "interrupt":
            raise KeyboardInterrupt
        case "raise a chain":
            raise ConnectionError("down")
    return BAD_RESULTS[how]()


@tool
async def misbehave_async(how: str):
    match how:
        case "exit":
            sys.exit(3)
        case "cancel itself":
            raise asyncio.CancelledError
        case "time out by itself":
            raise TimeoutError("its own")
    return BAD_RESULTS[how]()


@tool
def sleep_a_while() -> dict:
    time.sleep(5)
    return {}


@tool
async def sleep_a_while_async() -> dict:
    await asyncio.sleep(60)
    return {}


peaks: dict[str, int] = {}
_inside: dict[str, int] = {}
_lock = threading.Lock()


@tool
def count_inside(name: str, expected: int) -> dict:
    """Notes how many calls are inside at once; leaves a moment after `expected` were, in which one more would come."""
    with _lock:
        _inside[name] = _inside.get(name, 0) + 1
        peaks[name] = max(peaks.get(name, 0), _inside[name])
    wait_until(lambda: peaks[name] >= expected, f"{expected} calls are inside")
    time.sleep(0.05)
    with _lock:
        _inside[name] -= 1
    return {}
