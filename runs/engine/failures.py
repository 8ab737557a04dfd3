"""Failures of the run as a whole: out of time, and opened again (rule R9).

A failure freezes its branch and nothing else. The others go on until nothing can run; then the run has failed, with all
its errors. Opening it again thaws what is frozen, and the result is that of a run in which it never failed.
"""

from __future__ import annotations

from collections.abc import Iterator

from runs.engine.attempts import start_anew
from runs.engine.branches import Branch, Cause, Frozen, Status
from runs.engine.closing import end_branch, stop_collecting
from runs.engine.decisions import CancelStep
from runs.engine.events import Failure, RunReopened, RunTimedOut
from runs.engine.maps import conclude_again, reopen_branch, unstick
from runs.engine.pausing import held, settle_scopes
from runs.engine.positions import begin, drop_inner, freeze_with_event, is_fatal, leave
from runs.engine.scopes import Scope
from runs.engine.turn import Turn


def time_out(turn: Turn, event: RunTimedOut) -> None:
    """Freeze what is in flight or held by a pause, so that the run can be opened again where it was."""
    error = Failure(type="RunTimedOut", message=f"The run has used up its limits.timeout_s of {event.limit_s:g} s.")
    for scope in turn.state.root.with_inner():
        for branch in scope.branches.values():
            if branch.status is Status.RUNNING:
                turn.decisions.append(CancelStep(step=branch.id))
                freeze_with_event(turn, branch, Cause.STEP, error)
            elif branch.status is Status.HELD and turn.state.is_paused:
                freeze_with_event(turn, branch, Cause.STEP if branch.is_counted else Cause.LIMIT, error)
                branch.is_counted = False
        if scope.is_collecting:
            stop_collecting(turn, scope)
            freeze_with_event(turn, end_branch(turn, scope), Cause.END, error)


def reopen(turn: Turn, event: RunReopened) -> bool:
    """Thaw the branches that are named, or all. Return whether any of them can be thawed."""
    if turn.state.is_cancelling or turn.state.compensating is not None:
        return False
    chosen = {
        branch: frozen
        for branch, frozen in _chosen(turn, event)
        if not frozen.unresolved and not _is_being_settled(branch.scope)
    }
    if not chosen:
        return False
    turn.state.status = "running"
    for branch, frozen in chosen.items():
        _thaw(branch, frozen)
    fatal = (is_fatal(branch.scope) for branch, _ in all_frozen(turn.state.root))
    turn.state.is_stopping = turn.state.root.graph.stops_on_failure and any(fatal)
    for branch, frozen in chosen.items():
        _try_again(turn, branch, frozen)
    begun = list(held(turn.state))
    for branch in begun:
        begin(turn, branch)
    settle_scopes(turn, (branch.scope for branch in (*chosen, *begun)))
    return True


def _chosen(turn: Turn, event: RunReopened) -> Iterator[tuple[Branch, Frozen]]:
    """Naming a step that is frozen for what is inside it names what is frozen there."""
    if not event.steps:
        yield from all_frozen(turn.state.root, but=Cause.ITEMS)
    for step in event.steps:
        branch = turn.state.branches.get(step)
        if branch is None or branch.frozen is None:
            continue
        if branch.frozen.cause is Cause.ITEMS:
            for scope in branch.inner_scopes():
                yield from all_frozen(scope, but=Cause.ITEMS)
        else:
            yield branch, branch.frozen


def _is_being_settled(scope: Scope) -> bool:
    """Whether a subgraph around it is stuck and the outcome of its step is awaited."""
    return any(home.owner is not None and home.owner.status is Status.RUNNING for home in scope.homes())


def _thaw(branch: Branch, frozen: Frozen) -> None:
    if branch.frozen is None:
        return  # thawed with one of its items
    if frozen.cause is Cause.CLOSING:
        reopen_branch(branch)
        return
    branch.status, branch.frozen = Status.HELD, None
    branch.scope.live += 1
    if branch.scope.is_stuck:
        unstick(branch.scope)


def _try_again(turn: Turn, branch: Branch, frozen: Frozen) -> None:
    match frozen.cause:
        case Cause.STEP:
            drop_inner(turn, branch)
            start_anew(turn, branch)
        case Cause.JOIN | Cause.LIMIT:
            begin(turn, branch)
        case Cause.END:
            leave(turn, branch)
        case Cause.CLOSING:
            conclude_again(turn, branch)


def all_frozen(root: Scope, but: Cause | None = None) -> Iterator[tuple[Branch, Frozen]]:
    """The branches that are frozen for another cause than `but`."""
    for scope in root.with_inner():
        for branch in scope.branches.values():
            if branch.frozen is not None and branch.frozen.cause is not but:
                yield branch, branch.frozen
