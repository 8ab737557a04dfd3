"""Tools that are hard on their worker, for WORKFLOW_TOOL_MODULES=tests.durability.rough_tools."""

import os
import signal
import threading
import time
from pathlib import Path

from tools import Context, tool


@tool
def hang() -> dict:
    """Never returns, and cannot be interrupted."""
    threading.Event().wait()
    return {}


@tool
def wait_for_file(path: str) -> dict:
    """Returns when the file is there."""
    while not Path(path).exists():
        time.sleep(0.01)
    return {"seen": True}


@tool
def die() -> dict:
    """Kills the worker process that runs it, every time."""
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


@tool
def die_late(after_s: float) -> dict:
    """Kills the worker process that runs it, every time, after a while."""
    time.sleep(after_s)
    return die()


@tool
def beat_and_hang(ctx: Context) -> dict:
    """Says how far it is and hangs at first; tells later how far it had been."""
    if ctx.attempt == 1:
        ctx.heartbeat(41)
        hang()
    return {"last": ctx.last_heartbeat}


@tool
def add_one(n: int) -> dict:
    """Does no harm."""
    return {"n": n + 1}


@tool(effect="pure")
def doubled(n: int) -> dict:
    """May be cached."""
    return {"doubled": 2 * n}
