"""One run inside a driver: the engine's state, the calls under way, and what is not yet on disk.

The circle of a step: a decision admits it, its tool is called, the outcome is fed to the engine, the engine's events
and the changed rows join the run's pending write, the write is committed, and only then (durability `sync`) the
decisions that came out of it are acted on. `async` acts at once and lets the commit overlap; `exit` commits when the
run ends or its driver lets go of it.

What has a meaning apart from that circle is in the parts: places, locks, deadlines, waits, mail, breakpoints, words,
quarantine, rest.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from django.conf import settings

from graphs.plan import Plan
from runs.driver import letters
from runs.driver.atomic import Turns
from runs.driver.breakpoints import Breakpoints
from runs.driver.calls import Order
from runs.driver.deadlines import Deadlines
from runs.driver.driven import Driven
from runs.driver.heads import final_head
from runs.driver.inbox import Inbox
from runs.driver.invoke import Call, Finished
from runs.driver.journal import Pending
from runs.driver.locks import Locks
from runs.driver.places import Places, is_later
from runs.driver.quarantine import Quarantine
from runs.driver.rest import Rest
from runs.driver.trial import Trial
from runs.driver.waiting import Waiting
from runs.driver.words import Words
from runs.engine import (
    advance,
    as_called_now,
    in_flight,
    is_in_flight,
    is_waiting,
    open_children,
)
from runs.engine.decisions import AwaitStep, CancelStep, CollectItem, Decision, FinishChild, InFlight, StartStep
from runs.engine.events import (
    BreakpointHit,
    ChildStarted,
    Outcome,
    PartRecorded,
    RunMigrated,
    RunPaused,
    RunResumed,
    StepCompleted,
    StepFailed,
    StepId,
    StepReleased,
    StepRescheduled,
    StepWaiting,
)
from runs.engine.locks import is_for_lock
from runs.models import Run
from runs.store import Head, RunWrite
from runs.store.base import Mail

logger = logging.getLogger(__name__)

MAX_TOLD = 200
"""How many of the steps that wait inside a driver others are told of."""


class Execution:
    """Drives one claimed run. Belongs to the event loop's thread; is the committer's `Writer` and a call's `Owner`."""

    def __init__(self, driven: Driven, plan: Plan) -> None:
        self.run = driven.run
        self._plan = plan
        self._driven = driven
        self._state = driven.state
        self._journal = journal = driven.journal
        self._services = driven.services
        self._settler = driven.settler
        self._calls = driven.calls
        self._over = False
        self.turns = Turns(is_free=lambda: not journal.is_committing, on_free=self.commit_soon)
        self._waiting = Waiting(driven, end=self._take_in_all)
        self._deadlines = Deadlines(driven, end_run=self._time_out, end_child=self._take_in_all)
        self._breakpoints = Breakpoints(driven.state)
        self._places = Places(driven, on_due=lambda: self._admit(()))
        self._locks = Locks(driven, on_held=self._lock_came, on_looked=self._rest_when_idle)
        self._trial = Trial(
            doubts=driven.doubts, alone_s=settings.WORKFLOW.quarantine_alone_s, on_survived=lambda: self._admit(())
        )
        self._quarantine = Quarantine(driven, trial=self._trial, places=self._places, circle=self)
        self._rest = Rest(driven, places=self._places, trial=self._trial)
        self._inbox = Inbox(
            driven,
            waiting=self._waiting,
            places=self._places,
            breakpoints=self._breakpoints,
            rest=self._rest,
            apply=lambda outcome, mail: self.apply(outcome, mail=mail),
            commit_soon=self.commit_soon,
        )
        self._words = Words(driven, apply=self.apply, commit_soon=self.commit_soon)

    @property
    def is_on_trial(self) -> bool:
        """Whether its driver is to call no step of another run."""
        return self.run.quarantined and not self._rest.draining

    # ---- what the driver tells it

    def begin(self, mail: Iterable[Mail]) -> None:
        """Go on where the journal ends, after taking in `mail`, which may end steps that are in flight.

        Steps whose worker died are journaled as their next attempt first.
        """
        before, letters_left = in_flight(self._state), list(mail)
        if letters_left and letters_left[0].kind == letters.MIGRATE:  # before anything goes by a name that it changes
            self._inbox.take_in(letters_left.pop(0))
            before = tuple(as_called_now(self._state, decision) for decision in before)
        if not self.run.quarantined:  # nothing was called, so a pause that has come may hold it
            self._take_up_all(before)
        for letter in letters_left:
            self._inbox.take_in(letter)
        if not self._deadlines.begin():
            self._rest.begun = True  # mail may open it again before it has left
            self._let_go(Head(status=None))
            return
        if self.run.quarantined:
            self._take_up_all(self._trial.in_order(before))
        self._waiting.listen(decision.step for decision in before if isinstance(decision, AwaitStep))
        for step, attempt, timeout_at in list(open_children(self._state)):
            self._deadlines.time_child(step, attempt, timeout_at)
        self._admit(())
        self._rest.begun = True
        if self.run.quarantined:
            self._quarantine.try_next()
        self._rest_when_idle()

    def _take_up_all(self, decisions: Iterable[InFlight]) -> None:
        for decision in decisions:
            self._take_up(decision)

    def _take_up(self, decision: InFlight) -> None:
        match decision:
            case StartStep(step=step) | AwaitStep(step=step) if not is_in_flight(self._state, step):
                pass  # the mail ended it; what it led to is on its way
            case AwaitStep(step=step) if not is_waiting(self._state, step):
                pass  # the mail answered its tool or brought its lock; its next attempt is on its way
            case StartStep() if self.run.quarantined and not is_later(decision):
                self._quarantine.suspect(decision)
            case StartStep():
                self._places.ask(decision)
            case AwaitStep():
                self._await(decision)
            case CollectItem() | FinishChild():
                self._settle(decision)

    def receive(self, mail: Mail) -> None:
        """Take in a message to the run, once, however often it is delivered before it is committed as read."""
        if not self._over and not self._journal.is_letting_go:
            self._inbox.take_in(mail)
            self._admit(())
            self._rest_when_idle()

    def learn(self, digest: str, plan: Plan) -> None:
        """Know the plan of a version before mail asks for it."""
        self._state.plans[digest] = plan

    def make_way(self, mail: Mail) -> None:
        """Let go of the run for a message that is taken in only as a driver begins with it, unless this one was."""
        if not self._inbox.has_taken_in(mail):
            self.drain()

    def drain(self) -> None:
        """Start nothing more, and let go of the run when the calls under way have ended."""
        self._rest.draining = True
        self._rest_when_idle()

    def give_back(self) -> None:
        """The grace time is over: give up the calls under way and let the next driver try them again."""
        self._rest.draining = True
        for step, call in list(self._calls.items()):
            call.give_up()
            if is_waiting(self._state, step):  # it only looked for its lock
                continue
            attempt = self._journal.row(step).attempt + 1
            reason = "its worker was stopped"
            self.apply(StepRescheduled(step=step, attempt=attempt, reason=reason, heartbeat=call.heartbeat))
        self._calls.clear()
        self._rest_when_idle()

    def abandon(self) -> None:
        """The driver is lost: stop calls and write nothing more."""
        self._end()

    # ---- what the committer tells it

    @property
    def awaits_commits(self) -> bool:
        return self.run.durability != Run.Durability.ASYNC

    def take_write(self) -> RunWrite | None:
        return None if self._over or self.turns.is_taken else self._journal.take(self._state)

    def committed(self, write: RunWrite) -> None:
        committed = self._journal.committed()
        if write.head is not None:
            self._end()
            return
        for kept in committed.kept:
            kept()
        self.turns.go_on()
        self._admit(committed.starts)
        self._waiting.listen(committed.listeners)
        if self._journal.pending is not None:
            self.commit_soon()
        self._rest_when_idle()

    def lost(self) -> None:
        logger.warning("Run %s is driven by somebody else now; letting go of it.", self.run.uuid)
        self._end()

    def not_called(self) -> dict[str, list[str]]:
        """The steps that are given out and not called, by what they wait for; at most `MAX_TOLD` of each."""
        waiting = {
            "place": self._places.without_place(),
            "executor": [step for step, call in self._calls.items() if call.waits_for_executor],
        }
        return {what: [step.hex() for step in steps[:MAX_TOLD]] for what, steps in waiting.items() if steps}

    # ---- what an atomic tool tells it

    def conclude(self, start: StartStep, finished: Finished) -> RunWrite | None:
        """Take in what an atomic tool returned. Return what its thread is to write, if the step has completed."""
        outcome = self._finished(start, finished)
        return self._journal.take(self._state) if isinstance(outcome, StepCompleted) else None

    def sealed(self, write: RunWrite, error: BaseException | None) -> None:
        """An atomic tool's thread has committed the write, or could not, and the tool has done nothing."""
        if self._over:
            return
        if error is None:
            self.committed(write)
        else:
            # What was concluded is not so. Whoever claims the run next goes on from what is on disk.
            logger.warning("Run %s lost the transaction of an atomic step: %s", self.run.uuid, error)
            self._end()

    # ---- the circle

    def _admit(self, starts: Iterable[StartStep]) -> None:
        tried = None
        for start in starts:
            if self._trial.tries(start.step):
                tried = start
            else:
                self._places.ask(start)
        if self._rest.draining or self._over or self._journal.is_letting_go or self._journal.is_far_ahead:
            return
        if tried is not None:
            self._start(tried)
            if self._trial.tries(tried.step):
                self._trial.called(tried.step)
        if not self.run.quarantined:
            for start in self._places.admit():
                self._start(start)
        elif self._rest.begun:
            self._quarantine.try_next()

    def _start(self, start: StartStep) -> None:
        for hit in self._breakpoints.before(start):
            self.apply(hit)
            if hit.stops:
                return
        call = self._calls[start.step] = Call(partial(self._finished, start))
        deadline = self._deadlines.of_step(start.step)
        order = Order(
            call=call,
            start=start,
            run=self.run,
            state=self._state,
            deadline=deadline,
            owner=self,
            listener=self._words,
            lockers=self._locks.needed_by(start.step),
            on_held=self._locks.hold,
        )
        self._services.caller.start(order)

    def _lock_came(self, holder: StepId) -> None:
        """The step has its lock. If it is a call whose subgraph goes on, others in there may have waited for that."""
        while (outcome := self._inbox.lock_came(holder)) is not None:
            self._take_in_all([outcome])

    def _finished(self, start: StartStep, finished: Finished) -> Outcome:
        deadline = self._deadlines.of_step(start.step)
        outcome, *more = self._settler.settle(self._state, start, finished, deadline=deadline)
        if finished.traceback:
            finished = replace(finished, traceback=self._settler.conceal(self._state, start.step, finished.traceback))
        del self._calls[start.step]
        self._places.release(start.step)
        self._trial.acquit(start.step)
        if finished.claim is not None:
            finished.claim.settle(finished.value) if isinstance(outcome, StepCompleted) else finished.claim.drop()
        self.apply(outcome, finished=finished)
        for consequence in more:
            self.apply(consequence)
        self._admit(())
        self._rest_when_idle()
        return outcome

    def apply(self, outcome: Outcome, *, finished: Finished | None = None, mail: Mail | None = None) -> None:
        """Feed the outcome to the engine and do what it concludes."""
        was_over, was_paused = self._state.status != "running", self._state.is_paused
        hidden = self._settler.hidden_keys(self._state, outcome) if self._plan.calls_graphs else ()
        transition = advance(self._plan, self._state, outcome)
        if mail is not None and not transition.events:
            self._inbox.refuse(mail, letters.WITHOUT_EFFECT)
            return
        pending = self._journal.record(transition, finished=finished, mail=mail, hidden=hidden)
        if transition.events:
            if was_over and self._state.status == "running":
                self._open_again(pending.write)
            if self._state.is_paused != was_paused:
                pending.write.status = Run.Status.PAUSED if self._state.is_paused else Run.Status.RUNNING
            match outcome:
                case StepCompleted(step=step) | StepFailed(step=step):
                    self._clear(step)
                case ChildStarted(step=step, attempt=attempt, timeout_at=timeout_at):
                    self._deadlines.time_child(step, attempt, timeout_at)
                case RunMigrated():
                    self._go_on_as_migrated()
                case StepWaiting() if finished is not None:  # it begins to wait
                    pending.write.tasks += self._waiting.tasks_of(outcome)
                case PartRecorded(step=step, attempt=attempt) if is_waiting(self._state, step):
                    self._call_again(step, attempt)
                case RunPaused(held=held):
                    self._take_back(held)
                case BreakpointHit(step=step, held=held, stops=True):
                    self._take_back((step, *held))
                case RunResumed() | StepReleased():
                    self._breakpoints.release(transition.decisions)
            if not was_over and self._state.status != "running":  # before acting, which may have events of its own
                self._locks.give_back_all()
                pending.write.status = None
                pending.write.head = final_head(self._state.status, transition.events, at=pending.write.at)
            self._act(transition.decisions, pending)
            for hit in self._breakpoints.after(transition, pending.write.steps):
                self.apply(hit)
        self.commit_soon()

    def _take_back(self, steps: Iterable[StepId]) -> None:
        """Steps that were given out and not called are held by the engine; it will give them out again."""
        for step in steps:
            self._journal.withdraw(step)
            self._places.take_back(step)
            self._trial.acquit(step)

    def _go_on_as_migrated(self) -> None:
        """Nothing has been given out yet, so that nothing knows the version before."""
        self._settler.remember(self._plan)
        self._plan = self._state.root.graph
        self._places.renew()
        self._deadlines.renew()
        self._settler.forget_sizes()

    def _open_again(self, write: RunWrite) -> None:
        """The run was over, and goes on: with all its time before it again."""
        write.head = None
        write.status = Run.Status.PAUSED if self._state.is_paused else Run.Status.RUNNING
        self._deadlines.begin_again(write)

    def _act(self, decisions: Iterable[Decision], pending: Pending) -> None:
        for decision in decisions:
            match decision:
                case StartStep(step=step) if self.run.durability == Run.Durability.SYNC or self._trial.tries(step):
                    pending.starts.append(decision)
                case StartStep():
                    self._places.ask(decision)
                case CancelStep(step=step):
                    self._give_up(step)
                case AwaitStep(step=step):
                    self._await(decision)
                    if not is_for_lock(decision.wait):
                        pending.listeners.append(step)
                case CollectItem() | FinishChild():
                    self._settle(decision)

    def _settle(self, decision: CollectItem | FinishChild) -> None:
        """What is inside a step is over: it only has to be taken in."""
        if isinstance(decision, CollectItem):
            self.apply(self._settler.collect(self._state, decision))
        else:
            deadline = self._deadlines.of_step(decision.step)
            for outcome in self._settler.finish_child(self._state, decision, deadline=deadline):
                self.apply(outcome)

    def _await(self, decision: AwaitStep) -> None:
        """Let the step be woken when what it waits for comes by itself, or has come already."""
        self._waiting.expect(decision)
        if is_for_lock(decision.wait):
            self._locks.look(decision)

    def _time_out(self, outcome: Outcome) -> None:
        self.apply(outcome)
        self._admit(())

    def _take_in_all(self, outcomes: Iterable[Outcome]) -> None:
        """The clock or the outside ended a step; this comes of it."""
        for outcome in outcomes:
            self.apply(outcome)
        self._admit(())
        self._rest_when_idle()

    def _call_again(self, step: StepId, attempt: int) -> None:
        """The question of a tool was answered."""
        self._waiting.end(step)
        self.apply(StepRescheduled(step=step, attempt=attempt + 1, reason="its question was answered"))

    def _give_up(self, step: StepId) -> None:
        """The step is not wanted any more, wherever it is: waiting for a commit, for a place, or under way."""
        self._journal.withdraw(step)
        self._places.forget(step)
        if call := self._calls.pop(step, None):
            call.give_up()
        self._clear(step)

    def _clear(self, step: StepId) -> None:
        """The step is over: nothing rings for it, and it kills no worker any more."""
        self._waiting.end(step)
        self._places.clear(step)
        self._journal.end_stream(step)
        self._locks.give_back(step)
        self._trial.acquit(step)

    def commit_soon(self) -> None:
        pending = self._journal.pending
        if pending is None or self._over or self.turns.is_taken:
            return
        # What waits for the outside has to be seen there, and who is tried, whatever becomes of this process.
        must_be_seen = pending.write.head is not None or pending.listeners or pending.write.tried
        if self.run.durability == Run.Durability.EXIT and not must_be_seen:
            return
        self._services.committer.submit(self)

    # ---- letting go

    def _rest_when_idle(self) -> None:
        """Let go of the run when it has nothing to do, or is to be drained and does nothing."""
        if not self._over and (head := self._rest.head()) is not None:
            self._let_go(head)

    def _let_go(self, head: Head) -> None:
        write = self._journal.gather().write
        write.tried.clear()  # nobody will be called
        if write.head is None:
            write.head = head
        self.commit_soon()

    def _end(self) -> None:
        self._over = True
        self._driven.alarms.close()
        self._trial.close()
        for call in self._calls.values():
            call.give_up()
        self._calls.clear()
        self._services.on_over(self)
