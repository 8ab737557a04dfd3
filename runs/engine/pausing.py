"""Pausing a run, and letting it go on step by step (rule R21).

A paused run starts nothing new: a branch that comes to a step is held there. What is in flight goes on, and what it did
is taken in. So a pause changes when steps run and nothing else; resumed, the run ends as if there had been none.

A step that was given out and not called yet can be held as well, also one that is not due yet. It was counted, and is
not counted again. The same holds of the next attempt of a step in flight. A step that waits for the outside waits on,
and a step whose subgraph is over or stuck ends as it would have.

Single steps go on when they are released, and what follows on them is held again. A *free* scope is one in which the
pause holds nothing, nor in the scopes inside it: those that a step opens which is stepped over, or the scope that is
stepped out of, until it is over. A new pause ends all freedom.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runs.engine.branches import Branch, Status
from runs.engine.closing import settle
from runs.engine.events import RunPaused, StepId, StepReleased
from runs.engine.positions import begin, give_out, may_start, take_back
from runs.engine.scopes import Scope
from runs.engine.state import RunState
from runs.engine.turn import Turn


def held(state: RunState) -> Iterator[Branch]:
    """The branches that nothing but a pause can keep from their steps: not those that a stopping run never began."""
    for scope in state.scopes():
        for branch in scope.branches.values():
            if branch.status is Status.HELD and may_start(state, branch):
                yield branch


def is_waiting_for_release(state: RunState) -> bool:
    """Whether the run is paused and would go on without."""
    return state.is_paused and any(True for _ in held(state))


def pause(turn: Turn, event: RunPaused) -> bool:
    """Return whether the run was not paused already, in all its scopes and steps."""
    return hold(turn, event.held)


def hold(turn: Turn, steps: Iterable[StepId]) -> bool:
    """Pause the run, and hold those of `steps` that are awaited. Return whether anything changed."""
    state = turn.state
    named = (state.branches.get(step) for step in dict.fromkeys(steps))
    awaited = [branch for branch in named if branch is not None and _is_to_be_called(branch)]
    has_effect = _end_freedom(state) or bool(awaited) or not state.is_paused
    state.is_paused = True
    for branch in awaited:
        take_back(turn, branch)
    return has_effect


def _is_to_be_called(branch: Branch) -> bool:
    return branch.status is Status.RUNNING and branch.child is None and not branch.is_waiting


def resume(turn: Turn) -> bool:
    """Let everything go on that is held. Return whether the run was paused."""
    state = turn.state
    if not state.is_paused:
        return False
    state.is_paused = False
    _end_freedom(state)
    begin_all(turn, held(state))
    return True


def release(turn: Turn, event: StepReleased) -> bool:
    """Let single steps go on. Return whether any of those that are named is held by a pause."""
    state = turn.state
    if not state.is_paused:
        return False
    steps = frozenset(event.steps)
    branches = [branch for branch in held(state) if not steps or branch.id in steps]
    if event.mode == "out":
        _release_scopes(turn, {branch.scope: None for branch in branches})
    else:
        for branch in branches:
            branch.steps_over = event.mode == "over"
            if may_start(state, branch):  # one before it may have failed at a limit
                give_out(turn, branch)
        settle_scopes(turn, (branch.scope for branch in branches))
    return bool(branches)


def begin_all(turn: Turn, branches: Iterable[Branch]) -> None:
    """Give out the steps of held branches, as far as nothing forbids it."""
    branches = list(branches)
    for branch in branches:
        begin(turn, branch)
    settle_scopes(turn, (branch.scope for branch in branches))


def _release_scopes(turn: Turn, scopes: Iterable[Scope]) -> None:
    """Free these scopes and what is inside them; a root that is free is a run that is not paused."""
    for scope in scopes:
        if scope.owner is None:
            resume(turn)
            return
        for inner in scope.with_inner():
            inner.is_free = True
    begin_all(turn, [branch for branch in held(turn.state) if branch.scope.is_free])


def _end_freedom(state: RunState) -> bool:
    """Let the pause hold in every scope. Return whether it did not in some."""
    had_any = False
    for scope in state.scopes():
        had_any |= scope.is_free
        scope.is_free = False
        for branch in scope.branches.values():
            had_any |= branch.steps_over
            branch.steps_over = False
    return had_any


def settle_scopes(turn: Turn, scopes: Iterable[Scope]) -> None:
    """Inner scopes first: a join around a map or a subgraph may fire and drop what is inside it.

    A branch that came to a limit may have been the last of its scope that could go on.
    """
    for scope in sorted(dict.fromkeys(scopes), key=lambda scope: -scope.depth):
        settle(turn, scope)


def under_way(state: RunState) -> bool:
    """Of a paused run: whether tools are being called, since everything that was given out uncalled is held."""
    return any(
        branch.status is Status.RUNNING and branch.child is None and not branch.is_waiting
        for scope in state.scopes()
        for branch in scope.branches.values()
    )
