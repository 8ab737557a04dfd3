"""Subgraphs: a step whose work is a graph of its own (rule R20).

The subgraph runs in a scope with the plan of its definition. It begins with a state of its own, the step's `inputs`
laid over its defaults, and sees nothing of what is around it; the names of steps in it are a function of the step and
its attempt. It is over when its scope is, and its final state is then the result of the step, of which `outputs` take
what they name; or it is stuck, like an item of a map, and then the step has failed. Either way the step's outcome is
asked for (`FinishChild`), so that `outputs`, routes, handlers and retries are those of any step. A step that failed for
good without a handler keeps its stuck subgraph: opening the run again goes on inside.

Limits are each graph's own, and every step counts for all the graphs around it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from graphs.plan import Plan
from runs.engine import keys
from runs.engine.branches import Branch, Cause, Frozen, Status
from runs.engine.closing import settle
from runs.engine.decisions import FinishChild
from runs.engine.events import ChildStarted, Event, Failure, JsonObject, RunMigrated, StepId
from runs.engine.positions import LIMIT_EXCEEDED
from runs.engine.resolving import Raised, Returned
from runs.engine.routing import enter
from runs.engine.scopes import Child, Scope
from runs.engine.sentences import and_more
from runs.engine.state import RunState
from runs.engine.turn import Turn

SUBGRAPH_FAILED = "SubgraphFailed"

FindPlan = Callable[[str, JsonObject | None], Plan]
"""From the digest of a definition, and the definition itself if it was computed, to its plan."""


def learn_plan(state: RunState, digest: str, definition: JsonObject | None, find_plan: FindPlan | None) -> Plan:
    """The plan of a definition, found and put into `state.plans` if need be.

    Raises ValueError if nobody can find it.
    """
    plan = state.plans.get(digest)
    if plan is None:
        if find_plan is None:
            raise ValueError(f"The plan of the definition {digest} is not known; give find_plan.")
        plan = state.plans[digest] = find_plan(digest, definition)
    return plan


def learn_plan_of(state: RunState, event: Event, find_plan: FindPlan | None) -> None:
    """Learn the plan that `event` needs, if it needs one, before it is fed to `advance`."""
    if isinstance(event, ChildStarted):
        learn_plan(state, event.digest, event.definition, find_plan)
    elif isinstance(event, RunMigrated):
        learn_plan(state, event.digest, None, find_plan)


def depth_breach(state: RunState, step: StepId) -> Failure | None:
    """Why the step may not open a subgraph: it would be nested too deep for a graph around it."""
    branch = state.branches[step]
    for home in branch.scope.homes():
        limit = home.graph.limits.max_depth
        if branch.scope.depth - home.depth >= limit:
            message = (
                f'The subgraph of "{branch.node_plan.name}" is nested deeper than limits.max_depth, which is {limit}.'
            )
            return Failure(type=LIMIT_EXCEEDED, message=message)
    return None


def child_result(state: RunState, step: StepId) -> Returned | Raised:
    """What the subgraph of a step that is over or stuck came to: its final state, or what failed in it.

    On a stuck subgraph `on_error` and a retry policy may match the types of what failed inside, too.
    """
    branch = state.branches.get(step)
    if branch is None or branch.child is None:
        return Returned()  # `advance` drops what is made of it
    scope = branch.child.scope
    return _failure_of(scope) if scope.is_stuck else Returned(value=scope.state({}))


def start_child(turn: Turn, branch: Branch, event: ChildStarted) -> None:
    """Open the step's subgraph and begin it. Raises ValueError for a plan that is not known."""
    plan = turn.state.plans.get(event.digest)
    if plan is None:
        raise ValueError(f"The plan of the subgraph {event.graph or event.digest} is not known; put it into `plans`.")
    if event.definition is not None:
        turn.state.definitions[event.digest] = event.definition
    turn.state.pending -= 1
    branch.status = Status.OPEN
    child = Child(graph=event.graph, digest=event.digest, timeout_at=event.timeout_at, scope=child_scope(branch, plan))
    branch.child, scope = child, child.scope
    scope.base = dict(event.state)
    enter(turn, Branch(id=scope.first_step, key=keys.FIRST, node=plan.end, scope=scope), (plan.spec.start_node,))
    settle(turn, scope)


def child_scope(branch: Branch, plan: Plan) -> Scope:
    """A new, empty scope for a subgraph of the branch's present attempt."""
    around, name = branch.scope, branch.node_plan.name
    scope = Scope(plan, plan.root, {}, owner=branch, index=branch.attempt)
    scope.path = f"{around.path}.{name}" if around.path else name
    scope.items = around.items
    scope.is_free = around.is_free or branch.steps_over
    return scope


def open_children(state: RunState) -> Iterator[tuple[StepId, int, str]]:
    """The steps whose subgraphs go on: the step, its attempt, and when the subgraph has used up its time."""
    for branch in state.branches.values():
        if branch.child is not None and branch.status is Status.OPEN:
            yield branch.id, branch.attempt, branch.child.timeout_at


def settle_child(turn: Turn, scope: Scope) -> None:
    """A subgraph is over or stuck: ask for the outcome of its step."""
    branch = scope.owner
    if branch is None or branch.child is None or branch.child.scope is not scope or branch.status is not Status.OPEN:
        return  # the step was given up in the same turn
    branch.status = Status.RUNNING
    turn.state.pending += 1
    turn.decisions.append(FinishChild(step=branch.id, attempt=branch.attempt))


def _failure_of(scope: Scope) -> Raised:
    """Told by the first of the causes, not by the subgraphs and maps between here and there that failed with it."""
    errors = list(_errors(scope))
    place, first = next((place, frozen.error) for place, frozen in errors if frozen.cause is not Cause.ITEMS)
    others = sum(frozen.cause is not Cause.ITEMS for _, frozen in errors) - 1
    message = and_more(f'"{place}" failed: {first.in_words}', others)
    names = tuple(sorted({frozen.error.type for _, frozen in errors}))
    return Raised(error=Failure(type=SUBGRAPH_FAILED, message=message), names=names)


def _errors(scope: Scope) -> Iterator[tuple[str, Frozen]]:
    """In canonical order: ids differ between executions of a subgraph."""
    for branch in sorted(scope.branches.values(), key=lambda branch: branch.key):
        if branch.frozen is not None:
            yield scope.graph.names[branch.node], branch.frozen
        for inner in sorted(branch.inner_scopes(), key=lambda inner: inner.index):
            yield from _errors(inner)
