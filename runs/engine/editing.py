"""Editing the state of a run that is paused or has failed (rule R16).

An edit is not a write: it has no step, so no place in the order of writes. It changes what every branch starts from,
and whatever was written to the key before is forgotten. So an edit never conflicts, every branch sees it, and it
resolves conflicts of the key. It applies to the root and to every open item of a map, or to one subgraph and its items.
"""

from __future__ import annotations

from runs.engine.events import JsonObject, StateEdited
from runs.engine.ledger import ABSENT, Ledger
from runs.engine.scopes import OpenMap, Scope
from runs.engine.turn import Turn


def edit(turn: Turn, event: StateEdited) -> bool:
    """Whether there is such a subgraph, if one is named."""
    values = {**event.values, **dict.fromkeys(event.delete, ABSENT)}
    home = _home(turn, event)
    if home is None:
        return False
    for scope in home.with_inner():
        if scope.home is home:
            _edit_scope(scope, values)
    return True


def _home(turn: Turn, event: StateEdited) -> Scope | None:
    if event.within is None:
        return turn.state.root
    branch = turn.state.branches.get(event.within)
    return None if branch is None or branch.child is None else branch.child.scope


def _edit_scope(scope: Scope, values: JsonObject) -> None:
    for key, value in values.items():
        scope.store(key, value)
        if scope.exported is not None:
            scope.exported.pop(key, None)
    if scope.ledger is not None:
        _forget(scope.ledger, values)
    for branch in scope.branches.values():
        branch.overlay = {key: held for key, held in branch.overlay.items() if key not in values}
        branch.shares_overlay = False
        if branch.frozen is not None:
            branch.frozen.unresolved.difference_update(values)
        if branch.map is not None:
            _edit_map(branch.map, values)


def _edit_map(opened: OpenMap, values: JsonObject) -> None:
    for key, value in values.items():
        if value is ABSENT:
            opened.outer.pop(key, None)
        else:
            opened.outer[key] = value
        if not opened.plan.collect:
            for result in opened.results.values():
                result.pop(key, None)


def _forget(ledger: Ledger, values: JsonObject) -> None:
    for write in ledger.writes:
        write.updates = {key: update for key, update in write.updates.items() if key not in values}
        write.sets = {key: value for key, value in write.sets.items() if key not in values}
    for key in values:
        ledger.updaters.pop(key, None)
        ledger.setters.pop(key, None)
        ledger.foreseen.discard(key)
