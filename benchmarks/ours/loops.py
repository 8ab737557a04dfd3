"""Loops of short steps, and of steps that make the state grow."""

from __future__ import annotations

import time

from django.db.models import Sum
from django.db.models.functions import Length

from benchmarks import definitions
from benchmarks.ours.driving import Times, driver, folded_bytes, must_be_completed, publish, start, watched_stores
from benchmarks.workload import WARM_UP_TURNS, chunk
from graphs.models import GraphVersion
from runs.models import Run, Snapshot
from runs.selectors import state_at

READINGS = 10


def loop(*, steps: int, tool: str, durability: str) -> dict[str, float]:
    """Microseconds a step, from the claim to the end on disk."""
    with watched_stores() as times, driver():
        version = publish(definitions.loop(tool))
        _turn(times, version, WARM_UP_TURNS, durability)
        took_s, _ = _turn(times, version, steps, durability)
    return {"us_step": took_s / steps * 1e6}


def append(*, steps: int) -> dict[str, float]:
    """Time and storage of a loop that appends 1 KiB a turn, and the time to read its state at any point."""
    with watched_stores() as times, driver():
        version = publish(definitions.appending_loop())
        _turn(times, version, 10)
        before = folded_bytes()
        took_s, run = _turn(times, version, steps)
        stored = folded_bytes() - before
    payload = sum(len(chunk(number)) for number in range(steps))
    snapshots = Snapshot.objects.filter(run=run).aggregate(size=Sum(Length("state")))["size"] or 0
    return {
        "us_step": took_s / steps * 1e6,
        "took_ms": took_s * 1000,
        "stored_bytes": stored,
        "stored_ratio": stored / payload,
        "stored_ratio_without_snapshots": (stored - snapshots) / payload,
        "slowest_read_ms": _slowest_read_ms(run),
    }


def _turn(times: Times, version: GraphVersion, turns: int, durability: str = "sync") -> tuple[float, Run]:
    """Run the loop for so many turns; return the seconds it took."""
    run = start(version, {"turns": turns}, durability)
    took_s = times.seconds_until_over([run])
    return took_s, must_be_completed(run)


def _slowest_read_ms(run: Run) -> float:
    """Read the state at points spread over the whole run."""
    slowest_ms = 0.0
    for number in range(1, READINGS + 1):
        start_ns = time.perf_counter_ns()
        state_at(run, run.seq * number // READINGS)
        slowest_ms = max(slowest_ms, (time.perf_counter_ns() - start_ns) / 1e6)
    return slowest_ms
