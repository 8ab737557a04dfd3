"""A branch that takes its time beside one that does not."""

from __future__ import annotations

from statistics import median

from benchmarks import definitions
from benchmarks.ours.driving import Times, driver, must_be_completed, publish, start, watched_stores
from graphs.models import GraphVersion
from runs.selectors import current_state


def straggler(*, times: int) -> dict[str, float]:
    """Milliseconds from the claim until the last step of the chain runs, beside the straggler and alone."""
    with watched_stores() as watched, driver():
        alone, beside = (publish(definitions.chain(straggler=is_there)) for is_there in (False, True))
        _chain_ms(watched, alone)
        alone_ms = median(_chain_ms(watched, alone) for _ in range(times))
        chain_ms = median(_chain_ms(watched, beside) for _ in range(times))
    return {"chain_ms": chain_ms, "alone_ms": alone_ms, "against_alone": chain_ms / alone_ms}


def _chain_ms(watched: Times, version: GraphVersion) -> float:
    run = start(version, {})
    watched.seconds_until_over([run])
    must_be_completed(run)
    return current_state(run).values["stamped_ns"] / 1e6 - run.started_at.timestamp() * 1000
