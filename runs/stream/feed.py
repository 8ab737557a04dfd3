"""One run that somebody follows."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from runs.models import Run
from runs.stream.frames import Frame
from runs.stream.reader import Head, Reader

KEPT_FRAMES = 64
KEPT_BYTES = 1024 * 1024


@dataclass(slots=True, kw_only=True)
class Position:
    """How far one follower has come. It starts after `seq` and is moved by `Feed.follow` alone."""

    seq: int
    chunk: int = 0
    turn: int | None = None
    """The number of the frame it takes next; None until it has caught up with the database."""


class Feed:
    """The newest frames of a run, and the way to everything before them.

    Frames are numbered in the order in which they came. `seq` and `chunk` say how far the frames lead; `status` is
    the run's status there, and None once the run has been deleted.
    """

    def __init__(self, run_id: int, reader: Reader) -> None:
        self.run_id = run_id
        self.seq = 0
        self.chunk = 0
        self.status: str | None = Run.Status.PENDING
        self.followers = 0
        self._reader = reader
        self._kept: deque[Frame] = deque()
        self._kept_bytes = 0
        self._next = 0
        self._changed = asyncio.Event()
        self._begun = False
        self._failure: Exception | None = None

    @property
    def is_over(self) -> bool:
        return self.status is None or self.status in Run.TERMINAL

    async def advance(self, head: Head | None) -> None:
        """Take in what is new up to `head`; what was there before the first call stays in the database."""
        if head is not None and self._begun:
            await self._take_in(head)
        elif head is not None:
            self.seq, self.chunk, self._begun = head.seq, head.chunk, True
        self.status = head.status if head else None
        self._notify()

    def fail(self, failure: Exception) -> None:
        """Its entries cannot be read: those who follow it get the exception."""
        self._failure = failure
        self._notify()

    async def follow(self, position: Position) -> AsyncGenerator[Frame, None]:
        """Yield every frame after `position`, each as soon as it is there; end with the run.

        The follower asks for a frame when it has room for one, however long that takes.
        """
        while True:
            if position.turn is None or position.turn < self._next - len(self._kept):
                async for frame in self._catch_up(position):
                    yield frame
            elif position.turn < self._next:
                frame = self._kept[position.turn - self._next]
                position.turn += 1
                position.seq, position.chunk = frame.seq, max(position.chunk, frame.chunk)
                yield frame
            elif self._failure:
                raise self._failure
            elif self.is_over:
                return
            else:
                await self._changed.wait()

    async def _catch_up(self, position: Position) -> AsyncGenerator[Frame, None]:
        """Yield frames from the database up to where the feed is, and put the follower in line for the next."""
        while position.seq < self.seq:
            frame = await self._reader.events(self.run_id, after=position.seq, upto=self.seq)
            if frame is None:
                break  # the run is being deleted
            position.seq = frame.seq
            yield frame
        # From here on nothing is missed: what comes while chunks are read is kept as the turns after this one.
        turn, newest = self._next, self.chunk
        while position.chunk < newest:
            frame = await self._reader.chunks(self.run_id, after=position.chunk, upto=newest, seq=position.seq)
            position.chunk = frame.chunk if frame else newest
            if frame:
                yield frame
        position.turn = turn

    async def _take_in(self, head: Head) -> None:
        # Entries first: a step's output then follows the entry that started the step, and a completed step has none.
        while self.seq < head.seq:
            frame = await self._reader.events(self.run_id, after=self.seq, upto=head.seq)
            if frame is None:
                return
            self.seq = frame.seq
            self._keep(frame)
        while self.chunk < head.chunk:
            frame = await self._reader.chunks(self.run_id, after=self.chunk, upto=head.chunk, seq=self.seq)
            self.chunk = frame.chunk if frame else head.chunk
            if frame:
                self._keep(frame)

    def _keep(self, frame: Frame) -> None:
        self._kept.append(frame)
        self._kept_bytes += frame.size_bytes
        self._next += 1
        while len(self._kept) > KEPT_FRAMES or (self._kept_bytes > KEPT_BYTES and len(self._kept) > 1):
            self._kept_bytes -= self._kept.popleft().size_bytes
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
