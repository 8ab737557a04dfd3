"""How much may be on its way to one client."""

from __future__ import annotations

import asyncio
from collections import deque

from runs.stream.frames import Frame


class Stalled(Exception):
    """The client has taken nothing for too long."""


class Window:
    """Is open while the connection takes data and, for a client that acknowledges, while little is unacknowledged.

    A client that acknowledges gets at most `limit_bytes` of entries past what it has acknowledged, but always one
    frame. Streamed output has no seq to acknowledge and does not count.
    """

    def __init__(self, *, acknowledged: bool, limit_bytes: int, stall_s: float) -> None:
        self._acknowledged = acknowledged
        self._limit_bytes = limit_bytes
        self._stall_s = stall_s
        self._unacknowledged: deque[tuple[int, int]] = deque()
        self._unacknowledged_bytes = 0
        self._paused = False
        self._open = asyncio.Event()
        self._open.set()

    async def room(self) -> None:
        """Wait until more may be sent. Raises Stalled when that takes too long."""
        try:
            async with asyncio.timeout(self._stall_s):
                await self._open.wait()
        except TimeoutError:
            raise Stalled from None

    def sent(self, frame: Frame) -> None:
        if self._acknowledged and not frame.chunk:
            self._unacknowledged.append((frame.seq, frame.size_bytes))
            self._unacknowledged_bytes += frame.size_bytes
            self._update()

    def acknowledge(self, seq: int) -> None:
        """The client has dealt with everything up to the entry `seq`."""
        while self._unacknowledged and self._unacknowledged[0][0] <= seq:
            self._unacknowledged_bytes -= self._unacknowledged.popleft()[1]
        self._update()

    def pause(self) -> None:
        """The connection's send buffer is full."""
        self._paused = True
        self._update()

    def resume(self) -> None:
        """The connection's send buffer is empty."""
        self._paused = False
        self._update()

    def _update(self) -> None:
        if self._paused or self._unacknowledged_bytes >= self._limit_bytes:
            self._open.clear()
        else:
            self._open.set()
