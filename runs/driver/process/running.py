"""One process for tools, seen from its driver: it makes one call at a time until it is killed or dies."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from django.conf import settings

from runs.driver.process import messages
from runs.driver.process.frames import FrameInvalid, Unpacker, pack
from runs.driver.process.messages import Answer, Message
from tools import Context
from tools.errors import PartInvalid
from tools.strict_json import JsonInvalid

LAST_WORDS_S = 1.0
"""How long the output of a process that has ended is read; something it started may hold the pipe open."""

_numbers = itertools.count(1)

End = Callable[[Any, BaseException | None, str], None]


class ProcessDied(Exception):
    """The process of a tool ended during its call."""


@dataclass(slots=True, eq=False, kw_only=True)
class Job:
    """A call for a process to make. `on_end` gets the value, or the error and its traceback."""

    request: Message
    context: Context
    on_begin: Callable[[], None]
    on_end: End
    process: ToolProcess | None = None

    def end(self, value: Any, error: BaseException | None, traceback: str = "") -> None:
        self.process = None
        self.on_end(value, error, traceback)


class Owner(Protocol):
    """Who deals calls out to processes."""

    def offer(self, process: ToolProcess) -> None:
        """The process is free for a call."""

    def withdraw(self, process: ToolProcess) -> None:
        """The process takes no call any more."""

    def has_gone(self, process: ToolProcess, error: BaseException) -> None:
        """The process has ended."""


class ToolProcess(asyncio.SubprocessProtocol):
    """A child process with a session of its own, so that killing it kills what its tools have started in it."""

    def __init__(self, pool: Owner) -> None:
        loop = asyncio.get_running_loop()
        limits = settings.WORKFLOW
        self._loop = loop
        self._pool = pool
        self._idle_s = limits.process_idle_s
        self._start_s = limits.process_start_s
        self._frames = Unpacker(max_bytes=messages.max_bytes())
        self._transport: asyncio.SubprocessTransport | None = None
        self._timer: asyncio.TimerHandle | None = loop.call_later(self._start_s, self._start_too_slow)
        self._job: Job | None = None
        self._call: int | None = None
        self._broken: ProcessDied | None = None
        """Why it is killed although nobody asked for that."""
        self.gone: asyncio.Future[None] = loop.create_future()
        self.is_ready = False
        """It has loaded the tools."""
        self.is_doomed = False
        """It was killed."""

    # ---- what its pool tells it

    def take(self, job: Job) -> None:
        """Make a call."""
        self._set_timer(None)
        self._job, job.process, self._call = job, self, next(_numbers)
        self._send({**job.request, "call": self._call})
        job.on_begin()

    def cancel(self, *, patience_s: float) -> None:
        self._send({"type": "cancel", "call": self._call})
        self._set_timer(self._loop.call_later(patience_s, self.kill))

    def kill(self) -> None:
        """End it and what it started. It takes no call any more, and its own is not answered."""
        if self.is_doomed:
            return
        self.is_doomed = True
        self._job = None
        self._set_timer(None)
        self._pool.withdraw(self)
        self._kill_group()

    def fail(self, error: BaseException) -> None:
        """It has ended, or will never begin."""
        if self.gone.done():
            return
        self.gone.set_result(None)
        self._set_timer(None)
        if self._transport is not None:
            self._transport.close()
        job, self._job = self._job, None
        if job is not None:
            job.end(None, error)
        self._pool.has_gone(self, error)

    # ---- what the event loop tells it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)  # noqa: S101 - for the type checker
        self._transport = transport
        if self.is_doomed or self._broken:
            self._kill_group()

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:
        assert isinstance(data, bytes)  # noqa: S101 - for the type checker
        if self.is_doomed or self._broken:
            return
        try:
            for message in self._frames.feed(data):
                self._receive(message)
        except FrameInvalid as error:
            self._break_off(f"Something in the tool's process disturbed its talk with the driver. {error}")

    def process_exited(self) -> None:
        self._pool.withdraw(self)
        self._kill_group()  # what it left behind
        self._set_timer(self._loop.call_later(LAST_WORDS_S, self._end))

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    # ---- answers

    def _receive(self, message: Message) -> None:
        if message.get("type") == "ready":
            self.is_ready = True
            self._become_free()
        elif self._job is not None and message.get("call") == self._call:
            self._hear(self._job, message)

    def _hear(self, job: Job, message: Message) -> None:
        match message:
            case {"type": "log", "message": str(line), "level": "debug" | "info" | "warning" | "error" as level}:
                job.context.on_log(line, level)
            case {"type": "stream", "text": str(text)}:
                job.context.on_stream(text)
            case {"type": "heartbeat", "details": details}:
                try:
                    job.context.on_heartbeat(details)
                except JsonInvalid as error:
                    raise FrameInvalid(str(error)) from error
            case {"type": "part", "name": str(name), "value": value}:
                try:
                    recorded = job.context.parts.accept(name, value)
                except (JsonInvalid, PartInvalid) as error:
                    raise FrameInvalid(str(error)) from error
                recorded.add_done_callback(partial(self._tell, self._call, name))
            case _:
                self._answer(job, messages.read_answer(message))

    def _tell(self, call: int | None, name: str, recorded: Future[None]) -> None:
        """The tool may go on. One that nobody waits for any more is ended in another way."""
        if recorded.exception() is None:
            self._send({"type": "recorded", "call": call, "name": name})

    def _answer(self, job: Job, answer: Answer) -> None:
        self._job = None
        if answer.spent:
            self.kill()
        elif self._status is None:
            self._become_free()
        job.end(answer.value, answer.error, answer.traceback)

    # ---- its life

    @property
    def _status(self) -> int | None:
        """How it has ended, if it has."""
        return None if self._transport is None else self._transport.get_returncode()

    def _become_free(self) -> None:
        self._set_timer(self._loop.call_later(self._idle_s, self.kill))
        self._pool.offer(self)

    def _start_too_slow(self) -> None:
        self._break_off(f"The process for the tool was not ready after {self._start_s:g} s.")

    def _break_off(self, reason: str) -> None:
        self._broken = ProcessDied(reason)
        self._pool.withdraw(self)
        self._kill_group()

    def _end(self) -> None:
        self.fail(self._broken or self._cause_of_death())

    def _cause_of_death(self) -> BaseException:
        status = self._status
        if status == -signal.SIGPROF:
            return TimeoutError("The tool used up its CPU seconds.")
        if status is not None and status < 0:
            return ProcessDied(f"The process of the tool was killed by {signal.Signals(-status).name}.")
        begun = "ended" if self.is_ready else "could not start; the worker's log says why. It ended"
        return ProcessDied(f"The process of the tool {begun} with exit status {status}.")

    def _set_timer(self, timer: asyncio.TimerHandle | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = timer

    def _send(self, message: Message) -> None:
        pipe = None if self._transport is None else self._transport.get_pipe_transport(0)
        if isinstance(pipe, asyncio.WriteTransport):
            pipe.write(pack(message))

    def _kill_group(self) -> None:
        if self._transport is not None:
            with suppress(ProcessLookupError, PermissionError):  # macOS says the latter of a zombie
                os.killpg(self._transport.get_pid(), signal.SIGKILL)
