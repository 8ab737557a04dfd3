"""A tool's process: calls one tool after the other, for one driver, until that ends or kills it.

It loads the project once. Its standard output is the worker's log: the protocol has moved to a descriptor of its own
before any tool is loaded. It ends with its driver, together with everything that tools have started: it sees the end
of its input, or the kernel's signal.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import queue
import resource
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import django
from django.conf import settings
from django.db import connections

from runs.driver.invoke import traceback_of
from runs.driver.logs import BoundedLog, BoundedStream, checked_details
from runs.driver.process import messages
from runs.driver.process.frames import FrameInvalid, Unpacker, pack
from runs.driver.process.messages import Message
from runs.processes import die_with_parent
from tools import Context, Parts, registry
from tools.base import Tool
from tools.calling import bind
from tools.errors import ToolResultError
from tools.parts import interrupt_in
from tools.results import check_result
from tools.strict_json import Json

RESERVE_BYTES = 64 * 1024 * 1024
"""What is left to tell of a MemoryError with."""
OOM_SCORE = "800"
"""Where memory runs out for the whole host, this process goes before the driver and the database."""
READ_BYTES = 256 * 1024


def main(parent: int) -> NoReturn:
    """Serve the driver with the process id `parent` for ever."""
    _end_with(parent)
    channel = Channel()
    faulthandler.enable()
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
    django.setup()
    registry.discover()
    limits = settings.WORKFLOW
    _set_limit(resource.RLIMIT_CORE, 0)
    _set_limit(resource.RLIMIT_AS, limits.process_memory_bytes, reserve=RESERVE_BYTES)
    channel.open(max_bytes=messages.max_bytes())
    while True:
        _serve(channel, channel.calls.get())


# --------------------------------------------------------------------------- the driver


def _end_with(parent: int) -> None:
    def on_signal(*_: object) -> None:
        # Not from somebody who stops all processes of a service: the driver may still be waiting for this one.
        if os.getppid() != parent:
            _end()

    signal.signal(signal.SIGTERM, on_signal)
    die_with_parent()
    on_signal()  # it may have died before


def _end() -> NoReturn:
    """End this process and all in its group."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


class Channel:
    """The pipes to and from the driver. Any thread may send."""

    def __init__(self) -> None:
        """Take the standard streams away from the tools."""
        self._incoming = os.dup(0)
        self._outgoing = os.fdopen(os.dup(1), "wb")
        with Path(os.devnull).open("rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        os.dup2(2, 1)
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(line_buffering=True)  # a process that is killed flushes nothing
        self._lock = threading.Lock()
        self._max_bytes = 0
        self.calls: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.recording: dict[tuple[int, str], Future[None]] = {}
        """By call and name: the parts that are not on disk yet."""
        self.cancelled: int | None = None
        """The number of the call that nobody waits for any more."""

    def open(self, *, max_bytes: int) -> None:
        """Be ready for calls."""
        self._max_bytes = max_bytes
        threading.Thread(target=self._listen, name="channel", daemon=True).start()
        self.send({"type": "ready"})

    def send(self, message: Message) -> None:
        """Raises ToolResultError for what the driver would not take in."""
        data = pack(message)
        if len(data) > self._max_bytes:
            raise ToolResultError(
                f"The tool says {len(data):,} bytes at once; at most {self._max_bytes:,} pass between processes."
            )
        with self._lock:
            self._outgoing.write(data)
            self._outgoing.flush()

    def _listen(self) -> None:
        frames = Unpacker(max_bytes=2**32)
        with suppress(OSError, FrameInvalid):
            while piece := os.read(self._incoming, READ_BYTES):
                for message in frames.feed(piece):
                    match message["type"]:
                        case "call":
                            self.calls.put(message)
                        case "recorded":
                            self.recording.pop((message["call"], message["name"])).set_result(None)
                        case _:
                            self.cancelled = message["call"]
        _end()


# --------------------------------------------------------------------------- a call


def _serve(channel: Channel, request: Message) -> None:
    number: int = request["call"]

    def say(type_: str, **words: Any) -> None:
        channel.send({"type": type_, "call": number, **words})

    def record(name: str, value: Json) -> Future[None]:
        recorded = channel.recording[number, name] = Future[None]()
        recorded.set_running_or_notify_cancel()  # from here on its waiter cannot cancel it
        say("part", name=name, value=value)
        return recorded

    limits = settings.WORKFLOW
    context = Context(
        **request["context"],
        parts=Parts(request["recorded"], record=record, limits=messages.part_limits()),
        deadline=datetime.now(UTC) + timedelta(seconds=request["timeout_s"]),
        on_log=BoundedLog(
            emit=lambda message, level: say("log", message=message, level=level),
            max_line_bytes=limits.max_log_line_bytes,
            max_step_bytes=limits.max_log_step_bytes,
        ),
        on_stream=BoundedStream(
            emit=lambda text: say("stream", text=text), max_step_bytes=limits.max_stream_step_bytes
        ),
        on_heartbeat=lambda details: say("heartbeat", details=checked_details(details)),
        is_cancelled=lambda: channel.cancelled == number,
    )
    _limit_cpu(limits.process_cpu_s or request["timeout_s"])
    try:
        tool = registry.get(request["tool"])
        names = {name: request[name] for name in ("inputs", "local_names", "state")}
        value = _call(tool, bind(tool, **names, context=context))
        result = check_result(value, max_bytes=limits.max_update_bytes, max_depth=limits.max_json_depth)
        channel.send({**messages.returned(result), "call": number})
    except BaseException as error:  # SystemExit of a tool is its step's failure, not our end
        if isinstance(error, MemoryError):
            _set_limit(resource.RLIMIT_AS, resource.getrlimit(resource.RLIMIT_AS)[1])
        question = interrupt_in(error)
        if question is not None:
            channel.send({**messages.asked(question), "call": number})
        else:
            channel.send({**messages.raised(error, traceback=traceback_of(error)), "call": number})
    for connection in connections.all(initialized_only=True):
        connection.close_if_unusable_or_obsolete()
    _limit_cpu(0)


def _call(tool: Tool, arguments: dict[str, Any]) -> object:
    function: Callable[..., Any] = tool.function
    return asyncio.run(function(**arguments)) if tool.is_async else function(**arguments)


# --------------------------------------------------------------------------- limits


def _limit_cpu(seconds: float) -> None:
    """The kernel kills this process (SIGPROF) when it has used so many CPU seconds more; 0: never.

    Not RLIMIT_CPU, which counts from the start of the process, in whole seconds and by another clock than those that
    can be read: what a process has used up before its call cannot be told exactly enough.
    """
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _set_limit(kind: int, limit: int, *, reserve: int | None = None) -> None:
    """Set the limit in force. With `reserve`, it can be raised later by so much and never by more."""
    hard = resource.getrlimit(kind)[1]
    if reserve is not None:
        hard = limit + reserve if hard == resource.RLIM_INFINITY else min(hard, limit + reserve)
    resource.setrlimit(kind, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
