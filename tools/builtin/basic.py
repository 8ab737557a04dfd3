"""Small tools for any graph, for trying things out and for tests."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from pydantic import Field

from tools import ToolError, tool

LONGEST_SLEEP_S = 3600.0


@tool(effect="pure")
async def noop() -> None:
    """Do nothing."""


@tool(effect="pure")
async def set_state(values: dict[str, Any]) -> dict[str, Any]:
    """Set the state keys that `values` names. With expressions in the node's inputs this computes new values."""
    return values


@tool(effect="read")
async def sleep(seconds: Annotated[float, Field(ge=0, le=LONGEST_SLEEP_S)]) -> None:
    """Wait inside the step for up to an hour. The step stays in memory; a `wait` node does not."""
    await asyncio.sleep(seconds)


@tool(effect="pure")
async def fail(
    message: str = "This tool always fails.",
    error_type: Annotated[str, Field(min_length=1, max_length=255)] = ToolError.__name__,
) -> None:
    """Fail the step with a message, and with an error type that `on_error` and `retry` can name."""
    raise type(error_type, (ToolError,), {})(message)
