"""Where a branch stands: starting its step, freezing it in place, taking it away."""

from __future__ import annotations

from runs.engine.branches import MERGING, Branch, Cause, Frozen, Status
from runs.engine.decisions import CancelStep, StartStep
from runs.engine.events import BranchFrozen, Failure, StepCancelled
from runs.engine.scopes import Scope
from runs.engine.state import RunState
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
    """Take a live branch from its node."""
    scope = branch.scope
    del scope.branches[branch.id]
    del turn.state.branches[branch.id]
    scope.vacate(branch.node)
    scope.live -= 1
    if branch.status is Status.RUNNING:
        turn.state.pending -= 1
    if branch.progress is not None:
        forget_progress(turn.state, branch)


def start(turn: Turn, branch: Branch, node: int) -> None:
    """The branch comes to a node whose step runs now: unless a limit or a failure of the run forbids it."""
    stand(turn, branch, node)
    begin(turn, branch)


def begin(turn: Turn, branch: Branch) -> None:
    """Give out the step of a held branch if nothing forbids it."""
    state = turn.state
    if (state.is_paused and not branch.scope.is_free) or (state.is_stopping and not may_start(state, branch)):
        return
    give_out(turn, branch)


def may_start(state: RunState, branch: Branch) -> bool:
    """A run that stops on failures starts nothing but what was given out before, and held."""
    return branch.is_counted or not state.is_stopping


def give_out(turn: Turn, branch: Branch) -> None:
    """Give out the step of a held branch, which limits count once."""
    scope = branch.scope
    if branch.is_counted:
        branch.is_counted = False
        run(turn, branch)
        return
    turns = scope.turns.get(branch.node, 0)
    exhausted = next((home for home in scope.homes() if home.scheduled >= home.graph.limits.max_steps), None)
    if exhausted is not None:
        exhausted.is_exhausted = True
        what = "subgraph" if exhausted.is_child else "run"
        message = f"The {what} has started {exhausted.scheduled} steps, which is limits.max_steps."
        _freeze_at_limit(turn, branch, message)
    elif turns >= scope.graph.limits.max_iterations:
        name = scope.graph.names[branch.node]
        _freeze_at_limit(turn, branch, f'Node "{name}" has run {turns} times, which is limits.max_iterations.')
    else:
        for home in scope.homes():
            home.scheduled += 1
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
        step=branch.id,
        node=scope.plan.names[branch.node],
        path=scope.path,
        items=scope.items,
        attempt=branch.attempt,
        not_before="" if branch.progress is None else branch.progress.not_before,
        compensates=branch.undoes,
    )


def take_back(turn: Turn, branch: Branch) -> None:
    """A step that was given out is held again. Limits have counted it, and it may start in a run that stops."""
    stop_waiting(turn.state, branch)
    turn.state.pending -= branch.status is Status.RUNNING
    branch.status, branch.is_counted = Status.HELD, True


def stop_waiting(state: RunState, branch: Branch) -> None:
    """Whatever its step waited for, it waits no longer."""
    if branch.progress is not None and branch.progress.wait is not None:
        branch.progress.wait = None
        state.waiting -= 1


def forget_progress(state: RunState, branch: Branch) -> None:
    """Its step is over, and what it kept between attempts with it."""
    stop_waiting(state, branch)
    branch.progress = None


def freeze(turn: Turn, branch: Branch, cause: Cause, error: Failure) -> None:
    """The branch cannot go on; it keeps its position, so joins that it could reach wait (rule R9)."""
    if branch.status is Status.RUNNING:
        turn.state.pending -= 1
        stop_waiting(turn.state, branch)
    branch.status = Status.FROZEN
    branch.frozen = Frozen(cause, error, set(error.keys) if cause in MERGING else set())
    branch.scope.live -= 1
    if turn.state.root.graph.stops_on_failure and is_fatal(branch.scope):
        turn.state.is_stopping = True


def freeze_with_event(turn: Turn, branch: Branch, cause: Cause, error: Failure) -> None:
    """The same where no outcome tells of it."""
    node, path = branch.scope.graph.names[branch.node], branch.scope.path
    turn.events.append(BranchFrozen(step=branch.id, node=node, path=path, error=error))
    freeze(turn, branch, cause, error)


def _freeze_at_limit(turn: Turn, branch: Branch, message: str) -> None:
    freeze_with_event(turn, branch, Cause.LIMIT, Failure(type=LIMIT_EXCEEDED, message=message))


def is_fatal(scope: Scope) -> bool:
    """Whether a frozen branch in this scope dooms the run: nothing around it tolerates, handles or retries failures."""
    while scope.owner is not None:
        owner = scope.owner
        tolerates = owner.node_plan.spec.retry if scope.is_child else owner.map and owner.map.tolerated_failures
        if owner.node_plan.handlers or tolerates:
            return False
        scope = scope.owner.scope
    return True


def cancel(turn: Turn, branch: Branch) -> None:
    """Give up a branch and all that goes on inside it; what it wrote is in nobody's past any more."""
    scope = branch.scope
    scope.is_thinned = True
    if branch.status is Status.PARKED:
        _unpark(branch)
        return
    announce_cancel(turn, branch)
    leave(turn, branch)
    drop_inner(turn, branch)


def announce_cancel(turn: Turn, branch: Branch) -> None:
    """Tell that a step, if one is under way, is no longer wanted."""
    if branch.status in (Status.RUNNING, Status.OPEN) or branch.is_counted:
        turn.events.append(StepCancelled(step=branch.id, node=branch.node_plan.name))
    if branch.status is Status.RUNNING:
        turn.decisions.append(CancelStep(step=branch.id))
        stop_waiting(turn.state, branch)


def drop_inner(turn: Turn, branch: Branch) -> None:
    """Forget the items of the branch's map, or its subgraph, cancelling what still runs there."""
    for scope in branch.inner_scopes():
        turn.state.pending -= scope.is_collecting
        for inner in scope.branches.values():
            announce_cancel(turn, inner)
            turn.state.branches.pop(inner.id, None)
            turn.state.pending -= inner.status is Status.RUNNING
            drop_inner(turn, inner)
    branch.map = branch.child = None


def _unpark(branch: Branch) -> None:
    scope, node = branch.scope, branch.node
    del scope.branches[branch.id]
    queue = scope.parked[node]
    queue.remove(branch)
    if not queue:
        del scope.parked[node]
        scope.waiting &= ~(1 << node)
    counting = scope.graph.counting.get(node)
    if counting is not None and len(queue) < counting.count:
        scope.satisfied &= ~(1 << node)
