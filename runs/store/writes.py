"""What a driver asks the store to write for one run, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple


class EventRow(NamedTuple):
    """One journal entry. `data` is canonical JSON."""

    seq: int
    type: str
    v: int
    at: datetime
    data: str


@dataclass(slots=True, kw_only=True)
class StepRow:
    """The projection of one step, written as a whole."""

    step: bytes
    node: str
    path: str
    status: str
    attempt: int
    scheduled_seq: int
    scheduled_at: datetime
    started_at: datetime | None = None
    finished_seq: int | None = None
    finished_at: datetime | None = None
    error: str = ""


class ErrorRow(NamedTuple):
    """The error of one attempt."""

    step: bytes
    attempt: int
    at: datetime
    type: str
    message: str
    traceback: str


class ChunkRow(NamedTuple):
    """A piece of streamed output of a step in flight."""

    step: bytes
    number: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """How a driver lets go of a run: it is over (`wake_at` None, `finished_at` set), or somebody goes on later.

    Mail that came in the meantime wins over `wake_at`: the run is due at once.
    """

    status: str
    error: str = ""
    finished_at: datetime | None = None
    wake_at: datetime | None = None
    quarantined: bool = False


@dataclass(slots=True, kw_only=True)
class RunWrite:
    """Everything of one run that is committed together. `expected_seq` is the seq it continues."""

    run_id: int
    epoch: int
    expected_seq: int
    seq: int
    at: datetime
    events: list[EventRow] = field(default_factory=list)
    steps: dict[bytes, StepRow] = field(default_factory=dict)
    errors: list[ErrorRow] = field(default_factory=list)
    consumed: list[tuple[int, int]] = field(default_factory=list)
    """(mail id, seq at which it was taken in)."""
    chunks: list[ChunkRow] = field(default_factory=list)
    ended_streams: list[bytes] = field(default_factory=list)
    """Steps whose chunks are no longer needed."""
    snapshot: str | None = None
    kept_snapshots: list[int] | None = None
    """Seqs of the older snapshots worth keeping, when `snapshot` is set."""
    head: Head | None = None

    @property
    def has_extras(self) -> bool:
        """Whether it needs more than the three statements of a step."""
        return bool(self.errors or self.consumed or self.chunks or self.ended_streams or self.snapshot is not None)

    @property
    def size_bytes(self) -> int:
        return sum(len(event.data) for event in self.events) + len(self.snapshot or "")
