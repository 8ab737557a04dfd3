"""A run in memory, read as the stream reads the database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection
from datetime import UTC, datetime

from runs.redaction import Redaction
from runs.store.writes import EventRow
from runs.stream.frames import Frame, StreamedChunk, chunks_frame, events_frame
from runs.stream.reader import Head
from tests.support.waiting import WAIT_S

AT = datetime(2026, 11, 23, tzinfo=UTC)
STEP = b"\x01" * 10


class Journal:
    """A `Reader` of one run with id 1, written to by the test. Every read yields to the loop once."""

    def __init__(self) -> None:
        self.status = "running"
        self.entries: list[EventRow] = []
        self.chunks_in_flight: list[StreamedChunk] = []
        self.deleted = False
        self.entry_reads = 0
        self.failure: Exception | None = None

    def write(self, count: int = 1, *, padding: int = 0) -> None:
        for _ in range(count):
            data = json.dumps({"node": "work", "padding": "x" * padding})
            self.entries.append(EventRow(len(self.entries) + 1, "StepCompleted", 1, AT, data))

    def stream(self, text: str) -> None:
        number = len(self.chunks_in_flight)
        self.chunks_in_flight.append(StreamedChunk(number + 1, STEP, "work", number, text))

    def finish(self, status: str = "completed") -> None:
        self.status = status

    @property
    def head(self) -> Head:
        return Head(seq=len(self.entries), status=self.status, chunk=len(self.chunks_in_flight))

    async def heads(self, run_ids: Collection[int]) -> dict[int, Head]:
        await asyncio.sleep(0)
        self._fail_if_told()
        return {} if self.deleted else dict.fromkeys(run_ids, self.head)

    async def events(self, run_id: int, *, after: int, upto: int) -> Frame | None:
        await asyncio.sleep(0)
        self._fail_if_told()
        self.entry_reads += 1
        entries = (entry for entry in self.entries if after < entry.seq <= upto)
        return events_frame(entries, Redaction(None))

    async def chunks(self, run_id: int, *, after: int, upto: int, seq: int) -> Frame | None:
        await asyncio.sleep(0)
        return chunks_frame((chunk for chunk in self.chunks_in_flight if after < chunk.id <= upto), seq=seq)

    def close(self) -> None:
        pass

    def _fail_if_told(self) -> None:
        if self.failure is not None:
            raise self.failure


class Follower:
    """Collects what it is given; takes it frame by frame."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self._came = asyncio.Event()

    def take(self, frame: Frame) -> None:
        self.frames.append(frame)
        self._came.set()

    @property
    def seqs(self) -> list[int]:
        messages = [json.loads(frame.text) for frame in self.frames]
        return [event["seq"] for message in messages if message["type"] == "events" for event in message["events"]]

    @property
    def streamed(self) -> list[str]:
        messages = [json.loads(frame.text) for frame in self.frames]
        return [chunk["text"] for message in messages if message["type"] == "stream" for chunk in message["chunks"]]

    async def until(self, seq: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while not self.frames or self.frames[-1].seq < seq:
                self._came.clear()
                await self._came.wait()
