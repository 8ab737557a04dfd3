"""From a decision to a running tool: its arguments, its context, its executor."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol

from django.conf import settings

from graphs.plan import NodePlan, Plan
from runs.driver.invoke import Call
from runs.driver.logs import BoundedLog, clean
from runs.driver.threads import DaemonPool
from runs.engine import RunState, view
from runs.engine.decisions import StartStep
from tools import Context, registry
from tools.base import Tool
from tools.calling import bind


class Listener(Protocol):
    """Where a tool's words go, on the event loop."""

    def log(self, start: StartStep, message: str, level: str) -> None:
        """A line for the journal."""

    def stream(self, start: StartStep, text: str) -> None:
        """Text for whoever watches."""


class Caller:
    """Starts calls for all runs of one driver."""

    def __init__(self, pool: DaemonPool) -> None:
        self._pool = pool
        self._limits = settings.WORKFLOW
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()

    def start(
        self, call: Call, start: StartStep, *, run_id: str, plan: Plan, state: RunState, listener: Listener
    ) -> None:
        """Call the tool of a step. Whatever prevents that becomes the call's error."""
        node = plan.node(start.node)
        if node.spec.tool is None:
            call.pass_on(None)
            return
        timeout_s = node.spec.timeout_s or self._limits.default_timeout_s
        try:
            tool = registry.get(node.spec.tool)
            seen = view(plan, state, start.step)
            context = self._context(call, start, run_id, timeout_s, listener)
            inputs = {name: value(seen) for name, value in node.inputs.items()}
            arguments = bind(tool, inputs=inputs, state=seen.state, context=context)
        except Exception as error:  # of the registry, an expression, the signature: all are the step's failure
            call.fail(error)
            return
        match _executor(node, tool):
            case "inline" if tool.is_async:
                call.run_coroutine(tool, arguments, timeout_s=timeout_s)
            case "inline":
                call.run_inline(tool, arguments)
            case _:
                call.run_in_thread(tool, arguments, timeout_s=timeout_s, pool=self._pool)

    def _context(self, call: Call, start: StartStep, run_id: str, timeout_s: float, listener: Listener) -> Context:
        limits = self._limits
        log = BoundedLog(
            emit=partial(self._on_loop, listener.log, start),
            max_line_bytes=limits.max_log_line_bytes,
            max_step_bytes=limits.max_log_step_bytes,
        )
        return Context(
            run_id=run_id,
            step_id=start.step.hex(),
            node=start.node,
            attempt=start.attempt,
            deadline=datetime.now(UTC) + timedelta(seconds=timeout_s),
            on_log=log,
            on_stream=lambda text: self._on_loop(listener.stream, start, clean(text)),
            is_cancelled=lambda: call.over,
        )

    def _on_loop(self, say: Callable[..., None], start: StartStep, *words: str) -> None:
        """Tools speak from any thread; what they say before they return is heard before they have returned."""
        if threading.get_ident() == self._loop_thread:
            say(start, *words)
        else:
            self._loop.call_soon_threadsafe(say, start, *words)


def _executor(node: NodePlan, tool: Tool) -> str:
    """Coroutines run on the loop and functions in threads, unless the node says otherwise."""
    return node.spec.executor or ("inline" if tool.is_async else "thread")
