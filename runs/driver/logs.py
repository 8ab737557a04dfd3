"""What a tool says while it runs: log lines for the journal, streamed text for whoever watches.

Both come from any thread and are bounded; past a bound one marker says that something is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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


def clean(text: object) -> str:
    """Text that every database stores: no NUL, no lone surrogate."""
    return str(text).replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def cut(text: str, max_bytes: int) -> str:
    """At most `max_bytes` of UTF-8, with a marker where something is missing."""
    data = text.encode()
    if len(data) <= max_bytes:
        return text
    return data[: max(max_bytes - len(CUT.encode()), 0)].decode("utf-8", "ignore") + CUT
