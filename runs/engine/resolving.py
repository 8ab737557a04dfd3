"""From what a tool returned to an outcome: the update, and where the branch goes.

This is the only part of the engine that evaluates expressions, and it changes nothing. What it finds is recorded in the
outcome, so that a replay evaluates nothing again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from graphs.expressions import ExpressionError
from graphs.plan import MapPlan, NodePlan, NoRoute, Plan, ReducerError
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
from runs.engine.merging import reduce_update
from runs.engine.positions import LIMIT_EXCEEDED
from runs.engine.state import Branch, RunState, Status
from runs.engine.views import View, final_view, view_of

Check = Callable[[Mapping[str, Json]], Failure | None]
"""Gets the new values of the keys that the step changes; may refuse them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """What a tool returned. The parts beside `value` are those of a `Command`."""

    value: Json = None
    replace: JsonObject = field(default_factory=dict)
    delete: tuple[str, ...] = ()
    goto: tuple[str, ...] | None = None


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
    plan: Plan, state: RunState, step: StepId, attempt: int, result: Returned | Raised, *, check: Check | None = None
) -> StepCompleted | StepFailed:
    """The outcome of an attempt. What is wrong with the result makes it a StepFailed; nothing is raised for it."""
    branch = state.branches.get(step)
    if branch is None or branch.status is not Status.RUNNING:
        return StepCompleted(step=step, attempt=attempt)  # nobody waits for it; `advance` drops it
    node = plan.nodes[branch.node]
    if isinstance(result, Raised):
        return _failed(node, step, attempt, result.error, result.names)
    try:
        return _completed(plan, branch, node, attempt, result, check)
    except _Refused as refused:
        failure = refused.failure
    except ExpressionError as error:
        failure = Failure(type="ExpressionError", message=str(error))
    except NoRoute as error:
        failure = Failure(type="NoRouteError", message=str(error))
    except ReducerError as error:
        failure = Failure(type="ReducerError", message=str(error))
    return _failed(node, step, attempt, failure)


def collect(plan: Plan, state: RunState, decision: CollectItem) -> ItemCollected | ItemFailed:
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


def _failed(node: NodePlan, step: StepId, attempt: int, failure: Failure, names: tuple[str, ...] = ()) -> StepFailed:
    return StepFailed(step=step, attempt=attempt, error=failure, route=node.handler_of((failure.type, *names)))


def _completed(
    plan: Plan, branch: Branch, node: NodePlan, attempt: int, result: Returned, check: Check | None
) -> StepCompleted:
    update, replace = _update(branch, node, result)
    changed = _changed(plan, branch, update, replace, result.delete)
    if check is not None:
        failure = check({key: value for key, value in changed.items() if value is not ABSENT})
        if failure is not None:
            raise _Refused(failure)
    names = view_of(branch, changed)
    return StepCompleted(
        step=branch.id,
        attempt=attempt,
        update=update,
        replace=replace,
        delete=result.delete,
        route=() if node.map else _route(node, names, result.goto),
        items=_items(plan, branch, node.map, names) if node.map else None,
        result=None if node.outputs is None else result.value,
    )


def _update(branch: Branch, node: NodePlan, result: Returned) -> tuple[JsonObject, JsonObject]:
    """The step's update, and what it replaces."""
    if node.outputs is not None:
        names = view_of(branch, result=result.value)
        replace = {key: value(names) for key, value in node.outputs.replace.items()}
        update = {key: value(names) for key, value in node.outputs.update.items()}
        return update, {**replace, **result.replace}
    if result.value is None:
        return {}, result.replace
    if not isinstance(result.value, dict):
        message = (
            f'"{node.name}" gave a {type(result.value).__name__}; without `outputs` it must give an object of state '
            "keys, or nothing."
        )
        raise _refused("ToolResultError", message)
    return result.value, result.replace


def _changed(
    plan: Plan, branch: Branch, update: JsonObject, replace: JsonObject, delete: tuple[str, ...]
) -> JsonObject:
    """The new values of the changed keys. Raises ReducerError."""
    changed = {
        key: reduce_update(plan, key, branch.read(key), (value,))
        for key, value in update.items()
        if key not in replace and key not in delete
    }
    return {**changed, **replace, **dict.fromkeys(delete, ABSENT)}


def _route(node: NodePlan, names: View, goto: tuple[str, ...] | None) -> tuple[str, ...]:
    if node.dynamic is None and goto is None and node.route is not None:
        return node.route(names)
    if goto is None:
        raise _refused("NoRouteError", f'The tool of "{node.name}" did not say where to go; return Command(goto=…).')
    undeclared = [target for target in goto if target not in (node.dynamic or ())]
    if undeclared:
        message = f'"{node.name}" may not go to {", ".join(undeclared)}; name its targets in `dynamic`.'
        raise _refused("BadRoute", message)
    return goto


def _items(plan: Plan, branch: Branch, map_plan: MapPlan, names: View) -> tuple[Json, ...]:
    items = map_plan.items(names)
    name = plan.names[branch.node]
    if not isinstance(items, list):
        raise _refused("MapItemsError", f'The map of "{name}" needs a list of items, not {type(items).__name__}.')
    if len(items) > plan.limits.max_steps:
        message = f'The map of "{name}" has {len(items)} items; limits.max_steps is {plan.limits.max_steps}.'
        raise _refused(LIMIT_EXCEEDED, message)
    if len(branch.scope.items) >= plan.limits.max_depth:
        message = f'The map of "{name}" is nested deeper than limits.max_depth, which is {plan.limits.max_depth}.'
        raise _refused(LIMIT_EXCEEDED, message)
    return tuple(items)
