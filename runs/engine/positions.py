"""Where a branch stands: starting its step, freezing it in place, taking it away."""

from __future__ import annotations

from runs.engine.decisions import CancelStep, StartStep
from runs.engine.events import BranchFrozen, Failure, StepCancelled
from runs.engine.state import LIVE, MERGING, Branch, Cause, Frozen, Scope, Status
from runs.engine.turn import Turn

LIMIT_EXCEEDED = "LimitExceeded"


def stand(turn: Turn, branch: Branch, node: int) -> None:
    """Put the branch at a node of its scope: live, but with nothing given out yet."""
    scope = branch.scope
    branch.node, branch.status, branch.attempt = node, Status.HELD, 1
    scope.branches[branch.id] = turn.state.branches[branch.id] = branch
    scope.occupy(node)
    scope.live += 1


def leave(turn: Turn, branch: Branch) -> None:
    """Take a branch that is not parked from its node."""
    scope = branch.scope
    del scope.branches[branch.id]
    del turn.state.branches[branch.id]
    scope.vacate(branch.node)
    if branch.status in LIVE:
        scope.live -= 1
    if branch.status is Status.RUNNING:
        turn.state.pending -= 1


def start(turn: Turn, branch: Branch, node: int) -> None:
    """The branch comes to a node whose step runs now: unless a limit or a failure of the run forbids it."""
    stand(turn, branch, node)
    begin(turn, branch)


def begin(turn: Turn, branch: Branch) -> None:
    """Give out the step of a held branch if nothing forbids it."""
    state, scope, limits = turn.state, branch.scope, turn.plan.limits
    if state.is_stopping:
        return
    turns = scope.turns.get(branch.node, 0)
    if state.scheduled >= limits.max_steps:
        state.is_exhausted = True
        _freeze_at_limit(turn, branch, f"The run has started {state.scheduled} steps, which is limits.max_steps.")
    elif turns >= limits.max_iterations:
        name = turn.plan.names[branch.node]
        _freeze_at_limit(turn, branch, f'Node "{name}" has run {turns} times, which is limits.max_iterations.')
    else:
        state.scheduled += 1
        scope.turns[branch.node] = turns + 1
        run(turn, branch)


def run(turn: Turn, branch: Branch) -> None:
    """Give out the step of a live branch as its present attempt."""
    branch.status = Status.RUNNING
    turn.state.pending += 1
    turn.decisions.append(start_of(branch))


def start_of(branch: Branch) -> StartStep:
    scope = branch.scope
    return StartStep(
        step=branch.id, node=scope.plan.names[branch.node], path=scope.path, items=scope.items, attempt=branch.attempt
    )


def freeze(turn: Turn, branch: Branch, cause: Cause, error: Failure) -> None:
    """The branch cannot go on; it keeps its position, so joins that it could reach wait (rule R9)."""
    if branch.status is Status.RUNNING:
        turn.state.pending -= 1
    branch.status = Status.FROZEN
    branch.frozen = Frozen(cause, error, set(error.keys) if cause in MERGING else set())
    branch.scope.live -= 1
    if turn.plan.stops_on_failure and is_fatal(turn, branch.scope):
        turn.state.is_stopping = True


def freeze_with_event(turn: Turn, branch: Branch, cause: Cause, error: Failure) -> None:
    """The same where no outcome tells of it."""
    node, path = turn.plan.names[branch.node], branch.scope.path
    turn.events.append(BranchFrozen(step=branch.id, node=node, path=path, error=error))
    freeze(turn, branch, cause, error)


def _freeze_at_limit(turn: Turn, branch: Branch, message: str) -> None:
    freeze_with_event(turn, branch, Cause.LIMIT, Failure(type=LIMIT_EXCEEDED, message=message))


def is_fatal(turn: Turn, scope: Scope) -> bool:
    """Whether a frozen branch in this scope dooms the run: no enclosing map tolerates or handles failed items."""
    while scope.owner is not None:
        node = turn.plan.nodes[scope.owner.node]
        if node.handlers or (node.map is not None and node.map.tolerated_failures):
            return False
        scope = scope.owner.scope
    return True


def cancel(turn: Turn, branch: Branch) -> None:
    """Give up a branch and all that its items do; what it wrote is in nobody's past any more."""
    scope = branch.scope
    scope.is_thinned = True
    if branch.status is Status.PARKED:
        _unpark(turn, branch)
        return
    announce_cancel(turn, branch)
    leave(turn, branch)
    if branch.map is not None:
        drop_items(turn, branch)


def announce_cancel(turn: Turn, branch: Branch) -> None:
    """Tell that a step, if one is under way, is no longer wanted."""
    if branch.status in (Status.RUNNING, Status.MAPPING):
        turn.events.append(StepCancelled(step=branch.id, node=turn.plan.names[branch.node]))
    if branch.status is Status.RUNNING:
        turn.decisions.append(CancelStep(step=branch.id))


def drop_items(turn: Turn, branch: Branch) -> None:
    """Forget the items of a map, cancelling what still runs in them."""
    if branch.map is None:
        return
    for item in branch.map.scopes.values():
        for scope in item.with_inner():
            turn.state.pending -= scope.is_collecting
            for inner in scope.branches.values():
                announce_cancel(turn, inner)
                turn.state.branches.pop(inner.id, None)
                turn.state.pending -= inner.status is Status.RUNNING
    branch.map.scopes.clear()


def _unpark(turn: Turn, branch: Branch) -> None:
    scope, node, join = branch.scope, branch.node, turn.plan.nodes[branch.node].join
    del scope.branches[branch.id]
    queue = scope.parked[node]
    queue.remove(branch)
    if not queue:
        del scope.parked[node]
        scope.waiting &= ~(1 << node)
    if join is not None and len(queue) < join.count:
        scope.satisfied &= ~(1 << node)
