"""Many short runs in one driver."""

from __future__ import annotations

from benchmarks import definitions
from benchmarks.ours.driving import driver, must_be_completed, publish, start, watched_stores


def throughput(*, runs: int) -> dict[str, float]:
    """Runs a second, from the first claim of runs that wait already to the last end on disk."""
    with watched_stores() as times:
        version = publish(definitions.short_run())
        warm_up = start(version, {})
        waiting = []
        with driver():
            times.seconds_until_over([warm_up])
        waiting = [start(version, {}) for _ in range(runs)]
        with driver():
            took_s = times.seconds_until_over(waiting)
    for run in waiting:
        must_be_completed(run)
    return {"runs_s": runs / took_s}
