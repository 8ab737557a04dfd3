"""Frames: what happened, encoded once for everybody who follows the run."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from runs.log import JournalEntry, log_lines, render
from runs.redaction import Redaction

FRAME_BYTES = 256 * 1024
"""Where a frame ends; a single entry that is larger is a frame of its own."""
FRAME_ENTRIES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One WebSocket message, and how far in the run it leads."""

    text: str
    lines: tuple[str, ...] = ()
    """The same for clients that want plain text."""
    size_bytes: int
    seq: int
    chunk: int = 0
    """The id of the newest chunk of streamed output in it."""


class StreamedChunk(NamedTuple):
    """A piece of a step's streamed output: a `StreamChunk` row with the name of its step's node."""

    id: int
    step: bytes | memoryview
    node: str | None
    number: int
    text: str


def dump(message: object) -> str:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


def events_frame(entries: Iterable[JournalEntry], redaction: Redaction) -> Frame | None:
    """Encode journal entries in order until the frame is full. None if there are none."""
    encoded: list[str] = []
    lines: list[str] = []
    size_bytes = seq = 0
    for entry in islice(entries, FRAME_ENTRIES):
        message = render(entry, redaction)
        text = dump(message)
        size = len(text.encode())
        if encoded and size_bytes + size > FRAME_BYTES:
            break
        encoded.append(text)
        lines += log_lines(entry.type, message["data"])
        size_bytes += size
        seq = entry.seq
    if not encoded:
        return None
    text = f'{{"type":"events","events":[{",".join(encoded)}]}}'
    return Frame(text=text, lines=tuple(lines), size_bytes=size_bytes, seq=seq)


def chunks_frame(chunks: Iterable[StreamedChunk], *, seq: int) -> Frame | None:
    """Encode streamed output in order until the frame is full; `seq` is where the journal stands."""
    messages: list[dict[str, object]] = []
    size_bytes = last = 0
    for chunk in islice(chunks, FRAME_ENTRIES):
        size = len(chunk.text.encode())
        if messages and size_bytes + size > FRAME_BYTES:
            break
        messages.append(
            {"step": bytes(chunk.step).hex(), "node": chunk.node, "number": chunk.number, "text": chunk.text}
        )
        size_bytes += size
        last = chunk.id
    if not messages:
        return None
    return Frame(text=dump({"type": "stream", "chunks": messages}), size_bytes=size_bytes, seq=seq, chunk=last)
