"""Maps: a scope for each item, and one write when all are over (rule R11).

The map's own update is written first; what its branch then sees is the outer layer of every item. Nothing leaves an
item but what `collect` takes from its final state, or, without `collect`, its updates of keys that have a reducer. When
all items are over the map's branch writes that, in item order and as one write, and goes on at `join`.

An item is over when its values are known, or when it is stuck: nothing in it can go on. Only then, so independently of
timing, the map decides: up to `tolerated_failures` stuck items give null; more of them lead to the map's own handler,
or leave it frozen until a retry of what is frozen inside.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from graphs.plan import MapPlan, Plan, ReducerError
from runs.engine import ids, keys
from runs.engine.closing import settle
from runs.engine.decisions import MapItem
from runs.engine.events import Failure, Json, JsonObject, MapClosed, MapFailed
from runs.engine.positions import drop_items, freeze_with_event, leave
from runs.engine.routing import enter, follow_handler, proceed
from runs.engine.state import Branch, Cause, OpenMap, Scope, Status
from runs.engine.turn import Turn
from runs.engine.writing import write_all

MAP_FAILED = "MapFailed"


def open_map(turn: Turn, branch: Branch, map_plan: MapPlan, items: tuple[Json, ...]) -> None:
    """The map's step is over and its update written: start the items."""
    turn.state.pending -= 1
    branch.status = Status.MAPPING
    branch.map = opened = OpenMap(map_plan, items, branch.state() if items else {})
    for index in range(len(items)):
        scope = open_scope(turn.plan, branch, opened, index)
        first = Branch(id=scope.first_step, key=keys.FIRST, node=turn.plan.end, scope=scope)
        enter(turn, first, map_plan.to)
        settle(turn, scope)
    if not items:
        _conclude(turn, branch, opened)


def open_scope(plan: Plan, branch: Branch, opened: OpenMap, index: int) -> Scope:
    """A new scope for one item of the branch's map."""
    name, around = plan.names[branch.node], branch.scope
    scope = Scope(plan.items[branch.node], {}, owner=branch, index=index)
    scope.outer = opened.outer
    scope.locals = {**around.locals, opened.plan.as_: opened.items[index], "index": index}
    scope.path = f"{around.path}{'.' if around.path else ''}{name}[{index}]"
    scope.items = (*around.items, MapItem(branch.id, name, index))
    scope.exported = None if opened.plan.collect else {}
    opened.scopes[index] = scope
    return scope


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
    """Something in the item can go on again; so can the scopes around it."""
    scope.is_stuck = False
    branch = scope.owner
    if branch is None or branch.map is None:
        return
    branch.map.failed -= 1
    branch.map.pending += 1
    if branch.status is Status.FROZEN:
        thaw_map(branch)


def thaw_map(branch: Branch) -> None:
    """The map waits for its items again."""
    branch.status, branch.frozen = Status.MAPPING, None
    branch.scope.live += 1
    if branch.scope.is_stuck:
        unstick(branch.scope)


def conclude_again(turn: Turn, branch: Branch) -> None:
    """Retry a map whose write failed, if its items are still over."""
    if branch.map is not None and not branch.map.pending:
        _conclude(turn, branch, branch.map)


def _conclude(turn: Turn, branch: Branch, opened: OpenMap) -> None:
    """All items are over: close the map or fail it."""
    tolerated = 0 if turn.state.is_exhausted else opened.plan.tolerated_failures
    if opened.failed > tolerated:
        message = f"{opened.failed} of {len(opened.items)} items failed; {tolerated} are tolerated."
        _fail(turn, branch, Cause.ITEMS, Failure(type=MAP_FAILED, message=message))
    else:
        try:
            _close(turn, branch, opened)
        except ReducerError as error:
            _fail(turn, branch, Cause.CLOSING, Failure(type="ReducerError", message=str(error)))


def _close(turn: Turn, branch: Branch, opened: OpenMap) -> None:
    """Write what came out and go on. Raises ReducerError; then nothing is changed."""
    results = [opened.results.get(index) for index in range(len(opened.items))]
    opening_key, branch.key = branch.key, keys.successor(branch.key)
    try:
        write_all(turn, branch, *_gathered(opened.plan.collect, results, turn.plan.reducers))
    except ReducerError:
        branch.key = opening_key
        raise
    turn.events.append(MapClosed(step=branch.id, node=turn.plan.names[branch.node], failed=opened.failed))
    leave(turn, branch)
    drop_items(turn, branch)
    branch.id, branch.map = ids.closing(branch.id), None
    proceed(turn, branch, (turn.plan.names[opened.plan.join],))


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


def _fail(turn: Turn, branch: Branch, cause: Cause, error: Failure) -> None:
    """Go to the map's error handler; without one freeze, items and all."""
    node = turn.plan.nodes[branch.node]
    targets = node.handler_of((error.type,))
    if targets is None:
        freeze_with_event(turn, branch, cause, error)
        return
    turn.events.append(MapFailed(step=branch.id, node=node.name, error=error, route=targets))
    drop_items(turn, branch)
    branch.map = None
    follow_handler(turn, branch, targets, error)
