"""What a run's engine concluded, on its way to disk.

Events, changed rows and all else gather in one write until the committer takes it; the next gathers while that one is
being committed. Steps that may start only when their predecessor is on disk wait with the write that makes it so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from runs.driver.invoke import Finished
from runs.driver.snapshots import SnapshotPolicy
from runs.engine import RunState, Transition, dump_state
from runs.engine.decisions import StartStep
from runs.engine.events import AttemptFailed, Event, Failure, Json, JsonObject, StepCancelled, StepFailed, StepId
from runs.projection import Projection, Provenance
from runs.store import ClaimedRun, RunWrite
from runs.store.base import Mail
from runs.store.writes import ChunkRow, ErrorRow, EventRow, StepRow
from tools import strict_json

MAX_AHEAD = 100
"""Entries that may wait for a write under way before a run that does not wait for its commits does."""
MAX_TYPE_CHARS = 200


@dataclass(slots=True)
class Pending:
    """What gathers between two commits: the write, and what begins once it is made."""

    write: RunWrite
    starts: list[StartStep] = field(default_factory=list)
    listeners: list[StepId] = field(default_factory=list)
    """Steps whose waits the outside may end as soon as it can be proved that they wait."""
    kept: list[Callable[[], None]] = field(default_factory=list)
    """Tells tools that go on when a part of theirs is on disk."""


class Journal:
    """The writes of one run."""

    def __init__(
        self,
        *,
        run: ClaimedRun,
        projection: Projection,
        snapshots: SnapshotPolicy,
        streamed: dict[StepId, int],
        locked: Iterable[StepId] = (),
    ) -> None:
        """`streamed` has the numbers with which the steps in flight go on streaming; `locked` are those with a lock."""
        self._run = run
        self._seq = run.seq
        self._projection = projection
        self._snapshots = snapshots
        self._chunks = streamed
        self._locked = set(locked)
        self._pending: Pending | None = None
        self._committing: Pending | None = None

    # ---- what gathers

    @property
    def pending(self) -> Pending | None:
        """What waits to be committed."""
        return self._pending

    @property
    def is_committing(self) -> bool:
        return self._committing is not None

    @property
    def is_letting_go(self) -> bool:
        """Whether the write under way gives the run away: whatever comes now is for its next driver."""
        return self._committing is not None and self._committing.write.head is not None

    @property
    def is_far_ahead(self) -> bool:
        """Whether so much waits for the write under way that nothing should be added: a crash would lose it all, and
        the next transaction would keep everybody else waiting."""
        return self.is_committing and self._pending is not None and len(self._pending.write.events) >= MAX_AHEAD

    @property
    def has_listeners(self) -> bool:
        """Whether there are waits that begin with the next commit."""
        return self._pending is not None and bool(self._pending.listeners)

    def gather(self) -> Pending:
        """What waits to be committed, as of now. Whoever gathers decides anew whether the run comes to rest with it."""
        now = datetime.now(UTC)
        if self._pending is None:
            run, seq = self._run, self._seq
            self._pending = Pending(RunWrite(run_id=run.id, epoch=run.epoch, expected_seq=seq, seq=seq, at=now))
        write = self._pending.write
        write.at = now
        if write.head is not None and write.head.finished_at is None:
            write.head = None
        return self._pending

    def record(
        self, transition: Transition, *, finished: Finished | None, mail: Mail | None, hidden: Sequence[str] = ()
    ) -> Pending:
        """Add what an outcome led to; `mail` brought it, or `finished` did. Without events only the mail is noted.

        `hidden` are the state keys in it that the schema of a subgraph marks secret.
        """
        pending = self.gather()
        write = pending.write
        if mail is not None:
            write.consumed.append((mail.id, self._seq + 1))
        if transition.events:
            recorded = self._projection.record(
                transition.events,
                transition.decisions,
                after_seq=self._seq,
                at=write.at,
                provenance=_provenance(finished, mail, hidden),
            )
            self._add(write, recorded.events)
            write.steps.update((row.step, row) for row in recorded.steps)
            if write.heartbeats:  # of attempts before; their end tells what is worth keeping
                for row in recorded.steps:
                    write.heartbeats.pop(row.step, None)
            _end_waits(write, recorded.ended_waits, transition.events)
            outcome = transition.events[0]
            if isinstance(outcome, StepFailed | AttemptFailed):
                trace = "" if finished is None else finished.traceback
                write.errors.append(_error_row(outcome.step, outcome.attempt, write.at, outcome.error, trace))
        return pending

    def tell(self, type_: str, data: JsonObject) -> None:
        """Add an entry that changes no state."""
        write = self.gather().write
        self._add(write, [EventRow(self._seq + 1, type_, 1, write.at, strict_json.dumps(data))])

    def note(self, mail: Mail) -> None:
        """Take in mail that changes nothing by itself."""
        self.gather().write.consumed.append((mail.id, self._seq + 1))

    def refuse(self, mail: Mail, reason: str) -> None:
        """Take in mail that cannot be understood, so that no other driver stumbles over it, and tell of it."""
        self.note(mail)
        self.tell("MailRefused", {"kind": mail.kind, "reason": reason, "actor": mail.actor})

    def stream(self, step: StepId, text: str) -> None:
        """Add a piece of what a step streams; it is kept until the step is over.

        The number goes on over all attempts of the step: watchers have seen the pieces of earlier ones.
        """
        number = self._chunks.get(step, 0)
        self._chunks[step] = number + 1
        self.gather().write.chunks.append(ChunkRow(step, number, text))

    def beat(self, step: StepId, details: Json) -> None:
        """Keep what a tool has reported, for the attempt after the death of this process."""
        self.gather().write.heartbeats[step] = strict_json.dumps(details)

    def end_stream(self, step: StepId) -> None:
        """The step is over: what it streamed is no longer needed."""
        if self._chunks.pop(step, None) is not None:
            self.gather().write.ended_streams.append(step)

    def lock(self, step: StepId) -> None:
        """The step is about to take a lock, which is given back with its end."""
        self._locked.add(step)

    def unlock(self, step: StepId) -> None:
        """The step is over: others may have its lock."""
        if step in self._locked:
            self._locked.remove(step)
            self.gather().write.released_locks.append(step)

    def unlock_all(self) -> None:
        """The run is over."""
        for step in list(self._locked):
            self.unlock(step)

    def try_out(self, step: StepId) -> None:
        """The step is about to be called in quarantine; should this process die now, the step is to blame."""
        self.gather().write.tried.append(step)

    def withdraw(self, step: StepId) -> None:
        """The step is not to start after all, if it still waits for a commit."""
        for gathered in filter(None, (self._pending, self._committing)):
            gathered.starts = [start for start in gathered.starts if start.step != step]
            gathered.listeners = [listener for listener in gathered.listeners if listener != step]

    def starts(self) -> list[StepId]:
        """The steps that start when what leads to them is on disk."""
        return [start.step for gathered in (self._committing, self._pending) if gathered for start in gathered.starts]

    def row(self, step: StepId) -> StepRow:
        """The row of a step that may still change."""
        return self._projection.row(step)

    # ---- on its way

    def take(self, state: RunState) -> RunWrite | None:
        """The next write, if none is under way. With a snapshot of `state`, which it leads to, if one is due."""
        if self._pending is None or self._committing is not None:
            return None
        self._committing, self._pending = self._pending, None
        write = self._committing.write
        if self._snapshots.is_due:
            write.snapshot = strict_json.dumps(dump_state(state))
            write.journal_size = self._snapshots.journal_bytes
            write.kept_snapshots = self._snapshots.add(write.seq, len(write.snapshot))
        return write

    def committed(self) -> Pending:
        """The write is on disk. Return what was committed, with the steps that may start or listen now."""
        committed, self._committing = self._committing, None
        assert committed is not None  # noqa: S101 - only what was taken can be committed
        return committed

    def _add(self, write: RunWrite, rows: list[EventRow]) -> None:
        write.events += rows
        write.seq = self._seq = rows[-1].seq
        self._snapshots.count(sum(len(row.data) for row in rows))


def _provenance(finished: Finished | None, mail: Mail | None, hidden: Sequence[str]) -> Provenance:
    actor = None if mail is None else mail.actor
    if finished is None:
        return Provenance(actor=actor, hidden=hidden)
    return Provenance(took_ms=finished.took_ms, cached_from=finished.cached_from, actor=actor, hidden=hidden)


def _end_waits(write: RunWrite, steps: list[StepId], events: Iterable[Event]) -> None:
    """Close what was open to the outside for these steps. A task that is not on disk yet is never opened."""
    if steps:
        write.ended_waits += steps
        write.tasks = [task for task in write.tasks if task.step not in steps]
        cancelled = {event.step for event in events if isinstance(event, StepCancelled)}
        write.freed_signals += [step for step in steps if step in cancelled]


def _error_row(step: StepId, attempt: int, at: datetime, error: Failure, trace: str) -> ErrorRow:
    return ErrorRow(step, attempt, at, error.type[:MAX_TYPE_CHARS], error.message, trace)
