"""Cancelling a run, at once or gracefully (rule R23).

At once nothing is wanted any more. Gracefully nothing new starts; steps in flight may end and what they did is taken
in, and when none is left the run is over. Steps that only wait are not waited for, be it for something outside the run
or for their next attempt.
"""

from __future__ import annotations

from runs.engine.branches import Branch, Status
from runs.engine.closing import stop_collecting
from runs.engine.compensating import start_compensating
from runs.engine.events import RunCancelled
from runs.engine.positions import announce_cancel
from runs.engine.state import RunState
from runs.engine.turn import Turn


def cancel_run(turn: Turn, event: RunCancelled) -> bool:
    """Return whether that is new to the run."""
    state = turn.state
    if event.graceful:
        return _cancel_gracefully(turn)
    state.is_cancelling = True
    give_up_all(turn)
    if state.compensations:
        start_compensating(turn, "cancelled")
    else:
        state.status = "cancelled"
    return True


def give_up_all(turn: Turn) -> None:
    """Nothing of the run goes on any more. Branches stay where they are, for people to see."""
    for scope in turn.state.root.with_inner():
        for branch in scope.branches.values():
            give_up(turn, branch)
        if scope.is_collecting:
            stop_collecting(turn, scope)


def _cancel_gracefully(turn: Turn) -> bool:
    state = turn.state
    if state.is_cancelling:
        return False
    state.is_cancelling = state.is_stopping = True
    for branch in _idle(state):
        give_up(turn, branch)
    return True


def _idle(state: RunState) -> list[Branch]:
    """Branches for which nothing is called now, but whose step was given out."""
    return [
        branch
        for scope in state.root.with_inner()
        for branch in scope.branches.values()
        if branch.is_counted or branch.is_waiting
    ]


def ends_with_the_attempt(state: RunState, branch: Branch) -> bool:
    """Whether the run is being cancelled and does not wait for what comes after the step's present attempt."""
    return state.is_cancelling and branch.undoes is None


def give_up(turn: Turn, branch: Branch) -> None:
    """Nothing more comes of the branch's step; the branch stays where it is."""
    announce_cancel(turn, branch)
    branch.is_counted = False
    if branch.status is Status.RUNNING:
        branch.status = Status.HELD
        turn.state.pending -= 1
