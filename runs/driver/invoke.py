"""Calling a tool: on the loop, in a thread, in a process, with a timeout, giving it up.

Whatever a tool does (raise, exit, hang) ends as a `Finished` value; nothing it raises crosses this module.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
import traceback
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from django.db import connections

from runs.driver.logs import clean
from runs.driver.process.messages import Message
from runs.driver.process.pool import ProcessPool
from runs.driver.process.running import Job as ProcessJob
from runs.driver.threads import DaemonPool, Job
from tools import Context
from tools.base import Tool
from tools.parts import NotWanted
from tools.strict_json import Json

MAX_TRACEBACK_CHARS = 64 * 1024
PATIENCE_S = 1.0
"""How long a coroutine, or the process of a tool, has to end after it was cancelled."""


class HeartbeatTimeout(TimeoutError):
    """A tool was silent for longer than its node allows."""


class Claim(Protocol):
    """That others wait for what the call computes."""

    def settle(self, value: object) -> None:
        """The step has ended well with what its tool returned."""

    def drop(self) -> None:
        """Nothing came of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a call ended: with a value, or with an error and its traceback."""

    value: Any = None
    error: BaseException | None = None
    traceback: str = ""
    took_ms: float = 0.0
    heartbeat: Json = None
    """The details of the last heartbeat."""
    cached_from: str = ""
    """`run-uuid:step` of the step that computed the value, if it was not this one."""
    claim: Claim | None = None


Done = Callable[[Finished], object]


class Call:
    """One attempt of one step's tool. Its outcome is reported once, unless it is given up first."""

    __slots__ = (
        "_beaten_at",
        "_cached_from",
        "_done",
        "_expire",
        "_expired",
        "_heartbeat_s",
        "_recording",
        "_started",
        "_timeout_s",
        "_timer",
        "_withdraw",
        "claim",
        "heartbeat",
        "over",
    )

    def __init__(self, done: Done) -> None:
        self._done = done
        self._started = time.perf_counter()
        self._beaten_at = float("-inf")
        self._timeout_s = self._heartbeat_s = float("inf")
        self._timer: asyncio.TimerHandle | None = None
        self._expired: BaseException | None = None
        self._withdraw: Callable[[], object] = _do_nothing
        """Stops the tool, as far as that can be done: nobody wants its outcome."""
        self._expire: Callable[[BaseException], None] | None = None
        """Ends the attempt with an error, because it takes too long, in another way than by `_withdraw`."""
        self._recording: set[Future[Any]] = set()
        """What the tool waits for before it goes on."""
        self._cached_from = ""
        self.claim: Claim | None = None
        self.heartbeat: Json = None
        """The details of the last heartbeat."""
        self.over = False
        """Its outcome is known or no longer wanted; tools read it as `ctx.cancelled`."""

    @property
    def waits_for_executor(self) -> bool:
        """Whether no thread or process has been free for it up to now."""
        return not self.over and self._started == float("inf")

    def give_up(self) -> None:
        """Nobody wants the outcome: cancel a coroutine, abandon a thread, end a process."""
        if not self.over:
            self._close()()
            if self.claim is not None:
                self.claim.drop()

    def beat(self, details: Json) -> None:
        """The tool lives. It says so from any thread."""
        self.heartbeat, self._beaten_at = details, time.perf_counter()

    def await_record(self, recorded: Future[Any]) -> None:
        """The tool waits until a part of it is recorded, or nobody wants its outcome."""
        if self.over:
            _release(recorded)
        else:
            self._recording.add(recorded)
            recorded.add_done_callback(self._recording.discard)

    def _finish(self, value: Any, error: BaseException | None, trace: str | None = None) -> None:
        if not self.over:
            self._done(self._conclude(value, error, trace))

    def _conclude(self, value: Any, error: BaseException | None, trace: str | None = None) -> Finished:
        self._close()
        took_ms = round(max(time.perf_counter() - self._started, 0.0) * 1000, 3)
        trace = traceback_of(error) if trace is None else trace
        return Finished(
            value=value,
            error=error,
            traceback=trace,
            took_ms=took_ms,
            heartbeat=self.heartbeat,
            cached_from=self._cached_from,
            claim=self.claim,
        )

    def prepare(self, steps: Coroutine[Any, Any, None]) -> None:
        """Take `steps`, the last of which makes the call. Giving the call up cancels them."""

        async def take() -> None:
            try:
                await steps
            except Exception as error:  # of the database, an expression, the clock: the call's
                self._finish_soon(None, error)

        task = asyncio.get_running_loop().create_task(take())
        task.add_done_callback(lambda _: steps.close())  # they may not even have begun
        self._withdraw = task.cancel

    # ---- time

    def expect_heartbeats(self, *, every_s: float | None) -> None:
        """For before the tool is called: end the attempt when the tool is silent for that long."""
        self._heartbeat_s = every_s or float("inf")

    def _watch(self) -> None:
        """End the attempt if it takes too long; otherwise look again when it may."""
        if self.over:
            return
        now = time.perf_counter()
        # A tool that waits for a thread or a process has not started: that is in the future, infinitely far.
        ran_s = max(now - self._started, 0.0)
        silent_s = max(now - max(self._started, self._beaten_at), 0.0)
        if ran_s >= self._timeout_s:
            self._end_with(_timed_out(self._timeout_s))
        elif silent_s >= self._heartbeat_s:
            self._end_with(_fell_silent(self._heartbeat_s))
        else:
            again_s = min(self._timeout_s - ran_s, self._heartbeat_s - silent_s)
            self._timer = asyncio.get_running_loop().call_later(again_s, self._watch)

    def _end_with(self, error: BaseException) -> None:
        if self._expire is not None:
            self._expire(error)
        else:
            self._withdraw()
            self._finish(None, error)

    def _close(self) -> Callable[[], object]:
        """Nothing is reported any more. Returns what stops the tool, without which the call is in no circle."""
        self.over = True
        if self._timer is not None:
            self._timer.cancel()
        for recorded in list(self._recording):
            _release(recorded)
        withdraw, self._withdraw, self._expire = self._withdraw, _do_nothing, None
        return withdraw

    # ---- on the loop

    def run_inline(self, tool: Tool, arguments: dict[str, Any]) -> None:
        """Call a quick function on the event loop itself: no timeout applies."""
        value, error = None, None
        self._started = time.perf_counter()
        try:
            value = tool.function(**arguments)
        except BaseException as raised:  # SystemExit of a tool must not end the driver
            error = raised
        self._finish_soon(value, error)

    def fail(self, error: BaseException) -> None:
        """The tool cannot even be called."""
        self._finish_soon(None, error)

    def pass_on(self, value: Any, *, cached_from: str = "") -> None:
        """There is nothing to call: the value is known."""
        self._cached_from = cached_from
        self._finish_soon(value, None)

    def _finish_soon(self, value: Any, error: BaseException | None) -> None:
        # Not at once: whoever started the call is still busy with that.
        asyncio.get_running_loop().call_soon(self._finish, value, error)

    def run_coroutine(self, tool: Tool, arguments: dict[str, Any], *, timeout_s: float) -> None:
        self._started = time.perf_counter()
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._await(tool, arguments))
        self._withdraw = task.cancel
        self._expire = partial(self._cancel_and_fail, task)
        self._timeout_s = timeout_s
        # Behind the task's first step, with which most are over: those need no timer.
        loop.call_soon(self._watch)

    def _cancel_and_fail(self, task: asyncio.Task[None], error: BaseException) -> None:
        self._expired = error
        task.cancel()
        # A tool that swallows its cancelling may run on, but nobody waits for it.
        self._timer = asyncio.get_running_loop().call_later(PATIENCE_S, self._finish, None, error)

    async def _await(self, tool: Tool, arguments: dict[str, Any]) -> None:
        value, error = None, None
        try:
            value = await tool.function(**arguments)
        except BaseException as raised:  # if it is our own cancelling, the call is over and nothing is reported
            error = self._expired or raised
        try:
            self._finish(value, error)
        except Exception as bug:  # a task would tell of it only when it is collected
            context = {"message": "The outcome of a tool could not be taken in.", "exception": bug}
            asyncio.get_running_loop().call_exception_handler(context)

    # ---- in a thread

    def run_in_thread(
        self, function: Callable[..., Any], arguments: dict[str, Any], *, timeout_s: float, pool: DaemonPool
    ) -> None:
        loop = asyncio.get_running_loop()
        run = contextvars.copy_context().run

        def work() -> None:
            self._started = time.perf_counter()
            value, error = None, None
            try:
                value = run(function, **arguments)
            except BaseException as raised:
                error = raised
            for connection in connections.all(initialized_only=True):
                connection.close_if_unusable_or_obsolete()
            if not self.over:
                loop.call_soon_threadsafe(self._finish, value, error)

        self._started = float("inf")  # until a thread is inside the tool
        self._withdraw = partial(pool.abandon, pool.submit(work))
        self._timeout_s = timeout_s
        self._watch()

    # ---- in a transaction

    def run_in_transaction(
        self,
        work: Callable[[], None],
        withdraw: Callable[[DaemonPool, Job], None],
        *,
        timeout_s: float,
        pool: DaemonPool,
    ) -> None:
        """Have a thread do `work`, which calls `begin`, and at its end `conclude` or `end`."""
        self._started = float("inf")
        self._withdraw = partial(withdraw, pool, pool.submit(work))
        self._timeout_s = timeout_s
        self._watch()

    def begin(self) -> None:
        """From here on it is the tool that takes time."""
        self._started = time.perf_counter()

    def conclude(self, value: Any, *, waiting: Future[Any]) -> Finished:
        """The tool has returned, and its thread goes on when `waiting` is done. From here on nothing is given up."""
        self._recording.discard(waiting)
        return self._conclude(value, None)

    def end(self, error: BaseException) -> None:
        """The tool has failed, and all it did is undone."""
        self._finish(None, error)

    # ---- in a process

    def run_in_process(self, request: Message, context: Context, *, timeout_s: float, pool: ProcessPool) -> None:
        job = ProcessJob(request=request, context=context, on_begin=self.begin, on_end=self._finish)
        self._started = float("inf")  # until a process has the request
        self._withdraw = partial(pool.give_up, job, patience_s=PATIENCE_S)
        self._expire = partial(self._kill_and_fail, pool, job)
        self._timeout_s = timeout_s
        pool.submit(job)
        self._watch()

    def _kill_and_fail(self, pool: ProcessPool, job: ProcessJob, error: BaseException) -> None:
        pool.kill(job)
        self._finish(None, error)


def _release(recorded: Future[Any]) -> None:
    """Let the tool go that waits for this: what it does is in vain."""
    if not recorded.done():
        recorded.set_exception(NotWanted("Nobody waits for the tool any more."))


def _do_nothing() -> None:
    """A tool that was not started need not be stopped."""


def _timed_out(timeout_s: float) -> TimeoutError:
    return TimeoutError(f"The tool ran longer than its timeout_s of {timeout_s:g} s.")


def _fell_silent(heartbeat_s: float) -> HeartbeatTimeout:
    return HeartbeatTimeout(f"The tool gave no sign of life for its heartbeat_timeout_s of {heartbeat_s:g} s.")


def traceback_of(error: BaseException | None) -> str:
    """The traceback as text that every database stores; "" without an error."""
    if error is None:
        return ""
    try:
        return clean("".join(traceback.format_exception(error))[-MAX_TRACEBACK_CHARS:])
    except BaseException:  # an exception's own attributes are a tool's code, too
        return "(its traceback cannot be read)"
