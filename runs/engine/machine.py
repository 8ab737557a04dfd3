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
from runs.engine.closing import end_branch, settle, stop_collecting
from runs.engine.decisions import CollectItem, Decision, StartStep
from runs.engine.editing import edit
from runs.engine.events import (
    Event,
    Failure,
    ItemCollected,
    ItemFailed,
    Outcome,
    RunCancelled,
    RunReopened,
    RunStarted,
    RunTimedOut,
    StateEdited,
    StepCompleted,
    StepFailed,
    StepId,
    StepRescheduled,
)
from runs.engine.failures import cancel_run, fail_if_drained, reopen, time_out
from runs.engine.maps import finish_item, open_map
from runs.engine.positions import freeze, freeze_with_event, start_of
from runs.engine.routing import enter, follow, follow_handler
from runs.engine.state import Branch, Cause, RunState, Scope, Status
from runs.engine.turn import Turn
from runs.engine.writing import write_update


@dataclass(frozen=True, slots=True)
class Transition:
    """What an outcome led to. Without events it had no effect and must not be journaled."""

    state: RunState
    events: tuple[Event, ...]
    """The outcome itself, then the consequences."""
    decisions: tuple[Decision, ...]


def advance(plan: Plan, state: RunState | None, event: Outcome) -> Transition:
    """Move the run by one outcome; `state` (None before RunStarted) is changed in place.

    Never raises for what a tool did. Raises ValueError for a first outcome that is not RunStarted.
    """
    if state is None:
        if not isinstance(event, RunStarted):
            raise ValueError(f"A run begins with RunStarted, not with {type(event).__name__}.")
        state = RunState(Scope(plan.root, dict(event.state)))
        turn = Turn(plan, state, event)
        _begin_run(turn)
    else:
        turn = Turn(plan, state, event)
        if not _apply(turn, event):
            return Transition(state, (), ())
    for scope in turn.over:  # which grows as maps close maps
        finish_item(turn, scope, None if scope.is_stuck else scope.exported)
    fail_if_drained(turn)
    return Transition(state, tuple(turn.events), tuple(turn.decisions))


def replay(plan: Plan, state: RunState | None, events: Iterable[Event]) -> RunState | None:
    """Fold a journal: feed its outcomes through `advance` and skip the consequences, which come out again."""
    for event in events:
        if isinstance(event, Outcome):
            state = advance(plan, state, event).state
    return state


def in_flight(state: RunState) -> tuple[StartStep | CollectItem, ...]:
    """The decisions whose outcomes are awaited, for a driver that takes the run over."""
    awaited: list[StartStep | CollectItem] = []
    for scope in state.root.with_inner() if state.status == "running" else ():
        if scope.is_collecting and scope.owner is not None:
            awaited.append(CollectItem(step=scope.owner.id, index=scope.index))
        awaited += [start_of(branch) for branch in scope.branches.values() if branch.status is Status.RUNNING]
    return tuple(awaited)


def _begin_run(turn: Turn) -> None:
    root = turn.state.root
    first = Branch(id=ids.first(), key=keys.FIRST, node=turn.plan.end, scope=root)
    enter(turn, first, (turn.plan.spec.start_node,))
    settle(turn, root)


def _apply(turn: Turn, event: Outcome) -> bool:
    """Whether the outcome had an effect."""
    if turn.state.status != "running":
        return _apply_to_ended(turn, event)
    match event:
        case StepCompleted():
            return _complete(turn, event)
        case StepFailed():
            return _fail(turn, event)
        case StepRescheduled():
            return _reschedule(turn, event)
        case ItemCollected():
            return _collect(turn, event)
        case ItemFailed():
            return _fail_item(turn, event)
        case StateEdited():
            edit(turn, event)
        case RunReopened():
            return reopen(turn, event)
        case RunCancelled():
            cancel_run(turn)
        case RunTimedOut():
            time_out(turn, event)
        case RunStarted():
            return False
        case _:
            assert_never(event)
    return True


def _apply_to_ended(turn: Turn, event: Outcome) -> bool:
    """A failed run can be edited and opened again; every other end is final."""
    if turn.state.status != "failed":
        return False
    match event:
        case StateEdited():
            edit(turn, event)
            return True
        case RunReopened():
            return reopen(turn, event)
        case _:
            return False


def _awaited(turn: Turn, step: StepId, attempt: int) -> Branch | None:
    branch = turn.state.branches.get(step)
    if branch is None or branch.status is not Status.RUNNING or branch.attempt != attempt:
        return None
    return branch


def _complete(turn: Turn, event: StepCompleted) -> bool:
    branch = _awaited(turn, event.step, event.attempt)
    if branch is None:
        return False
    scope, node = branch.scope, branch.node
    map_plan = turn.plan.nodes[node].map
    try:
        write_update(turn, branch, event)
    except ReducerError as error:
        freeze_with_event(turn, branch, Cause.STEP, Failure(type="ReducerError", message=str(error)))
    else:
        if map_plan is None or event.items is None:
            follow(turn, branch, event.route)
        else:
            open_map(turn, branch, map_plan, event.items)
    settle(turn, scope, node)
    return True


def _fail(turn: Turn, event: StepFailed) -> bool:
    branch = _awaited(turn, event.step, event.attempt)
    if branch is None:
        return False
    scope, node = branch.scope, branch.node
    if event.route is None:
        freeze(turn, branch, Cause.STEP, event.error)
    else:
        follow_handler(turn, branch, event.route, event.error)
    settle(turn, scope, node)
    return True


def _reschedule(turn: Turn, event: StepRescheduled) -> bool:
    branch = turn.state.branches.get(event.step)
    if branch is None or branch.status is not Status.RUNNING or event.attempt <= branch.attempt:
        return False
    branch.attempt = event.attempt
    turn.decisions.append(start_of(branch))
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
