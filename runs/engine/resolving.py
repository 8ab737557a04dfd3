"""From what a tool returned to an outcome: the update, and where the branch goes.

This is the only part of the engine that evaluates expressions, and it changes nothing. What it finds is recorded in the
outcome, so that a replay evaluates nothing again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from graphs.expressions import ExpressionError
from graphs.expressions.values import type_of
from graphs.plan import MapPlan, NodePlan, NoRoute, ReducerError, Tolerance
from graphs.spec import is_tolerance
from runs.engine.branches import Branch, Status
from runs.engine.decisions import CollectItem
from runs.engine.events import (
    Failure,
    ItemCollected,
    ItemFailed,
    Json,
    JsonObject,
    StepCompleted,
    StepFailed,
    StepId,
)
from runs.engine.ledger import ABSENT
from runs.engine.merging import Changed
from runs.engine.positions import LIMIT_EXCEEDED
from runs.engine.state import RunState
from runs.engine.views import View, final_view, view_of

Check = Callable[[Changed], Failure | None]
"""Gets the new values of the keys that the step changes; may refuse them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """What a tool returned. The parts beside `value` are those of a `Command`."""

    value: Json = None
    replace: JsonObject = field(default_factory=dict)
    delete: tuple[str, ...] = ()
    implied: JsonObject | None = None
    """The update of a node without `outputs`, where that is not the value itself."""
    route: tuple[str, ...] | None = None
    """Where the branch goes whatever the node's `next` says: out of a wait that ended in a way of its own."""
    is_nothing: bool = False
    """Whether that what was waited for did not come, so that `outputs` have nothing to work on."""
    goto: tuple[str, ...] | None = None
    """Where a tool chooses to go; empty: nowhere. None if it does not choose."""
    payloads: tuple[JsonObject | None, ...] = ()
    """For each target of `goto` what the step there sees on top of the state; empty if nothing is sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """That a tool failed for good. `names` are the names by which `on_error` may match it, its bases' included."""

    error: Failure
    names: tuple[str, ...] = ()


class _Refused(Exception):
    """The result cannot be used; the step fails."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure


def _refused(type_: str, message: str) -> _Refused:
    return _Refused(Failure(type=type_, message=message))


def resolve(
    state: RunState, step: StepId, attempt: int, result: Returned | Raised, *, check: Check | None = None
) -> StepCompleted | StepFailed:
    """The outcome of an attempt. What is wrong with the result makes it a StepFailed; nothing is raised for it."""
    branch = state.branches.get(step)
    if branch is None or (branch.status is not Status.RUNNING and branch.child is None):
        return StepCompleted(step=step, attempt=attempt)  # nobody waits for it; `advance` drops it
    node = branch.node_plan
    if branch.undoes is not None:
        return _undone(step, attempt, result)
    if isinstance(result, Raised):
        return _failed(node, step, attempt, result.error, result.names)
    try:
        return _completed(branch, node, attempt, result, check)
    except _Refused as refused:
        failure = refused.failure
    except ExpressionError as error:
        failure = Failure(type="ExpressionError", message=str(error))
    except NoRoute as error:
        failure = Failure(type="NoRouteError", message=str(error))
    except ReducerError as error:
        failure = Failure(type="ReducerError", message=str(error))
    return _failed(node, step, attempt, failure)


def collect(state: RunState, decision: CollectItem) -> ItemCollected | ItemFailed:
    """Evaluate a map's `collect` on an item whose branches are all over."""
    scope = state.collecting(decision.step, decision.index)
    branch = state.branches.get(decision.step)
    if scope is None or branch is None or branch.map is None:
        return ItemCollected(step=decision.step, index=decision.index, values={})  # dropped by `advance`
    names = final_view(scope)
    try:
        values = {key: value(names) for key, value in branch.map.plan.collect.items()}
    except ExpressionError as error:
        failure = Failure(type="ExpressionError", message=str(error))
        return ItemFailed(step=decision.step, index=decision.index, error=failure)
    return ItemCollected(step=decision.step, index=decision.index, values=values)


def view_of_item(state: RunState, decision: CollectItem) -> View | None:
    """What `collect` sees of the item; None if nobody waits for it."""
    scope = state.collecting(decision.step, decision.index)
    return None if scope is None else final_view(scope)


def _failed(node: NodePlan, step: StepId, attempt: int, failure: Failure, names: tuple[str, ...] = ()) -> StepFailed:
    return StepFailed(step=step, attempt=attempt, error=failure, route=node.handler_of((failure.type, *names)))


def _completed(branch: Branch, node: NodePlan, attempt: int, result: Returned, check: Check | None) -> StepCompleted:
    update, replace = _update(branch, node, result)
    given = Changed(branch, update, replace, result.delete)
    if check is not None and (failure := check(given)) is not None:
        raise _Refused(failure)
    changed: Mapping[str, Json] = {**given, **dict.fromkeys(result.delete, ABSENT)} if result.delete else given
    names = view_of(branch, changed)
    opens_map = node.map is not None and result.route is None
    items = _items(branch, node.map, names) if node.map and opens_map else None
    limits = _limits(node.map, names, items) if node.map and items is not None else {}
    return StepCompleted(
        step=branch.id,
        attempt=attempt,
        update=update,
        replace=replace,
        delete=result.delete,
        route=() if opens_map else _route(node, names, result),
        payloads=result.payloads,
        items=items,
        **limits,
        # A subgraph's final state stands in the journal already, as what its steps wrote.
        result=None if node.outputs is None or node.graph is not None or result.is_nothing else result.value,
        compensation=None if node.compensation is None else _compensation(branch, node.compensation, changed, result),
    )


def _compensation(
    branch: Branch,
    inputs: Mapping[str, Callable[[Mapping[str, Json]], Json]],
    changed: Mapping[str, Json],
    result: Returned,
) -> JsonObject:
    """With what the step can be undone: its inputs see the result, and the state as the step leaves it."""
    names = view_of(branch, changed, result=result.value)
    return {argument: value(names) for argument, value in inputs.items()}


def _undone(step: StepId, attempt: int, result: Returned | Raised) -> StepCompleted | StepFailed:
    """Of a compensation nothing is kept but its error."""
    if isinstance(result, Raised):
        return StepFailed(step=step, attempt=attempt, error=result.error)
    return StepCompleted(step=step, attempt=attempt)


def _update(branch: Branch, node: NodePlan, result: Returned) -> tuple[JsonObject, JsonObject]:
    """The step's update, and what it replaces."""
    if node.outputs is not None and not result.is_nothing:
        names = view_of(branch, result=result.value)
        replace = {key: value(names) for key, value in node.outputs.replace.items()}
        update = {key: value(names) for key, value in node.outputs.update.items()}
        return update, {**replace, **result.replace}
    if result.implied is not None:
        return result.implied, result.replace
    if result.value is None or node.graph is not None:
        return {}, result.replace
    if not isinstance(result.value, dict):
        message = (
            f'"{node.name}" gave {type_of(result.value)}; without `outputs` it must give an object of state keys, '
            "or nothing."
        )
        raise _refused("ToolResultError", message)
    return result.value, result.replace


def _route(node: NodePlan, names: View, result: Returned) -> tuple[str, ...]:
    if result.route is not None:
        return result.route
    goto = result.goto
    if node.dynamic is None and not goto and node.route is not None:
        return node.route(names)
    if goto is None:
        message = f'The tool of "{node.name}" did not say where to go; return Command(goto=…), or goto=[] for nowhere.'
        raise _refused("NoRouteError", message)
    undeclared = [target for target in goto if target not in (node.dynamic or ())]
    if undeclared:
        message = f'"{node.name}" may not go to {", ".join(undeclared)}; name its targets in `dynamic`.'
        raise _refused("BadRoute", message)
    return goto


def _limits(map_plan: MapPlan, names: View, items: tuple[Json, ...]) -> dict[str, int]:
    """What the map's expressions say of how many items may run at once, and of how many may fail."""
    limits: dict[str, int] = {}
    for key, expression in map_plan.computed.items():
        value = expression(names)
        if key == "max_parallel" and type(value) is int and value > 0:
            limits[key] = value
        elif key == "tolerated_failures" and is_tolerance(value):
            limits[key] = Tolerance.of(value).allowed(len(items))
        elif key != "max_parallel" or value is not None:
            raise _refused("MapLimitsError", f"The {key} of a map is {_LIMITS[key]}, not {value!r:.100}.")
    return limits


_LIMITS = {
    "max_parallel": "a whole number from 1, or null for any number",
    "tolerated_failures": 'a whole number from 0, or a share such as "10%"',
}


def _items(branch: Branch, map_plan: MapPlan, names: View) -> tuple[Json, ...]:
    items = map_plan.items(names)
    name, limits = branch.node_plan.name, branch.scope.graph.limits
    if not isinstance(items, list):
        raise _refused("MapItemsError", f'The map of "{name}" needs a list of items, not {type_of(items)}.')
    if len(items) > limits.max_steps:
        message = f'The map of "{name}" has {len(items)} items; limits.max_steps is {limits.max_steps}.'
        raise _refused(LIMIT_EXCEEDED, message)
    if len(branch.scope.items) >= limits.max_depth:
        message = f'The map of "{name}" is nested deeper than limits.max_depth, which is {limits.max_depth}.'
        raise _refused(LIMIT_EXCEEDED, message)
    return tuple(items)
