"""One run inside a driver: the engine's state, the calls under way, and what is not yet on disk.

The circle of a step: a decision admits it, its tool is called, the outcome is fed to the engine, the engine's events
and the changed rows join the run's pending write, the write is committed, and only then (durability `sync`) the
decisions that came out of it are acted on. `async` acts at once and lets the commit overlap; `exit` commits when the
run ends or its driver lets go of it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from graphs.plan import Plan
from graphs.spec import MapRoute
from runs.driver.heads import final_head
from runs.driver.invoke import Call, Finished
from runs.driver.results import Settler
from runs.driver.services import Services
from runs.driver.snapshots import SnapshotPolicy
from runs.driver.throttle import Throttle
from runs.engine import RunState, advance, dump_state, in_flight
from runs.engine.decisions import CancelStep, CollectItem, Decision, StartStep
from runs.engine.events import (
    Outcome,
    RunCancelled,
    RunTimedOut,
    StepCompleted,
    StepFailed,
    StepId,
    StepRescheduled,
)
from runs.engine.state import Status
from runs.models import Run
from runs.projection import Projection
from runs.store import ClaimedRun, Head, RunWrite, takeover
from runs.store.base import Mail
from runs.store.writes import ChunkRow, ErrorRow, EventRow
from tools import strict_json

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Pending:
    """What gathers between two commits: the write, and the steps to start once it is made."""

    write: RunWrite
    starts: list[StartStep] = field(default_factory=list)


class Execution:
    """Drives one claimed run. Belongs to the event loop's thread; implements the committer's `Writer`."""

    def __init__(
        self,
        *,
        run: ClaimedRun,
        plan: Plan,
        state: RunState,
        projection: Projection,
        snapshots: SnapshotPolicy,
        services: Services,
    ) -> None:
        self.run = run
        self._plan = plan
        self._state = state
        self._projection = projection
        self._snapshots = snapshots
        self._settler = Settler(plan)
        self._services = services
        self._loop = asyncio.get_running_loop()
        self._throttle = Throttle(
            max_parallel=plan.limits.max_parallel, max_items=self._max_items, is_over=state.is_item_over
        )
        self._calls: dict[StepId, Call] = {}
        self._chunks: dict[StepId, int] = {}
        self._seq = run.seq
        self._pending: Pending | None = None
        self._committing: Pending | None = None
        self._timeout: asyncio.TimerHandle | None = None
        self._received: set[int] = set()
        self._draining = False
        self._over = False
        self._suspects: set[StepId] = set()
        """Steps that were in flight when their worker died; while one is left, the run stays in quarantine."""

    # ---- what the driver tells it

    def begin(self, mail: Iterable[Mail]) -> None:
        """Go on where the journal ends, after taking in `mail`, which may end steps that are in flight.

        Steps whose worker died are journaled as their next attempt first.
        """
        before = in_flight(self._state)
        for letter in mail:
            self.receive(letter)
        if not self._set_timeout():
            return
        for decision in before:
            match decision:
                case StartStep(step=step) if not self._is_in_flight(step):
                    pass  # the mail ended it; what it led to is on its way
                case StartStep(step=step, attempt=attempt) if self.run.quarantined:
                    self._suspects.add(step)
                    self._apply(StepRescheduled(step=step, attempt=attempt + 1, reason="its worker died"))
                case StartStep():
                    self._throttle.add(decision)
                case CollectItem():
                    self._apply(self._settler.collect(self._state, decision))
        self._admit(())
        if self.run.quarantined:
            self._leave_quarantine_when_cleared()

    def _set_timeout(self) -> bool:
        """Whether the run may go on: it is not over, and its time has not run out, which ends it at once."""
        limit_s = self._plan.limits.timeout_s
        if limit_s is not None and self._state.status == "running":
            left_s = limit_s - (datetime.now(UTC) - self.run.started_at).total_seconds()
            if left_s <= 0:
                self._time_out(limit_s)
            else:
                self._timeout = self._loop.call_later(left_s, self._time_out, limit_s)
        return self._state.status == "running"

    def _time_out(self, limit_s: float) -> None:
        if self._state.status == "running":
            self._apply(RunTimedOut(limit_s=limit_s))

    def receive(self, mail: Mail) -> None:
        """Take in a message to the run, once, however often it is delivered before it is committed as read."""
        if self._over or self._state.status != "running" or mail.id in self._received:
            return
        self._received.add(mail.id)
        payload = json.loads(mail.payload)
        match mail.kind:
            case "cancel":
                self._apply(RunCancelled(reason=payload["reason"]), mail=mail)
            case takeover.CRASHED:
                step = bytes.fromhex(payload["step"])
                # Without effect, but read, when an earlier message has ended the step.
                attempt = self._projection.row(step).attempt if self._is_in_flight(step) else 0
                self._apply(self._settler.crash(self._state, step, attempt, payload["crashes"]), mail=mail)
            case _:
                raise ValueError(f"Mail {mail.id} is of the unknown kind {mail.kind!r}.")
        self._admit(())

    def drain(self) -> None:
        """Start nothing more, and let go of the run when the calls under way have ended."""
        self._draining = True
        self._let_go_when_idle()

    def give_back(self) -> None:
        """The grace time is over: give up the calls under way and let the next driver try them again."""
        self._draining = True
        for step, call in list(self._calls.items()):
            call.give_up()
            attempt = self._projection.row(step).attempt + 1
            self._apply(StepRescheduled(step=step, attempt=attempt, reason="its worker was stopped"))
        self._calls.clear()
        self._let_go_when_idle()

    def abandon(self) -> None:
        """The driver is lost: stop calls and write nothing more."""
        self._end()

    # ---- what the committer tells it

    def take_write(self) -> RunWrite | None:
        if self._over or self._pending is None or self._committing is not None:
            return None
        self._committing, self._pending = self._pending, None
        write = self._committing.write
        if self._snapshots.is_due:
            write.snapshot = strict_json.dumps(dump_state(self._state))
            write.kept_snapshots = self._snapshots.add(write.seq, len(write.snapshot))
        return write

    def committed(self, write: RunWrite) -> None:
        pending, self._committing = self._committing, None
        if write.head is not None:
            self._end()
            return
        if pending is not None:
            self._admit(pending.starts)
        if self._pending is not None:
            self._commit_soon()
        else:
            self._let_go_when_idle()

    def lost(self) -> None:
        logger.warning("Run %s is driven by somebody else now; letting go of it.", self.run.uuid)
        self._end()

    # ---- what a tool tells it, through its context

    def log(self, start: StartStep, message: str, level: str) -> None:
        """Journal a line that a tool logs."""
        if start.step not in self._calls:
            return
        pending = self._gather()
        line = {"step": start.step.hex(), "node": start.node, "level": level, "message": message}
        row = EventRow(self._seq + 1, "LogWritten", 1, pending.write.at, strict_json.dumps(line))
        self._add_events(pending.write, [row])
        self._commit_soon()

    def stream(self, start: StartStep, text: str) -> None:
        """Pass on a piece of what a tool streams; it is kept until the step is over."""
        if start.step not in self._calls:
            return
        number = self._chunks.get(start.step, 0)
        self._chunks[start.step] = number + 1
        self._gather().write.chunks.append(ChunkRow(start.step, number, text))
        self._commit_soon()

    # ---- the circle

    def _max_items(self, node: str) -> int | None:
        route = self._plan.node(node).spec.next
        return route.max_parallel if isinstance(route, MapRoute) else None

    def _admit(self, starts: Iterable[StartStep]) -> None:
        for start in starts:
            self._throttle.add(start)
        if self._draining or self._over:
            return
        for start in self._throttle.admit():
            call = self._calls[start.step] = Call(partial(self._finished, start))
            self._services.caller.start(
                call, start, run_id=str(self.run.uuid), plan=self._plan, state=self._state, listener=self
            )

    def _finished(self, start: StartStep, finished: Finished) -> None:
        outcome = self._settler.settle(self._state, start, finished)
        del self._calls[start.step]
        self._throttle.release(start.step)
        self._apply(outcome, finished=finished)
        self._admit(())
        self._let_go_when_idle()

    def _apply(self, outcome: Outcome, *, finished: Finished | None = None, mail: Mail | None = None) -> None:
        transition = advance(self._plan, self._state, outcome)
        pending = self._gather()
        write = pending.write
        if mail is not None:
            write.consumed.append((mail.id, self._seq + 1))
        if transition.events:
            recorded = self._projection.record(
                transition.events,
                transition.decisions,
                after_seq=self._seq,
                at=write.at,
                took_ms=None if finished is None else finished.took_ms,
                actor=None if mail is None else mail.actor,
            )
            self._add_events(write, recorded.events)
            write.steps.update((row.step, row) for row in recorded.steps)
            if isinstance(outcome, StepCompleted | StepFailed):
                self._close_step(outcome, finished, write)
            elif isinstance(outcome, StepRescheduled):
                self._chunks.pop(outcome.step, None)
                write.ended_streams.append(outcome.step)
            if self._state.status != "running":  # before acting, which may end the run with events of its own
                write.head = final_head(self._state.status, transition.events, at=write.at)
            self._act(transition.decisions, pending)
        self._commit_soon()

    def _act(self, decisions: Iterable[Decision], pending: Pending) -> None:
        for decision in decisions:
            match decision:
                case StartStep() if self.run.durability == Run.Durability.SYNC:
                    pending.starts.append(decision)
                case StartStep():
                    self._throttle.add(decision)
                case CancelStep(step=step):
                    self._give_up(step, pending.write)
                case CollectItem():
                    self._apply(self._settler.collect(self._state, decision))

    def _is_in_flight(self, step: StepId) -> bool:
        branch = self._state.branches.get(step)
        return branch is not None and branch.status is Status.RUNNING

    def _give_up(self, step: StepId, write: RunWrite) -> None:
        """The step is not wanted any more, wherever it is: waiting for a commit, for a place, or under way."""
        for gathered in (self._pending, self._committing):
            if gathered is not None:
                gathered.starts = [start for start in gathered.starts if start.step != step]
        self._throttle.forget(step)
        if call := self._calls.pop(step, None):
            call.give_up()
        self._clear(step, write)

    def _close_step(self, outcome: StepCompleted | StepFailed, finished: Finished | None, write: RunWrite) -> None:
        if isinstance(outcome, StepFailed):
            trace = "" if finished is None else finished.traceback
            error = outcome.error
            write.errors.append(
                ErrorRow(outcome.step, outcome.attempt, write.at, error.type[:200], error.message, trace)
            )
        self._clear(outcome.step, write)

    def _clear(self, step: StepId, write: RunWrite) -> None:
        """The step is over: what it streamed is no longer needed, and it kills no worker any more."""
        if self._chunks.pop(step, None) is not None:
            write.ended_streams.append(step)
        if step in self._suspects:
            self._suspects.remove(step)
            self._leave_quarantine_when_cleared()

    # ---- the write

    def _gather(self) -> Pending:
        now = datetime.now(UTC)
        if self._pending is None:
            run, seq = self.run, self._seq
            self._pending = Pending(RunWrite(run_id=run.id, epoch=run.epoch, expected_seq=seq, seq=seq, at=now))
        self._pending.write.at = now
        return self._pending

    def _add_events(self, write: RunWrite, rows: list[EventRow]) -> None:
        write.events += rows
        write.seq = self._seq = rows[-1].seq
        self._snapshots.count(sum(len(row.data) for row in rows))

    def _commit_soon(self) -> None:
        if self._pending is None or self._over:
            return
        if self.run.durability == Run.Durability.EXIT and self._pending.write.head is None:
            return
        self._services.committer.submit(self)

    # ---- letting go

    def _leave_quarantine_when_cleared(self) -> None:
        if not self._suspects:
            self.drain()

    def _let_go_when_idle(self) -> None:
        if not self._draining or self._over or self._calls or self._committing is not None:
            return
        write = self._gather().write
        if write.head is None:
            still_suspect = self.run.quarantined and bool(self._suspects)
            write.head = Head(status=Run.Status.RUNNING, wake_at=datetime.now(UTC), quarantined=still_suspect)
        self._commit_soon()

    def _end(self) -> None:
        self._over = True
        if self._timeout is not None:
            self._timeout.cancel()
        for call in self._calls.values():
            call.give_up()
        self._calls.clear()
        self._services.on_over(self)
