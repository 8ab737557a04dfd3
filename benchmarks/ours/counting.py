"""What a step asks of the database, counted in all connections of the process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from sqlite3 import dbapi2
from typing import Any
from unittest import mock

from benchmarks import definitions
from benchmarks.ours.driving import driver, folded_bytes, must_be_completed, publish, start, watched_stores

SHORT, LONG = 100, 1_100
COUNTED = ("commits", "statements", "rows", "reads")


class Tally:
    """Counts statements as SQLite executes them.

    Rows written by one `executemany` are one statement: it is prepared once.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._previous = ""

    @contextmanager
    def watching_new_connections(self) -> Iterator[None]:
        """Count on every connection that Django opens inside the block."""
        connect = dbapi2.connect

        def watched_connect(*args: Any, **kwargs: Any) -> dbapi2.Connection:
            connection = connect(*args, **kwargs)
            connection.set_trace_callback(self._add)
            return connection

        with mock.patch.object(dbapi2, "connect", watched_connect):
            yield

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
    """Commits, writing statements, rows, reads and bytes a step: the difference between two loops, divided.

    Rounded to hundredths, for the driver's pacemaker beats in between.
    """
    tally = Tally()
    with tally.watching_new_connections(), watched_stores() as times, driver():
        version = publish(definitions.loop(tool))
        totals = []
        for turns in (SHORT, SHORT, LONG):  # the first warms up
            before = folded_bytes()
            tally.counts = Counter(dict.fromkeys(COUNTED, 0))
            run = start(version, {"turns": turns})
            times.seconds_until_over([run])
            counts = dict(tally.counts)
            must_be_completed(run)
            totals.append({**counts, "bytes": folded_bytes() - before})
    _, short, long = totals
    return {f"{key}_step": round((long[key] - short[key]) / (LONG - SHORT), 2) for key in long}
