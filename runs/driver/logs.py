"""What a tool says while it runs: log lines for the journal, streamed text for whoever watches, heartbeats.

They come from any thread. Log and stream are bounded; past a bound one marker says that something is missing. A
heartbeat whose details are too large is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings

from tools.strict_json import Json, encode

CUT = "… [cut]"
LEVELS = frozenset({"debug", "info", "warning", "error"})

Emit = Callable[[str, str], None]


@dataclass(slots=True)
class BoundedLog:
    """Passes log lines on until a step has said enough."""

    emit: Emit
    max_line_bytes: int
    max_step_bytes: int
    said_bytes: int = 0

    def __call__(self, message: str, level: str = "info") -> None:
        if self.said_bytes > self.max_step_bytes:
            return
        line = cut(clean(message), self.max_line_bytes)
        self.said_bytes += len(line.encode())
        if self.said_bytes > self.max_step_bytes:
            self.emit(f"The log of this step passed {self.max_step_bytes} bytes; the rest is not kept.", "warning")
        else:
            self.emit(line, level if level in LEVELS else "info")


@dataclass(slots=True)
class BoundedStream:
    """Passes streamed text on until a step has streamed enough."""

    emit: Callable[[str], None]
    max_step_bytes: int
    said_bytes: int = 0

    def __call__(self, text: str) -> None:
        left_bytes = self.max_step_bytes - self.said_bytes
        piece = clean(text) if left_bytes >= 0 else ""
        if piece:  # an empty one would cost a row and count for nothing
            self.said_bytes += len(piece.encode())
            self.emit(cut(piece, left_bytes))


def checked_details(details: Json) -> Json:
    """The details of a heartbeat as plain JSON that nobody else holds. Raises JsonInvalid."""
    limits = settings.WORKFLOW
    return encode(details, max_bytes=limits.max_heartbeat_bytes, max_depth=limits.max_json_depth)[1]


def clean(text: object) -> str:
    """Text that every database stores: no NUL, no lone surrogate."""
    return str(text).replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def cut(text: str, max_bytes: int) -> str:
    """At most `max_bytes` of UTF-8, with a marker where something is missing."""
    data = text.encode()
    if len(data) <= max_bytes:
        return text
    return data[: max(max_bytes - len(CUT.encode()), 0)].decode("utf-8", "ignore") + CUT
