"""Loops of short steps, and of steps that make the state grow."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db.models import Sum
from django.db.models.functions import Length

from benchmarks import definitions
from benchmarks.ours.driving import Times, driver, folded_bytes, must_be_completed, publish, start, watched_stores
from benchmarks.workload import WARM_UP_TURNS, reading_figures, sample
from graphs.models import GraphVersion
from runs.models import Run, Snapshot
from runs.selectors import state_at


def loop(*, steps: int, tool: str, durability: str) -> dict[str, float]:
    """Microseconds a step, from the claim to the end on disk."""
    with watched_stores() as times, driver():
        version = publish(definitions.loop(tool))
        _turn(times, version, WARM_UP_TURNS, durability)
        took_s, _ = _turn(times, version, steps, durability)
    return {"us_step": took_s / steps * 1e6}


def append(*, steps: int, characters: int) -> dict[str, float]:
    """Time and storage of a loop that appends a text a turn, and the time to read its state at random points."""
    with watched_stores() as times, driver():
        version = publish(definitions.appending_loop())
        _turn(times, version, 10, characters=characters)
        before = folded_bytes()
        took_s, run = _turn(times, version, steps, characters=characters)
        stored = folded_bytes() - before
    payload = steps * characters
    snapshots = Snapshot.objects.filter(run=run).aggregate(size=Sum(Length("state")))["size"] or 0
    return {
        "us_step": took_s / steps * 1e6,
        "took_ms": took_s * 1000,
        "stored_bytes": stored,
        "stored_bytes_step": stored / steps,
        "stored_ratio": stored / payload,
        "stored_ratio_without_snapshots": (stored - snapshots) / payload,
        **reading_figures(partial(state_at, run), sample(range(1, run.seq + 1))),
    }


def _turn(times: Times, version: GraphVersion, turns: int, durability: str = "sync", **state: Any) -> tuple[float, Run]:
    """Run the loop for so many turns; return the seconds it took."""
    run = start(version, {"turns": turns, **state}, durability)
    took_s = times.seconds_until_over([run])
    return took_s, must_be_completed(run)
