"""The tools that the measured graphs call; `WORKFLOW_TOOL_MODULES` names this module."""

from __future__ import annotations

import time

from benchmarks.workload import chunk
from tools import tool


@tool(effect="pure")
async def bench_count(n: int) -> dict[str, int]:
    """Count one turn, on the event loop."""
    return {"n": n + 1}


@tool(effect="pure")
def bench_count_in_thread(n: int) -> dict[str, int]:
    """Count one turn, in a thread."""
    return {"n": n + 1}


@tool(effect="pure")
async def bench_append(n: int) -> dict[str, object]:
    """Add 1 KiB to a list."""
    return {"n": n + 1, "chunks": chunk(n)}


@tool(effect="read")
async def bench_stamp() -> dict[str, int]:
    """Note the time at which the step runs."""
    return {"first_step_ns": time.time_ns()}


@tool(effect="read")
def bench_sleep_in_thread(seconds: float) -> None:
    """Wait in a thread."""
    time.sleep(seconds)
