"""Undoing what a run did (rule R24).

A step whose node has `compensate` is put on a list when it completes, with the inputs of its compensation, whatever
becomes of its branch and its scope. When the run has failed for good or is cancelled, and the list is not empty, the
run does not end yet: it undoes the steps, the last one first and one at a time.

A compensation is a branch in a scope of its own, so it is awaited, tried again, made to wait and held by a pause like
any step. But it leads nowhere: it writes nothing, opens no subgraph, has no handler, and its failure keeps none of the
others from running. No limit counts it. Then the run ends as it would have ended, and cannot be opened again.
"""

from __future__ import annotations

from runs.engine import ids, keys
from runs.engine.branches import Branch
from runs.engine.compensations import Compensating, Compensation, UndoingCall
from runs.engine.events import CompensationReason, CompensationStarted, JsonObject, StepCompleted, StepFailed
from runs.engine.positions import begin, leave, stand
from runs.engine.previews import preview
from runs.engine.scopes import Scope
from runs.engine.state import RunState
from runs.engine.turn import Turn


def remember(state: RunState, branch: Branch, inputs: JsonObject) -> None:
    """The branch's step is over, and this is how to undo it."""
    scope, caller = branch.scope, branch.scope.home.owner
    compensation = Compensation(
        step=branch.id,
        node=branch.node_plan.name,
        path=scope.path,
        inputs=inputs,
        graph=scope.graph,
        digest=None if caller is None or caller.child is None else caller.child.digest,
    )
    state.compensations.append(compensation)


def start_compensating(turn: Turn, reason: CompensationReason) -> None:
    """Nothing of the run goes on any more; undo what is on the list, which must not be empty."""
    turn.events.append(CompensationStarted(reason=reason))
    last = turn.state.compensations.pop()
    turn.state.compensating = Compensating(reason=reason, current=last, scope=scope_of(last))
    _start(turn, turn.state.compensating)


def compensate_next(turn: Turn, phase: Compensating) -> bool:
    """Start the next one if nothing of the one before is left. Return whether there is anything to wait for."""
    if phase.scope.branches:
        return True  # held by a pause
    if not turn.state.compensations:
        return False
    phase.current = turn.state.compensations.pop()
    phase.scope = scope_of(phase.current)
    _start(turn, phase)
    return True


def end_compensation(turn: Turn, branch: Branch, event: StepCompleted | StepFailed) -> None:
    """The compensation is over; what it brought is of no interest but its error."""
    phase = turn.state.compensating
    if phase is not None and isinstance(event, StepFailed):
        phase.errors.append((branch.id, branch.node_plan.name, event.error))
    leave(turn, branch)


def undoing_call(state: RunState) -> UndoingCall | None:
    """The call that is to undo a step now, if the run undoes what it did."""
    if state.compensating is None:
        return None
    current = state.compensating.current
    spec = current.graph.node(current.node).spec.compensate
    if spec is None:
        return None
    return UndoingCall(tool=spec.tool, inputs=current.inputs, state=preview(state).values)


def scope_of(compensation: Compensation) -> Scope:
    """Where its branch stands: in nobody's sight, but under the name of the place where its step was."""
    scope = Scope(compensation.graph, compensation.graph.root, {})
    scope.path = compensation.path
    return scope


def _start(turn: Turn, phase: Compensating) -> None:
    current, scope = phase.current, phase.scope
    node = scope.graph.index[current.node]
    branch = Branch(id=ids.compensation(current.step), key=keys.FIRST, node=node, scope=scope)
    branch.undoes = current.step
    stand(turn, branch, node)
    branch.is_counted = True  # so that no limit counts it
    begin(turn, branch)
