"""Tools that are hard on their worker, for WORKFLOW_TOOL_MODULES=tests.durability.rough_tools."""

import os
import signal
import threading

from tools import tool


@tool
def hang() -> dict:
    """Never returns, and cannot be interrupted."""
    threading.Event().wait()
    return {}


@tool
def die() -> dict:
    """Kills the worker process that runs it, every time."""
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


@tool
def add_one(n: int) -> dict:
    """Does no harm."""
    return {"n": n + 1}
