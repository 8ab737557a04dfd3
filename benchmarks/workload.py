"""What both sides do. Imports the standard library only, for each side has a venv of its own."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path

CHUNK_CHARACTERS = 1024
_FILLING = f"{random.Random(1).getrandbits(4 * (CHUNK_CHARACTERS - 8)):0{CHUNK_CHARACTERS - 8}x}"
WARM_UP_TURNS = 100
"""A run before the measured one, so that imports, compiled plans and prepared statements are not part of a step."""
NODES = 5
"""Of a short run."""


def chunk(number: int) -> str:
    """A text of 1 KiB, another one for each number."""
    return f"{number:08}{_FILLING}"


def percentile(values: Sequence[float], percent: int) -> float:
    """The nearest-rank percentile."""
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]


def latency_figures(seconds: Sequence[float]) -> dict[str, float]:
    return {"p50_ms": percentile(seconds, 50) * 1000, "p95_ms": percentile(seconds, 95) * 1000}


def size_bytes(path: Path) -> int:
    """The size of a SQLite file. Fold its write-ahead log into it first."""
    return path.stat().st_size


def elapsed(start_ns: int) -> float:
    """Seconds since a reading of `time.perf_counter_ns`."""
    return (time.perf_counter_ns() - start_ns) / 1e9
