"""What both sides do. Imports the standard library only, for each side has a venv of its own."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

Point = TypeVar("Point")
"""Where in a run its state is read."""

MAX_CHUNK = 1024
_FILLING = f"{random.Random(1).getrandbits(4 * MAX_CHUNK):0{MAX_CHUNK}x}"
WARM_UP_TURNS = 100
"""A run before the measured one, so that imports, compiled plans and prepared statements are not part of a step."""
NODES = 5
"""Of a short run."""
LINKS = 20
"""Short steps of the chain beside a straggler."""
READINGS = 20


def chunk(number: int, characters: int) -> str:
    """A text of so many characters, another one for each number."""
    return f"{number:08}{_FILLING}"[:characters]


def burn(cpu_s: float) -> None:
    """Keep one core busy for so much of this thread's own time, however many others want it."""
    until = time.thread_time() + cpu_s
    while time.thread_time() < until:
        pass


def percentile(values: Sequence[float], percent: int) -> float:
    """The nearest-rank percentile."""
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]


def latency_figures(seconds: Sequence[float]) -> dict[str, float]:
    return {"p50_ms": percentile(seconds, 50) * 1000, "p95_ms": percentile(seconds, 95) * 1000}


def sample(values: Sequence[Point]) -> list[Point]:
    """`READINGS` of the values, at random and the same ones each time."""
    return random.Random(READINGS).sample(values, READINGS)


def reading_figures(read: Callable[[Point], object], points: Sequence[Point]) -> dict[str, float]:
    """Milliseconds to read the state at each of the points."""
    took_ms = []
    for point in points:
        start_ns = time.perf_counter_ns()
        read(point)
        took_ms.append(elapsed(start_ns) * 1000)
    return {"read_p50_ms": percentile(took_ms, 50), "slowest_read_ms": max(took_ms)}


def size_bytes(path: Path) -> int:
    """The size of a SQLite file. Fold its write-ahead log into it first."""
    return path.stat().st_size


def elapsed(start_ns: int) -> float:
    """Seconds since a reading of `time.perf_counter_ns`."""
    return (time.perf_counter_ns() - start_ns) / 1e9
