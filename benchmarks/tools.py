"""The tools that the measured graphs call; `WORKFLOW_TOOL_MODULES` names this module."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from benchmarks.workload import burn, chunk
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
async def bench_append(n: int, characters: int) -> dict[str, object]:
    """Add a text to a list."""
    return {"n": n + 1, "chunks": chunk(n, characters)}


@tool(effect="read")
async def bench_stamp() -> dict[str, int]:
    """Note the time at which the step runs."""
    return {"stamped_ns": time.time_ns()}


@tool(effect="read")
def bench_sleep_in_thread(seconds: float) -> None:
    """Wait in a thread."""
    time.sleep(seconds)


@tool(effect="pure")
def bench_burn(seconds: float) -> None:
    """Need a core."""
    burn(seconds)


@tool(effect="read")
async def bench_wait_for_file(gate: str) -> None:
    """Wait until the file is there."""
    while not Path(gate).exists():  # noqa: ASYNC110, ASYNC240 - another process makes it
        await asyncio.sleep(0.005)
