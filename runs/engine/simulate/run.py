"""The driver of a simulation: what the real one does, with a virtual clock and without a database.

The circle is the real driver's: a decision is admitted, its script is called, the outcome is fed to `advance`, and the
decisions that come out are acted on. A call takes no real time; its result is kept until its virtual time is over.

When the worker dies, all is thrown away that a worker has in memory: the state, the calls under way, the alarms. What
a database or the world holds stays: the journal, signals that have come and are not consumed, what people are about
to answer. The state is folded from the journal and must be what it was; the calls that were under way are made again
as the next attempt.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from datetime import datetime, timedelta
from functools import partial
from typing import assert_never

from graphs.errors import GraphsError
from graphs.plan import Plan
from graphs.spec import HumanSpec, WaitSpec
from runs.engine import (
    Raised,
    Returned,
    RunState,
    advance,
    dump_state,
    in_flight,
    parts_of,
    preview,
    replay,
    view,
)
from runs.engine.branches import Branch, Status
from runs.engine.compensating import undoing_call
from runs.engine.decisions import AwaitStep, CancelStep, CollectItem, Decision, FinishChild, StartStep
from runs.engine.events import (
    AttemptFailed,
    Event,
    Json,
    Outcome,
    PartRecorded,
    RunCancelled,
    RunFailed,
    RunPaused,
    RunResumed,
    RunStarted,
    RunTimedOut,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepId,
    StepRescheduled,
    StepWaiting,
)
from runs.engine.locks import callers_of, is_for_lock, lock_came, lockers_of, name_of, too_late, wait_for
from runs.engine.people import begin_interrupt, is_task, said
from runs.engine.simulate.agenda import Action, Agenda
from runs.engine.simulate.calls import Calls
from runs.engine.simulate.definitions import initial_state
from runs.engine.simulate.errors import Diverged, SimulationError
from runs.engine.simulate.locks import Locks
from runs.engine.simulate.outcomes import raised
from runs.engine.simulate.records import Records
from runs.engine.simulate.results import SimulatedError, Simulation
from runs.engine.simulate.scenario import Scenario
from runs.engine.simulate.scripts import Answers, Done
from runs.engine.simulate.waiting import Waiting, begin_wait, task_of
from runs.engine.throttle import throttle_of
from runs.engine.waits import WaitInvalid, moments_of
from tools import Context, Parts
from tools.errors import PartInvalid
from tools.parts import Interrupt, interrupt_in


class SimulatedRun:
    """One run of a plan, from its start to its end or to where nothing more happens."""

    def __init__(self, plan: Plan, scenario: Scenario, calls: Calls) -> None:
        self._plan = plan
        self._scenario = scenario
        self._calls = calls
        self._agenda = Agenda(scenario.starts_at, order=scenario.order)
        answers = {node: Answers(node, given) for node, given in scenario.answers.items()}
        self._waiting = Waiting(self._agenda, answers=answers, settle=self._settle_wait)
        self._locks = Locks()
        self._records = Records(scenario.starts_at)
        self._journal: list[tuple[datetime, Event]] = []
        self._deaths = scenario.deaths
        self._completed: set[StepId] = set()
        started = RunStarted(state=initial_state(plan, scenario.state), checks_schema=True, matches_inside=True)
        transition = advance(plan, None, started)
        self._take_up(transition.state)
        self._note(transition.events)
        self._act_on(transition.decisions)

    def play(self) -> Simulation:
        """Until nothing more happens."""
        self._plan_the_world()
        self._die_if_due(grown=True)
        while self._state.status == "running":
            entries = len(self._journal)
            if not self._agenda.do_next():
                break
            self._die_if_due(grown=len(self._journal) > entries)
        if self._deaths:
            message = f"The worker cannot die after entry {self._deaths[0]}: the journal has {len(self._journal)}."
            raise SimulationError(message)
        return self._result()

    def _plan_the_world(self) -> None:
        """What comes from outside, whatever the run does."""
        begin, agenda, limit_s = self._scenario.starts_at, self._agenda, self._plan.limits.timeout_s
        for signal in self._scenario.signals:
            agenda.add(begin + timedelta(seconds=signal.at_s), partial(self._waiting.receive, signal), is_durable=True)
        ends: list[tuple[float | None, Outcome]] = [
            (self._scenario.cancel_at_s, RunCancelled()),
            (limit_s, RunTimedOut(limit_s=limit_s or 0)),
        ]
        for resumed_at_s in self._scenario.resumes:
            agenda.add(begin + timedelta(seconds=resumed_at_s), partial(self._feed, RunResumed()), is_durable=True)
        for at_s, outcome in ends:
            if at_s is not None:
                agenda.add(begin + timedelta(seconds=at_s), partial(self._feed, outcome), is_durable=True)

    # ---- the circle

    def _feed(self, *outcomes: Outcome) -> None:
        """Take in all of them, in order, before anything starts that follows from them."""
        for outcome in outcomes:
            transition = advance(self._plan, self._state, outcome)
            self._note(transition.events)
            if isinstance(outcome, RunPaused):
                for held in outcome.held:
                    self._throttle.forget(held)
            for decision in transition.decisions:
                self._act(decision)
        self._admit()

    def _note(self, events: Iterable[Event]) -> None:
        for event in events:
            self._journal.append((self._agenda.now, event))
            self._records.note(event, at=self._agenda.now)
            if isinstance(event, StepCompleted):
                self._completed.add(event.step)
            if isinstance(event, StepCompleted | StepFailed | AttemptFailed | StepCancelled):
                self._let_go(event.step)
            if isinstance(event, StepCompleted | StepFailed | StepCancelled):
                self._unlock(event.step)

    def _act_on(self, decisions: Iterable[Decision]) -> None:
        for decision in decisions:
            self._act(decision)
        self._admit()

    def _admit(self) -> None:
        for start in self._throttle.admit():
            self._begin(start)

    def _act(self, decision: Decision) -> None:
        match decision:
            case StartStep(not_before=due):
                self._calls.since.setdefault(decision.step, self._agenda.now)
                at = datetime.fromisoformat(due) if due else self._agenda.now
                if at > self._agenda.now:
                    self._schedule(at, decision, partial(self._ask_for_a_place, decision))
                else:
                    self._throttle.add(decision)
            case AwaitStep(step=step):
                self._under_way.pop(step, None)
                self._throttle.release(step)
                if is_for_lock(decision.wait):
                    for at, _ in moments_of(decision.wait):
                        self._agenda.add(at, partial(self._lock_late, decision))
                else:
                    self._waiting.add(decision, self._state.branches[step].node_plan.spec, view(self._state, step))
            case CancelStep(step=step):
                self._records.end(step, "cancelled", at=self._agenda.now)
                self._let_go(step)
                self._unlock(step)
            case CollectItem():
                self._agenda.add(self._agenda.now, partial(self._collect, decision))
            case FinishChild():
                self._schedule(self._agenda.now, decision, partial(self._finish_child, decision))
            case _:
                assert_never(decision)

    def _ask_for_a_place(self, start: StartStep) -> None:
        self._throttle.add(start)
        self._admit()

    def _let_go(self, step: StepId) -> None:
        """Its attempt is over, or it is not wanted any more."""
        self._throttle.forget(step)
        self._waiting.forget(step)
        self._under_way.pop(step, None)

    def _schedule(self, at: datetime, decision: StartStep | FinishChild, action: Action) -> None:
        """Do it at that time if the step is still awaited then."""
        self._agenda.add(at, lambda: action() if self._is_awaited(decision) else None)

    def _is_awaited(self, decision: StartStep | AwaitStep | FinishChild) -> bool:
        branch = self._state.branches.get(decision.step)
        return branch is not None and branch.attempt == decision.attempt and branch.status is Status.RUNNING

    # ---- a step

    def _begin(self, start: StartStep) -> None:
        """The step has its place."""
        if start.step in self._completed:
            raise Diverged(f'The step of "{start.node}" has completed, and was to run again.')
        branch = self._state.branches[start.step]
        self._under_way[start.step] = start
        undoing = None if branch.undoes is None else undoing_call(self._state)
        saw = dict(view(self._state, start.step).state) if undoing is None else undoing.state
        self._records.begin(start, saw, at=self._agenda.now)
        self._take_locks(start, branch)

    def _work(self, start: StartStep) -> None:
        """The step has its place, and its lock."""
        now, branch = self._agenda.now, self._state.branches[start.step]
        spec = branch.node_plan.spec
        if branch.tool is not None:
            done = self._calls.call(self._state, start, self._context(start), now=now)
            self._records.called(start.step, done.arguments)
            self._schedule(now + timedelta(seconds=done.takes_s), start, partial(self._finish, start, done))
        elif spec.graph is not None:
            self._schedule(now, start, partial(self._open_child, start))
        elif waits_for := spec.wait or spec.human:
            self._schedule(now, start, partial(self._begin_wait, start, waits_for))
        else:
            self._schedule(now, start, partial(self._finish, start, Done()))

    def _context(self, start: StartStep) -> Context:
        return Context(
            run_id="simulation",
            step_id=start.step.hex(),
            node=start.node,
            attempt=start.attempt,
            parts=Parts(parts_of(self._state, start.step), record=partial(self._record, start)),
            on_log=lambda message, level: self._records.add_line(start, message, level, at=self._agenda.now),
        )

    def _record(self, start: StartStep, name: str, value: Json) -> Future[None]:
        """Keep a part of a tool. Nothing else follows from it."""
        part = PartRecorded(step=start.step, attempt=start.attempt, name=name, value=value)
        self._note(advance(self._plan, self._state, part).events)
        kept: Future[None] = Future()
        kept.set_result(None)
        return kept

    def _finish(self, start: StartStep, done: Done) -> None:
        asked = interrupt_in(done.error)
        if asked is not None:
            self._begin_interrupt(start, asked)
            return
        self._records.gave(start.step, done.value)
        self._feed(*self._calls.outcome(self._state, start, done, now=self._agenda.now))

    def _collect(self, decision: CollectItem) -> None:
        self._feed(self._calls.collected(self._state, decision))

    # ---- a lock

    def _take_locks(self, start: StartStep, branch: Branch) -> None:
        """Take what the step needs, and work; or wait."""
        for each in lockers_of(branch):
            try:
                name = name_of(each)
            except GraphsError as error:
                self._schedule(self._agenda.now, start, partial(self._finish, start, Done(error=error)))
                return
            if not self._locks.take(name, each.id, within=callers_of(each)):
                deadline, now = self._calls.deadline(branch.node_plan, start.step), self._agenda.now
                wait = wait_for(name, step=start.step, holder=each.id, now=now, deadline=deadline)
                waiting = StepWaiting(step=start.step, attempt=start.attempt, wait=wait)
                self._schedule(now, start, partial(self._feed, waiting))
                return
        self._work(start)

    def _unlock(self, step: StepId) -> None:
        """The step is over: others may have its lock, and are told."""
        for granted in self._locks.release(step):
            self._agenda.add(self._agenda.now, partial(self._lock_came, granted), is_durable=True)

    def _lock_came(self, holder: StepId) -> None:
        while (outcome := lock_came(self._state, holder)) is not None:
            self._feed(outcome)

    def _lock_late(self, decision: AwaitStep) -> None:
        if self._is_awaited(decision):
            late = too_late(decision.wait)
            self._feed(*self._calls.raised(self._state, decision.step, late, now=self._agenda.now))

    # ---- a subgraph

    def _open_child(self, start: StartStep) -> None:
        now, step = self._agenda.now, start.step
        self._under_way.pop(step, None)
        self._throttle.release(step)
        self._feed(self._calls.open_child(self._state, start))
        branch = self._state.branches.get(step)
        if branch is None or branch.child is None:
            return  # it could not be opened, or was over at once
        timeout_at = self._calls.child_timeout_at(self._state, step, now=now)
        if timeout_at is not None:
            self._agenda.add(timeout_at, partial(self._end_child, start), is_durable=True)

    def _end_child(self, start: StartStep) -> None:
        """Its time is over, if it still runs."""
        branch = self._state.branches.get(start.step)
        if branch is not None and branch.attempt == start.attempt and branch.status is Status.OPEN:
            self._feed(*self._calls.child_too_long(self._state, start.step, now=self._agenda.now))

    def _finish_child(self, decision: FinishChild) -> None:
        outcomes = self._calls.child_over(self._state, decision, now=self._agenda.now)
        child = self._state.branches[decision.step].child
        if child is not None and isinstance(outcomes[0], StepCompleted):
            self._records.gave(decision.step, child.scope.state({}))
        self._feed(*outcomes)

    # ---- a wait

    def _begin_wait(self, start: StartStep, spec: WaitSpec | HumanSpec) -> None:
        try:
            wait = begin_wait(spec, view(self._state, start.step), start, now=self._agenda.now)
        except (GraphsError, WaitInvalid) as error:
            self._feed(self._calls.resolved(self._state, start.step, start.attempt, raised(error)))
        else:
            self._feed(StepWaiting(step=start.step, attempt=start.attempt, wait=wait))

    def _begin_interrupt(self, start: StartStep, asked: Interrupt) -> None:
        try:
            wait = begin_interrupt(asked, task=task_of(start), now=self._agenda.now)
        except PartInvalid as error:
            self._feed(self._calls.resolved(self._state, start.step, start.attempt, raised(error)))
        else:
            self._feed(StepWaiting(step=start.step, attempt=start.attempt, wait=wait))

    def _settle_wait(self, decision: AwaitStep, result: Returned | Raised) -> None:
        if not self._is_awaited(decision):
            return
        name = decision.wait.get("interrupt")
        if name is not None and isinstance(result, Returned):
            part = PartRecorded(step=decision.step, attempt=decision.attempt, name=name, value=said(result))
            self._feed(part)
            reason = "its question was answered"
            self._feed(StepRescheduled(step=decision.step, attempt=decision.attempt + 1, reason=reason))
        else:
            if isinstance(result, Returned):
                self._records.gave(decision.step, said(result) if is_task(decision.wait) else result.value)
            self._feed(self._calls.resolved(self._state, decision.step, decision.attempt, result))

    # ---- the death of the worker

    def _take_up(self, state: RunState) -> None:
        """A worker has the run."""
        self._state = state
        self._under_way: dict[StepId, StartStep] = {}
        """Steps whose work dies with the worker."""
        self._throttle = throttle_of(state)

    def _die_if_due(self, *, grown: bool) -> None:
        due = [length for length in self._deaths if length <= len(self._journal)]
        self._deaths = self._deaths[len(due) :]
        if due or (grown and self._scenario.kill_at == "everywhere"):
            self._die()

    def _die(self) -> None:
        """Throw away what a worker has in memory, and let another one take over."""
        lost, before = self._under_way, dump_state(self._state)
        self._agenda.forget_volatile()
        self._waiting.lose_all()
        state = replay(self._plan, None, (event for _, event in self._journal), self._calls.find_plan)
        if state is None or dump_state(state) != before:
            raise Diverged(f"The fold of the first {len(self._journal)} entries is not the state that the run had.")
        self._take_up(state)
        for decision in in_flight(state):
            if decision.step not in lost or not isinstance(decision, StartStep):
                self._act(decision)
        for step, start in lost.items():
            self._records.end(step, "lost", at=self._agenda.now)
            self._feed(StepRescheduled(step=step, attempt=start.attempt + 1, reason="its worker died"))
        self._admit()

    # ---- the end

    def _result(self) -> Simulation:
        state = self._state
        errors = [error for _, event in self._journal[-1:] if isinstance(event, RunFailed) for error in event.errors]
        return Simulation(
            status=state.status if state.status != "running" else "paused" if state.is_paused else "waiting",
            state=preview(state).values,
            steps=tuple(self._records.steps),
            errors=tuple(
                SimulatedError(node=node, type=error.type, message=error.message) for _, node, error in errors
            ),
            log=tuple(self._records.log),
            events=tuple(event for _, event in self._journal),
            times=tuple(at for at, _ in self._journal),
            duration_s=self._records.seconds(self._journal[-1][0]),
        )
