"""What several branches or items make of the state together, held against its schema (rule R26).

A step's own update is checked before it becomes an outcome. But a join folds updates that were checked one by one, and
a map writes what its items gave without any tool being called. Here that is checked where it comes about, from nothing
but the journal, so that a replay comes to the same verdict. A value that one branch has set was checked with its step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphs.plan import Plan
from runs.engine.branches import Branch
from runs.engine.events import Failure, Json, JsonObject
from runs.engine.ledger import ABSENT
from runs.engine.merging import Merged, Overlay, folded
from runs.engine.scopes import Scope
from runs.engine.state import RunState
from runs.schema import schema_message, state_schema

STATE_SCHEMA_ERROR = "StateSchemaError"


def breach_of_merge(state: RunState, scope: Scope, merged: Merged, before: Overlay) -> Failure | None:
    """Whether the schema refuses what came of the keys with a reducer; `before` is the overlay that was folded onto."""
    if not _is_checked(state, scope.graph):
        return None
    reducers = scope.graph.reducers
    changed = {
        key: entry[0]
        for key, entry in merged.overlay.items()
        if key in reducers and entry is not before.get(key) and entry[0] is not ABSENT
    }
    return _breach(scope.graph, changed)


def breach_of_write(
    state: RunState, branch: Branch, updates: Mapping[str, Sequence[Json]], sets: JsonObject
) -> Failure | None:
    """Whether the schema refuses what the branch is about to write. Raises ReducerError."""
    graph = branch.scope.graph
    return _breach(graph, {**folded(branch, updates), **sets}) if _is_checked(state, graph) else None


def _is_checked(state: RunState, graph: Plan) -> bool:
    return state.checks_schema and graph.spec.state.schema is not None


def _breach(graph: Plan, changed: Mapping[str, Json]) -> Failure | None:
    schema = state_schema(graph.spec.state.schema) if changed else None
    found = {} if schema is None else {key: schema.check_values([(key, value)]) for key, value in changed.items()}
    details = [detail for key in sorted(found) for detail in found[key]]
    if not details:
        return None
    keys = tuple(key for key in sorted(found) if found[key])
    return Failure(type=STATE_SCHEMA_ERROR, message=schema_message(details), keys=keys)
