"""The processes in which a driver calls tools that must be killable.

    submit ──► waiting ──► a process that is ready ──► its answer ──► ready again, or ended after a while
                 │                │
                 │                └── killed (timeout, cancelled), died: replaced when somebody waits
                 └── starts one, up to the size of the pool

A process belongs to a session of its own. Killing it kills all that its tools have started in it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections import deque
from typing import Self

from django.conf import settings

from runs.driver.process.running import Job, ProcessDied, ToolProcess

logger = logging.getLogger(__name__)

CLOSE_S = 5.0


class ProcessPool:
    """Up to `WORKFLOW_TOOL_PROCESSES` processes, started on demand and kept. Belongs to the event loop's thread."""

    def __init__(self) -> None:
        limits = settings.WORKFLOW
        self._size = limits.tool_processes or os.cpu_count() or 1
        self._processes: set[ToolProcess] = set()
        self._ready: list[ToolProcess] = []
        self._waiting: deque[Job] = deque()
        self._starting: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Kill all processes and wait until they are gone."""
        self._is_closed = True
        self._waiting.clear()
        for process in self._processes:
            process.kill()
        if gone := [process.gone for process in self._processes]:
            await asyncio.wait(gone, timeout=CLOSE_S)

    def submit(self, job: Job) -> None:
        """Make the call as soon as a process is free."""
        self._waiting.append(job)
        self._deal()

    def give_up(self, job: Job, *, patience_s: float) -> None:
        """Nobody waits for the answer: tell the tool, and kill it if it does not return soon."""
        if job in self._waiting:
            self._waiting.remove(job)
        elif job.process is not None:
            job.process.cancel(patience_s=patience_s)

    def kill(self, job: Job) -> None:
        """End the call now. There will be no answer."""
        if job.process is not None:
            job.process.kill()

    def _deal(self) -> None:
        while self._waiting and self._ready:
            self._ready.pop().take(self._waiting.popleft())
        alive = [process for process in self._processes if not process.is_doomed]
        starting = sum(not process.is_ready for process in alive)
        missing = min(len(self._waiting) - starting, self._size - len(alive))
        for _ in range(0 if self._is_closed else missing):
            self._start()

    def _start(self) -> None:
        process = ToolProcess(self)
        self._processes.add(process)
        task = asyncio.get_running_loop().create_task(self._spawn(process))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _spawn(self, process: ToolProcess) -> None:
        begin = f"from runs.driver.process.child import main; main({os.getpid()})"
        try:
            await asyncio.get_running_loop().subprocess_exec(
                lambda: process,
                sys.executable,
                "-c",
                f"import sys; sys.path[:] = {sys.path!r}; {begin}",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=None,
                start_new_session=True,
            )
        except Exception as error:
            logger.exception("No process could be started for a tool.")
            process.fail(ProcessDied(f"No process could be started for the tool: {error}."))

    # ---- what its processes tell it

    def offer(self, process: ToolProcess) -> None:
        self._ready.append(process)
        self._deal()

    def withdraw(self, process: ToolProcess) -> None:
        if process in self._ready:
            self._ready.remove(process)

    def has_gone(self, process: ToolProcess, error: BaseException) -> None:
        """The process has ended. If it could not even start, somebody who waits for it must hear that."""
        self._processes.discard(process)
        self.withdraw(process)
        if not process.is_ready and not process.is_doomed and self._waiting:
            self._waiting.popleft().end(None, error)
        self._deal()
