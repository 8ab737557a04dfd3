"""What a step asks of the database, counted in all connections of the process."""

from __future__ import annotations

import sqlite3
import sys
from collections import Counter

from benchmarks import definitions
from benchmarks.ours.driving import driver, folded_bytes, must_be_completed, publish, start, watched_stores

SHORT, LONG = 100, 1_100


class Tally:
    """Counts statements as SQLite executes them.

    Rows written by one `executemany` are one statement: it is prepared once.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._previous = ""

    def watch_new_connections(self) -> None:
        """Count on every connection that is opened from now on, until the process ends."""

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            if event == "sqlite3.connect/handle":
                connection = arguments[0]
                assert isinstance(connection, sqlite3.Connection)
                connection.set_trace_callback(self._add)

        sys.addaudithook(hook)

    def _add(self, statement: str) -> None:
        kind = " ".join(statement.split(maxsplit=3)[:3])
        verb = kind.split()[0].upper()
        if verb == "COMMIT":
            self.counts["commits"] += 1
        elif verb == "SELECT":
            self.counts["reads"] += 1
        elif verb in ("INSERT", "UPDATE", "DELETE"):
            self.counts["rows"] += 1
            if kind != self._previous:
                self.counts["statements"] += 1
        self._previous = kind


def writes(*, tool: str) -> dict[str, float]:
    """Commits, writing statements, rows, reads and bytes a step: the difference between two loops, divided."""
    tally = Tally()
    tally.watch_new_connections()
    with watched_stores() as times, driver():
        version = publish(definitions.loop(tool))
        totals = []
        for turns in (SHORT, SHORT, LONG):  # the first warms up
            run = start(version, {"turns": turns})
            before = folded_bytes()
            tally.counts.clear()
            times.seconds_until_over([run])
            counts = dict(tally.counts)
            must_be_completed(run)
            totals.append({**counts, "bytes": folded_bytes() - before})
    _, short, long = totals
    return {f"{key}_step": (long[key] - short.get(key, 0)) / (LONG - SHORT) for key in long}
