"""Failures of the run as a whole: drained, timed out, cancelled, and opened again (rule R9).

A failure freezes its branch and nothing else. The others go on until nothing can run; then the run has failed, with all
its errors. Opening it again thaws what is frozen, and the result is that of a run in which it never failed.
"""

from __future__ import annotations

from collections.abc import Iterator

from runs.engine.closing import end_branch, settle, stop_collecting
from runs.engine.decisions import CancelStep
from runs.engine.events import Failure, RunFailed, RunReopened, RunTimedOut
from runs.engine.maps import conclude_again, thaw_map, unstick
from runs.engine.positions import announce_cancel, begin, freeze_with_event, is_fatal, leave, run
from runs.engine.state import Branch, Cause, Frozen, Scope, Status
from runs.engine.turn import Turn


def fail_if_drained(turn: Turn) -> None:
    """The run has failed when nothing is in flight and something is left."""
    state = turn.state
    if state.status == "running" and not state.pending:
        state.status = "failed"
        errors = [(branch.id, turn.plan.names[branch.node], frozen.error) for branch, frozen in _all_frozen(state.root)]
        turn.events.append(RunFailed(errors=tuple(sorted(errors, key=lambda error: error[0]))))


def cancel_run(turn: Turn) -> None:
    """Nothing is wanted any more."""
    for scope in turn.state.root.with_inner():
        for branch in scope.branches.values():
            announce_cancel(turn, branch)
    turn.state.status = "cancelled"


def time_out(turn: Turn, event: RunTimedOut) -> None:
    """Freeze what is in flight, so that the run can be opened again where it was."""
    error = Failure(type="RunTimedOut", message=f"The run has used up its limits.timeout_s of {event.limit_s:g} s.")
    for scope in turn.state.root.with_inner():
        for branch in scope.branches.values():
            if branch.status is Status.RUNNING:
                turn.decisions.append(CancelStep(step=branch.id))
                freeze_with_event(turn, branch, Cause.STEP, error)
        if scope.is_collecting:
            stop_collecting(turn, scope)
            freeze_with_event(turn, end_branch(turn, scope), Cause.END, error)


def reopen(turn: Turn, event: RunReopened) -> bool:
    """Thaw the branches that are named, or all. Return whether any of them can be thawed."""
    chosen = {branch: frozen for branch, frozen in _chosen(turn, event) if not frozen.unresolved}
    if not chosen:
        return False
    turn.state.status = "running"
    for branch, frozen in chosen.items():
        _thaw(branch, frozen)
    fatal = (is_fatal(turn, branch.scope) for branch, _ in _all_frozen(turn.state.root))
    turn.state.is_stopping = turn.plan.stops_on_failure and any(fatal)
    for branch, frozen in chosen.items():
        _try_again(turn, branch, frozen)
    held = [] if turn.state.is_stopping else list(_held(turn.state.root))
    for branch in held:
        begin(turn, branch)
    for scope in dict.fromkeys(branch.scope for branch in (*chosen, *held)):
        settle(turn, scope)
    return True


def _chosen(turn: Turn, event: RunReopened) -> Iterator[tuple[Branch, Frozen]]:
    """Naming a map that is frozen for its items names what is frozen in them."""
    if not event.steps:
        yield from _all_frozen(turn.state.root, but=Cause.ITEMS)
    for step in event.steps:
        branch = turn.state.branches.get(step)
        if branch is None or branch.frozen is None:
            continue
        if branch.frozen.cause is Cause.ITEMS and branch.map is not None:
            for scope in branch.map.scopes.values():
                yield from _all_frozen(scope, but=Cause.ITEMS)
        else:
            yield branch, branch.frozen


def _thaw(branch: Branch, frozen: Frozen) -> None:
    if branch.frozen is None:
        return  # thawed with one of its items
    if frozen.cause is Cause.CLOSING:
        thaw_map(branch)
        return
    branch.status, branch.frozen = Status.HELD, None
    branch.scope.live += 1
    if branch.scope.is_stuck:
        unstick(branch.scope)


def _try_again(turn: Turn, branch: Branch, frozen: Frozen) -> None:
    match frozen.cause:
        case Cause.STEP:
            branch.attempt += 1
            run(turn, branch)
        case Cause.JOIN | Cause.LIMIT:
            begin(turn, branch)
        case Cause.END:
            leave(turn, branch)
        case Cause.CLOSING:
            conclude_again(turn, branch)
        case Cause.ITEMS:
            pass


def _held(root: Scope) -> Iterator[Branch]:
    for scope in root.with_inner():
        for branch in scope.branches.values():
            if branch.status is Status.HELD:
                yield branch


def _all_frozen(root: Scope, but: Cause | None = None) -> Iterator[tuple[Branch, Frozen]]:
    for scope in root.with_inner():
        for branch in scope.branches.values():
            if branch.frozen is not None and branch.frozen.cause is not but:
                yield branch, branch.frozen
