"""`advance`: an outcome comes in, the run moves, and what it concludes comes out.

The engine does no input or output, reads no clock and evaluates no expression; what time and tools decide comes in as
outcomes. So recovery feeds the journal's outcomes through the same function and gets the same run, and the same events
besides. An outcome for a step that is not awaited (a duplicate, a late one, one of an older attempt) changes nothing
and gives no events (rule R14).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never

from graphs.plan import Plan, ReducerError
from runs.engine import ids, keys
from runs.engine.attempts import awaited, decision_of, fail_attempt, record_part, reschedule, wait
from runs.engine.branches import Branch, Cause, Status
from runs.engine.breakpoints import hit, set_breakpoints
from runs.engine.cancelling import cancel_run
from runs.engine.children import FindPlan, learn_plan_of, settle_child, start_child
from runs.engine.closing import end_branch, settle, stop_collecting
from runs.engine.compensating import end_compensation, remember
from runs.engine.decisions import AwaitStep, CollectItem, Decision, FinishChild, InFlight, StartStep
from runs.engine.editing import edit
from runs.engine.ending import end_if_drained
from runs.engine.events import (
    AttemptFailed,
    BreakpointHit,
    BreakpointsSet,
    ChildStarted,
    Event,
    Failure,
    ItemCollected,
    ItemFailed,
    MapLimited,
    Outcome,
    PartRecorded,
    RunCancelled,
    RunForked,
    RunMigrated,
    RunPaused,
    RunReopened,
    RunResumed,
    RunStarted,
    RunTimedOut,
    StateEdited,
    StepCompleted,
    StepFailed,
    StepReleased,
    StepRescheduled,
    StepWaiting,
)
from runs.engine.failures import reopen, time_out
from runs.engine.maps import finish_item, limit_map, open_map
from runs.engine.migrating import migrate
from runs.engine.pausing import pause, release, resume
from runs.engine.positions import drop_inner, freeze, freeze_with_event
from runs.engine.routing import enter, follow, follow_handler
from runs.engine.scopes import Scope
from runs.engine.snapshots import load_state
from runs.engine.state import RunState
from runs.engine.turn import Turn
from runs.engine.writing import write_update

_WHILE_COMPENSATING = (
    StepCompleted,
    StepFailed,
    StepRescheduled,
    AttemptFailed,
    StepWaiting,
    PartRecorded,
    RunPaused,
    RunResumed,
    StepReleased,
    BreakpointsSet,
    BreakpointHit,
)
"""What has an effect on a run that undoes what it did; it can neither be cancelled nor run out of time any more."""


@dataclass(frozen=True, slots=True)
class Transition:
    """What an outcome led to. Without events it had no effect and must not be journaled."""

    state: RunState
    events: tuple[Event, ...]
    """The outcome itself, then the consequences."""
    decisions: tuple[Decision, ...]


def advance(plan: Plan, state: RunState | None, event: Outcome, find_plan: FindPlan | None = None) -> Transition:
    """Move the run by one outcome; `state` (None before the first) is changed in place.

    `plan` is the one that the run begins with; it and `find_plan` matter for the first outcome alone. Never raises for
    what a tool did. Raises ValueError for a first outcome with which no run begins.
    """
    if state is None:
        turn = _begin(plan, event, find_plan)
        state = turn.state
    else:
        turn = Turn(state, event)
        if not _apply(turn, event):
            return Transition(state, (), ())
    for scope in turn.over:  # which grows as maps close maps
        if scope.is_child:
            settle_child(turn, scope)
        else:
            finish_item(turn, scope, None if scope.is_stuck else scope.exported)
    end_if_drained(turn)
    return Transition(state, tuple(turn.events), tuple(turn.decisions))


def replay(
    plan: Plan, state: RunState | None, events: Iterable[Event], find_plan: FindPlan | None = None
) -> RunState | None:
    """Fold a journal: feed its outcomes through `advance` and skip the consequences, which come out again.

    `find_plan` finds the plans of subgraphs and of later versions.
    """
    for event in events:
        if isinstance(event, Outcome):
            if state is not None:
                learn_plan_of(state, event, find_plan)
            state = advance(plan, state, event, find_plan).state
    return state


def in_flight(state: RunState) -> tuple[InFlight, ...]:
    """The decisions whose outcomes are awaited, for a driver that takes the run over."""
    found: list[InFlight] = []
    for scope in state.scopes() if state.status == "running" else ():
        if scope.is_collecting and scope.owner is not None:
            found.append(CollectItem(step=scope.owner.id, index=scope.index))
        found += [_awaits(branch) for branch in scope.branches.values() if branch.status is Status.RUNNING]
    return tuple(found)


def _awaits(branch: Branch) -> StartStep | AwaitStep | FinishChild:
    return decision_of(branch) if branch.child is None else FinishChild(step=branch.id, attempt=branch.attempt)


def _begin(plan: Plan, event: Outcome, find_plan: FindPlan | None) -> Turn:
    match event:
        case RunStarted():
            root = Scope(plan, plan.root, dict(event.state))
            state = RunState(
                root,
                max_state_bytes=event.max_state_bytes,
                checks_schema=event.checks_schema,
                matches_inside=event.matches_inside,
            )
            turn = Turn(state, event)
            _begin_run(turn)
        case RunForked():
            turn = Turn(load_state(plan, event.snapshot, find_plan), event)
            turn.decisions += in_flight(turn.state)
        case _:
            raise ValueError(f"A run begins with RunStarted or RunForked, not with {type(event).__name__}.")
    return turn


def _begin_run(turn: Turn) -> None:
    root = turn.state.root
    first = Branch(id=ids.first(), key=keys.FIRST, node=root.graph.end, scope=root)
    enter(turn, first, (root.graph.spec.start_node,))
    settle(turn, root)


def _apply(turn: Turn, event: Outcome) -> bool:
    """Whether the outcome had an effect."""
    if turn.state.status != "running":
        return _apply_to_ended(turn, event)
    if turn.state.compensating is not None and not isinstance(event, _WHILE_COMPENSATING):
        return False
    match event:
        case StepCompleted():
            return _complete(turn, event)
        case StepFailed():
            return _fail(turn, event)
        case StepRescheduled():
            return reschedule(turn, event)
        case AttemptFailed():
            return fail_attempt(turn, event)
        case StepWaiting():
            return wait(turn, event)
        case PartRecorded():
            return record_part(turn, event)
        case ChildStarted():
            return _start_child(turn, event)
        case ItemCollected():
            return _collect(turn, event)
        case ItemFailed():
            return _fail_item(turn, event)
        case StateEdited():
            return edit(turn, event)
        case RunReopened():
            return reopen(turn, event)
        case RunPaused():
            return pause(turn, event)
        case RunResumed():
            return resume(turn)
        case StepReleased():
            return release(turn, event)
        case BreakpointsSet():
            return set_breakpoints(turn.state, event)
        case BreakpointHit():
            return hit(turn, event)
        case MapLimited():
            return limit_map(turn.state, event)
        case RunCancelled():
            return cancel_run(turn, event)
        case RunTimedOut():
            time_out(turn, event)
        case RunMigrated():
            return migrate(turn, event)
        case RunStarted() | RunForked():
            return False
        case _:
            assert_never(event)
    return True


def _apply_to_ended(turn: Turn, event: Outcome) -> bool:
    """A failed run can be edited, migrated, given breakpoints, and opened again; every other end is final."""
    if turn.state.status != "failed":
        return False
    match event:
        case StateEdited():
            return edit(turn, event)
        case RunMigrated():
            return migrate(turn, event)
        case RunReopened():
            return reopen(turn, event)
        case BreakpointsSet():
            return set_breakpoints(turn.state, event)
        case _:
            return False


def _complete(turn: Turn, event: StepCompleted) -> bool:
    branch = awaited(turn, event.step, event.attempt)
    if branch is None:
        return False
    if branch.undoes is not None:
        end_compensation(turn, branch, event)
        return True
    scope, node = branch.scope, branch.node
    map_plan = branch.node_plan.map
    branch.child = None
    try:
        write_update(turn, branch, event)
    except ReducerError as error:
        freeze_with_event(turn, branch, Cause.STEP, Failure(type="ReducerError", message=str(error)))
    else:
        if event.compensation is not None:
            remember(turn.state, branch, event.compensation)
        if map_plan is None or event.items is None:
            follow(turn, branch, event.route, event.payloads)
        else:
            open_map(turn, branch, map_plan, event)
    settle(turn, scope, node)
    return True


def _fail(turn: Turn, event: StepFailed) -> bool:
    branch = awaited(turn, event.step, event.attempt, or_open=True)
    if branch is None:
        return False
    if branch.undoes is not None:
        end_compensation(turn, branch, event)
        return True
    scope, node = branch.scope, branch.node
    if event.route is None and branch.child is not None and branch.child.scope.is_stuck:
        freeze(turn, branch, Cause.ITEMS, event.error)
    elif event.route is None:
        drop_inner(turn, branch)
        freeze(turn, branch, Cause.STEP, event.error)
    else:
        drop_inner(turn, branch)
        follow_handler(turn, branch, event.route, event.error)
    settle(turn, scope, node)
    return True


def _start_child(turn: Turn, event: ChildStarted) -> bool:
    branch = awaited(turn, event.step, event.attempt)
    if branch is None or branch.child is not None:
        return False
    start_child(turn, branch, event)
    return True


def _collect(turn: Turn, event: ItemCollected) -> bool:
    scope = turn.state.collecting(event.step, event.index)
    if scope is None:
        return False
    stop_collecting(turn, scope)
    finish_item(turn, scope, event.values)
    return True


def _fail_item(turn: Turn, event: ItemFailed) -> bool:
    scope = turn.state.collecting(event.step, event.index)
    if scope is None:
        return False
    stop_collecting(turn, scope)
    freeze(turn, end_branch(turn, scope), Cause.END, event.error)
    settle(turn, scope)
    return True
