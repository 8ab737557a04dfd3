"""Maps: a scope for each item, and one write when all are over (rule R11).

The map's own update is written first; what its branch then sees is the outer layer of every item. Nothing leaves an
item but what `collect` takes from its final state, or, without `collect`, its updates of keys that have a reducer. When
all items are over the map's branch writes that, in item order and as one write, and goes on at `join`.

An item is over when its values are known, or when it is stuck: nothing in it can go on. Only then, so independently of
timing, the map decides: up to `tolerated_failures` stuck items give null; more of them lead to the map's own handler,
or leave it frozen until a retry of what is frozen inside.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence

from graphs.plan import MapPlan, ReducerError
from runs.engine import ids, keys
from runs.engine.branches import Branch, Cause, Status
from runs.engine.closing import settle
from runs.engine.decisions import MapItem
from runs.engine.events import Failure, Json, JsonObject, MapClosed, MapFailed, MapLimited, StepCompleted
from runs.engine.positions import drop_inner, forget_progress, freeze_with_event, leave
from runs.engine.routing import enter, follow_handler, proceed
from runs.engine.schemas import breach_of_write
from runs.engine.scopes import OpenMap, Scope
from runs.engine.state import RunState
from runs.engine.turn import Turn
from runs.engine.writing import write_all

MAP_FAILED = "MapFailed"


def open_map(turn: Turn, branch: Branch, map_plan: MapPlan, event: StepCompleted) -> None:
    """The map's step is over and its update written: start the items."""
    items = event.items or ()
    turn.state.pending -= 1
    branch.status = Status.OPEN
    forget_progress(turn.state, branch)
    branch.map = opened = OpenMap(map_plan, items, branch.state() if items else {})
    opened.tolerated = event.tolerated_failures
    if event.max_parallel is not None:
        opened.max_parallel = event.max_parallel
    for index in range(len(items)):
        scope = open_scope(branch, opened, index)
        first = Branch(id=scope.first_step, key=keys.FIRST, node=scope.graph.end, scope=scope)
        enter(turn, first, map_plan.to)
        settle(turn, scope)
    if not items:
        _conclude(turn, branch, opened)


def open_scope(branch: Branch, opened: OpenMap, index: int) -> Scope:
    """A new scope for one item of the branch's map."""
    name, around = branch.node_plan.name, branch.scope
    scope = Scope(around.graph, around.graph.items[branch.node], {}, owner=branch, index=index)
    scope.outer = opened.outer
    scope.locals = {**around.locals, opened.plan.as_: opened.items[index], "index": index}
    scope.path = f"{around.path}{'.' if around.path else ''}{name}[{index}]"
    scope.items = (*around.items, MapItem(branch.id, name, index))
    scope.is_free = around.is_free or branch.steps_over
    scope.exported = None if opened.plan.collect else {}
    opened.scopes[index] = scope
    return scope


def limit_map(state: RunState, event: MapLimited) -> bool:
    """Change how many items may be under way at once. Return whether that is new to an open map."""
    branch = state.branches.get(event.step)
    if branch is None or branch.map is None or branch.map.max_parallel == event.max_parallel:
        return False
    branch.map.max_parallel = event.max_parallel
    return True


def finish_item(turn: Turn, scope: Scope, values: JsonObject | None) -> None:
    """An item is over: with `values`, or stuck without any."""
    branch = scope.owner
    opened = branch.map if branch is not None else None
    if branch is None or opened is None or opened.scopes.get(scope.index) is not scope:
        return  # the map was given up in the same turn
    if values is None:
        opened.failed += 1
    else:
        opened.results[scope.index] = values
        del opened.scopes[scope.index]
    opened.pending -= 1
    if not opened.pending:
        around, node = branch.scope, branch.node
        _conclude(turn, branch, opened)
        settle(turn, around, node)


def unstick(scope: Scope) -> None:
    """Something in the item or subgraph can go on again; so can the scopes around it."""
    scope.is_stuck = False
    branch = scope.owner
    if branch is None:
        return
    if branch.map is not None:
        branch.map.failed -= 1
        branch.map.pending += 1
    if branch.status is Status.FROZEN:
        reopen_branch(branch)


def reopen_branch(branch: Branch) -> None:
    """It waits for what is inside it again."""
    branch.status, branch.frozen = Status.OPEN, None
    branch.scope.live += 1
    if branch.scope.is_stuck:
        unstick(branch.scope)


def conclude_again(turn: Turn, branch: Branch) -> None:
    """Retry a map whose write failed, if its items are still over."""
    if branch.map is not None and not branch.map.pending:
        _conclude(turn, branch, branch.map)


def _conclude(turn: Turn, branch: Branch, opened: OpenMap) -> None:
    """All items are over: close the map or fail it."""
    tolerated = 0 if any(home.is_exhausted for home in branch.scope.homes()) else opened.tolerated_failures
    if opened.failed > tolerated:
        count = f"{opened.failed} of {len(opened.items)} items failed; {tolerated} are tolerated."
        message = f"{count} {_first_cause(opened)}"
        _fail(turn, branch, Cause.ITEMS, Failure(type=MAP_FAILED, message=message))
    else:
        try:
            failure = _close(turn, branch, opened)
        except ReducerError as error:
            failure = Failure(type="ReducerError", message=str(error))
        if failure is not None:
            _fail(turn, branch, Cause.CLOSING, failure)


def _first_cause(opened: OpenMap) -> str:
    """Why the first of the failed items failed: of what is frozen in it, the first in canonical order."""
    index = min(opened.scopes)  # which no finished item is in
    scope = opened.scopes[index]
    frozen = [(branch.key, branch.node, branch.frozen.error) for branch in scope.branches.values() if branch.frozen]
    _, node, error = min(frozen, key=lambda one: one[0])
    return f'Item {index} failed at "{scope.graph.names[node]}": {error.in_words}'


def _close(turn: Turn, branch: Branch, opened: OpenMap) -> Failure | None:
    """Write what came out and go on. Raises ReducerError, or returns what is wrong; then nothing is changed."""
    results = [opened.results.get(index) for index in range(len(opened.items))]
    updates, sets = _gathered(opened.plan.collect, results, branch.scope.graph.reducers)
    if (failure := breach_of_write(turn.state, branch, updates, sets)) is not None:
        return failure
    opening_key, branch.key = branch.key, keys.successor(branch.key)
    try:
        write_all(turn, branch, updates, sets)
    except ReducerError:
        branch.key = opening_key
        raise
    turn.events.append(MapClosed(step=branch.id, node=branch.node_plan.name, failed=opened.failed))
    leave(turn, branch)
    drop_inner(turn, branch)
    branch.id = ids.closing(branch.id)
    proceed(turn, branch, (branch.scope.graph.names[opened.plan.join],))
    return None


def _gathered(
    collect: Mapping[str, object], results: Sequence[JsonObject | None], reducers: Container[str]
) -> tuple[Mapping[str, Sequence[Json]], JsonObject]:
    """The updates and the sets of a map's write."""
    if not collect:
        exported: dict[str, list[Json]] = {}
        for result in results:
            for key, added in (result or {}).items():
                exported.setdefault(key, []).extend(added)
        return exported, {}
    lists = {key: [None if result is None else result[key] for result in results] for key in collect}
    updates = {key: (values,) for key, values in lists.items() if key in reducers}
    return updates, {key: values for key, values in lists.items() if key not in updates}


def _types_inside(branch: Branch) -> Iterator[str]:
    """The types of all that failed in the items that are stuck, and in what these have opened."""
    for item in branch.inner_scopes():
        for scope in item.with_inner():
            yield from (inner.frozen.error.type for inner in scope.branches.values() if inner.frozen is not None)


def _fail(turn: Turn, branch: Branch, cause: Cause, error: Failure) -> None:
    """Go to the map's error handler; without one freeze, items and all."""
    node = branch.node_plan
    inside = _types_inside(branch) if cause is Cause.ITEMS and turn.state.matches_inside else ()
    targets = node.handler_of((error.type, *inside))
    if targets is None:
        freeze_with_event(turn, branch, cause, error)
        return
    turn.events.append(MapFailed(step=branch.id, node=node.name, error=error, route=targets))
    drop_inner(turn, branch)
    follow_handler(turn, branch, targets, error)
