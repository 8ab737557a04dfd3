"""What a driver asks the store to write for one run, as plain values."""

from __future__ import annotations

import uuid
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


class StepRow(NamedTuple):
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


class TaskRow(NamedTuple):
    """A question to people. `form` is canonical JSON, `assignees` are kinds and names."""

    uuid: uuid.UUID
    step: bytes
    node: str
    title: str
    instructions: str
    form: str
    quorum: int
    due_at: datetime | None
    assignees: tuple[tuple[str, str], ...]


class SnapshotRow(NamedTuple):
    """A snapshot without its state; `journal_size` is that of the entries up to it. Earlier releases kept none."""

    seq: int
    size: int | None
    journal_size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """How a driver lets go of a run: it is over (`finished_at` set), or somebody goes on at `wake_at`, or after mail.

    Mail that came in the meantime wins over `wake_at`: the run is due at once. So does a failed one, which mail can
    open again.
    """

    status: str | None
    """None: what stands there (status, error, end) stays, since the run was over before."""
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
    heartbeats: dict[bytes, str] = field(default_factory=dict)
    """By step whose tool is under way: JSON of what it has reported last."""
    ended_streams: list[bytes] = field(default_factory=list)
    """Steps whose chunks are no longer needed."""
    released_locks: list[bytes] = field(default_factory=list)
    """Steps that hold and wait for no lock any more."""
    tasks: list[TaskRow] = field(default_factory=list)
    ended_waits: list[bytes] = field(default_factory=list)
    """Steps that wait no more: their tasks are closed, if they are still open."""
    freed_signals: list[bytes] = field(default_factory=list)
    """Steps that were cancelled while they waited: a signal that was taken for one is kept for others."""
    tried: list[bytes] = field(default_factory=list)
    """Steps that are called next, in quarantine."""
    snapshot: str | None = None
    journal_size: int = 0
    """How much the entries up to here hold together, when `snapshot` is set."""
    kept_snapshots: list[int] | None = None
    """Seqs of the older snapshots worth keeping, when `snapshot` is set."""
    status: str | None = None
    """Another status of a run that goes on; it is not over, then, if it was before."""
    deadline_at: datetime | None = None
    """When the time of such a run is over; None leaves it as it is."""
    version_id: int | None = None
    """The version that the run was migrated to."""
    head: Head | None = None

    @property
    def has_extras(self) -> bool:
        """Whether it needs more than the three statements of a step."""
        return bool(
            self.errors
            or self.consumed
            or self.chunks
            or self.heartbeats
            or self.ended_streams
            or self.released_locks
            or self.tasks
            or self.ended_waits
            or self.freed_signals
            or self.tried
            or self.snapshot is not None
            or self.status is not None
            or self.version_id is not None
        )

    @property
    def rests(self) -> bool:
        """Whether the driver lets go of a run that mail can still move: it is not over, or has failed."""
        return self.head is not None and (self.head.finished_at is None or self.head.status == "failed")

    @property
    def size_bytes(self) -> int:
        return sum(len(event.data) for event in self.events) + len(self.snapshot or "")
