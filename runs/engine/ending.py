"""When nothing of a run is in flight any more: what it comes to (rules R9, R21, R23, R24)."""

from __future__ import annotations

from runs.engine.cancelling import give_up_all
from runs.engine.compensating import compensate_next, start_compensating
from runs.engine.events import RunFailed, RunStopped
from runs.engine.failures import all_frozen
from runs.engine.pausing import is_waiting_for_release
from runs.engine.turn import Turn


def end_if_drained(turn: Turn) -> None:
    """The run is over when nothing is in flight and nothing can start."""
    state = turn.state
    if state.status == "running" and not state.pending:
        _conclude(turn)


def _conclude(turn: Turn) -> None:
    state = turn.state
    if state.compensating is not None:
        if not compensate_next(turn, state.compensating):
            _end(turn)
    elif state.is_cancelling or not is_waiting_for_release(state):
        if state.is_cancelling or state.compensations:
            give_up_all(turn)
        if state.compensations:
            start_compensating(turn, "cancelled" if state.is_cancelling else "failed")
        else:
            _end(turn)


def _end(turn: Turn) -> None:
    state = turn.state
    if state.is_cancelling:
        state.status = "cancelled"
        turn.events.append(RunStopped())
        return
    state.status = "failed"
    errors = [
        (branch.id, branch.scope.graph.names[branch.node], frozen.error) for branch, frozen in all_frozen(state.root)
    ]
    undone = [] if state.compensating is None else state.compensating.errors
    turn.events.append(RunFailed(errors=(*sorted(errors, key=lambda error: error[0]), *undone)))
