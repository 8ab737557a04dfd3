"""Calling a tool: on the loop, in a thread, with a timeout, giving it up.

Whatever a tool does (raise, exit, hang) ends as a `Finished` value; nothing it raises crosses this module.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import connections

from runs.driver.logs import clean
from runs.driver.threads import DaemonPool, Job
from tools.base import Tool

MAX_TRACEBACK_CHARS = 64 * 1024
TIMEOUT = "TimeoutError"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a call ended: with a value, or with an error and its traceback."""

    value: Any = None
    error: BaseException | None = None
    traceback: str = ""
    took_ms: float = 0.0


Done = Callable[[Finished], None]


class Call:
    """One attempt of one step's tool. Its outcome is reported once, unless it is given up first."""

    __slots__ = ("_done", "_job", "_pool", "_started", "_task", "_timer", "over")

    def __init__(self, done: Done) -> None:
        self._done = done
        self._started = time.perf_counter()
        self._task: asyncio.Task[None] | None = None
        self._pool: DaemonPool | None = None
        self._job: Job | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.over = False
        """Its outcome is known or no longer wanted; tools read it as `ctx.cancelled`."""

    def give_up(self) -> None:
        """Nobody wants the outcome: cancel a coroutine, abandon a thread."""
        if not self.over:
            self.over = True
            self._stop()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
        if self._job is not None and self._pool is not None:
            self._pool.abandon(self._job)

    def _finish(self, value: Any, error: BaseException | None) -> None:
        if self.over:
            return
        self.over = True
        if self._timer is not None:
            self._timer.cancel()
        took_ms = round((time.perf_counter() - self._started) * 1000, 3)
        self._done(Finished(value=value, error=error, traceback=_traceback(error), took_ms=took_ms))

    # ---- on the loop

    def run_inline(self, tool: Tool, arguments: dict[str, Any]) -> None:
        """Call a quick function on the event loop itself: no timeout applies."""
        value, error = None, None
        try:
            value = tool.function(**arguments)
        except BaseException as raised:  # SystemExit of a tool must not end the driver
            error = raised
        self._finish_soon(value, error)

    def fail(self, error: BaseException) -> None:
        """The tool cannot even be called."""
        self._finish_soon(None, error)

    def pass_on(self, value: Any) -> None:
        """There is nothing to call."""
        self._finish_soon(value, None)

    def _finish_soon(self, value: Any, error: BaseException | None) -> None:
        # Not at once: whoever started the call is still busy with that.
        asyncio.get_running_loop().call_soon(self._finish, value, error)

    def run_coroutine(self, tool: Tool, arguments: dict[str, Any], *, timeout_s: float) -> None:
        self._task = asyncio.get_running_loop().create_task(self._await(tool, arguments, timeout_s))

    async def _await(self, tool: Tool, arguments: dict[str, Any], timeout_s: float) -> None:
        value, error = None, None
        try:
            async with asyncio.timeout(timeout_s) as timeout:
                value = await tool.function(**arguments)
        except BaseException as raised:  # if it is our own cancelling, the call is over and nothing is reported
            error = _timed_out(timeout_s) if timeout.expired() else raised
        try:
            self._finish(value, error)
        except Exception as bug:  # a task would tell of it only when it is collected
            context = {"message": "The outcome of a tool could not be taken in.", "exception": bug}
            asyncio.get_running_loop().call_exception_handler(context)

    # ---- in a thread

    def run_in_thread(self, tool: Tool, arguments: dict[str, Any], *, timeout_s: float, pool: DaemonPool) -> None:
        loop = asyncio.get_running_loop()
        run = contextvars.copy_context().run

        def work() -> None:
            self._started = time.perf_counter()
            value, error = None, None
            try:
                value = run(tool.function, **arguments)
            except BaseException as raised:
                error = raised
            for connection in connections.all(initialized_only=True):
                connection.close_if_unusable_or_obsolete()
            if not self.over:
                loop.call_soon_threadsafe(self._finish, value, error)

        self._started = float("inf")  # until a thread is inside the tool
        self._pool = pool
        self._job = pool.submit(work)
        self._timer = loop.call_later(timeout_s, self._check_timeout, timeout_s)

    def _check_timeout(self, timeout_s: float) -> None:
        if self.over:
            return
        ran_s = max(time.perf_counter() - self._started, 0.0)
        if ran_s < timeout_s:  # it waited for a thread first
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(timeout_s - ran_s, self._check_timeout, timeout_s)
            return
        self._stop()
        self._finish(None, _timed_out(timeout_s))


def _timed_out(timeout_s: float) -> TimeoutError:
    return TimeoutError(f"The tool ran longer than its timeout_s of {timeout_s:g} s.")


def _traceback(error: BaseException | None) -> str:
    if error is None:
        return ""
    return clean("".join(traceback.format_exception(error))[-MAX_TRACEBACK_CHARS:])
