"""Maps: one branch an item, and a join."""

from __future__ import annotations

from benchmarks import definitions
from benchmarks.ours.driving import driver, must_be_completed, publish, start, watched_stores


def fan_out(
    *, items: int, tool: str, inputs: dict[str, object], executor: str | None = None, warm_up: int = 10
) -> dict[str, float]:
    """Milliseconds from the claim until the join is on disk, in a driver that has done `warm_up` items before."""
    with watched_stores() as times, driver():
        version = publish(definitions.fan_out(tool, inputs, executor))
        times.seconds_until_over([start(version, {"items": list(range(warm_up))})])
        run = start(version, {"items": list(range(items))})
        took_s = times.seconds_until_over([run])
    must_be_completed(run)
    return {"took_ms": took_s * 1000}
