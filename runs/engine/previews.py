"""The state that people see while branches run (rule R15)."""

from __future__ import annotations

from dataclasses import dataclass

from graphs.plan import Plan
from runs.engine.events import JsonObject, StepId
from runs.engine.merging import merge_ended, seen_by_any
from runs.engine.scopes import Scope
from runs.engine.state import RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The state if all branches ended now. `conflicts` are keys that concurrent branches replaced; the last in
    canonical order is shown."""

    values: JsonObject
    conflicts: tuple[str, ...]


def preview(state: RunState) -> Preview:
    """For people only: no decision uses it. At the end it is the final state."""
    if state.final is not None:
        return Preview(values=state.final, conflicts=())
    return _of(state.root)


def preview_within(state: RunState, step: StepId) -> tuple[Preview, Plan] | None:
    """The same of the subgraph that a step has opened, and the subgraph's plan; None where it has none open."""
    branch = state.branches.get(step)
    if branch is None or branch.child is None:
        return None
    return _of(branch.child.scope), branch.child.scope.graph


def _of(scope: Scope) -> Preview:
    merged = merge_ended(scope, seen_by_any(scope))
    unresolved = {key for branch in scope.branches.values() if branch.frozen for key in branch.frozen.unresolved}
    conflicts = {*merged.conflicts, *merged.unreducible, *unresolved}
    return Preview(values=scope.state(merged.overlay), conflicts=tuple(sorted(conflicts)))
