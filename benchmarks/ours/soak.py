"""What a driver keeps of the runs that it has executed."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks import definitions
from benchmarks.ours.driving import driver, must_be_completed, publish, start, watched_stores

AT_ONCE = 50
MIB = 1024 * 1024


def soak(*, settled: int, runs: int) -> dict[str, float]:
    """The memory of this process, in which the driver lives, after `settled` and after all `runs`."""
    with watched_stores() as times, driver():
        version = publish(definitions.short_run())

        def execute(number: int) -> int:
            """Execute so many runs, some at a time; return the resident bytes afterwards."""
            for begun in range(0, number, AT_ONCE):
                batch = [start(version, {}) for _ in range(min(AT_ONCE, number - begun))]
                times.seconds_until_over(batch)
                must_be_completed(batch[-1])
            return _resident_bytes()

        before = execute(settled)
        grown = execute(runs - settled) - before
    return {
        "settled_mib": before / MIB,
        "grown_mib": grown / MIB,
        "grown_bytes_run": grown / (runs - settled),
    }


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
