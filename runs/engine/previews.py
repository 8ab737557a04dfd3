"""The state that people see while branches run (rule R15)."""

from __future__ import annotations

from dataclasses import dataclass

from graphs.plan import Plan
from runs.engine.events import JsonObject
from runs.engine.merging import merge_ended, seen_by_any
from runs.engine.state import RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The state if all branches ended now. `conflicts` are keys that concurrent branches replaced; the last in
    canonical order is shown."""

    values: JsonObject
    conflicts: tuple[str, ...]


def preview(plan: Plan, state: RunState) -> Preview:
    """For people only: no decision uses it. At the end it is the final state."""
    if state.final is not None:
        return Preview(values=state.final, conflicts=())
    root = state.root
    merged = merge_ended(plan, root, seen_by_any(root))
    unresolved = {key for branch in root.branches.values() if branch.frozen for key in branch.frozen.unresolved}
    conflicts = {*merged.conflicts, *merged.unreducible, *unresolved}
    return Preview(values=root.state(merged.overlay), conflicts=tuple(sorted(conflicts)))
