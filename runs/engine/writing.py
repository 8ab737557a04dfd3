"""A step's update becomes a write of its scope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runs.engine.branches import Branch
from runs.engine.events import ConflictForeseen, Json, StepCompleted
from runs.engine.ledger import ABSENT
from runs.engine.masks import bits
from runs.engine.merging import write
from runs.engine.turn import Turn


def write_update(turn: Turn, branch: Branch, event: StepCompleted) -> None:
    """Write what the step brought. A key that is set or deleted is not updated besides. Raises ReducerError."""
    reducers = branch.scope.graph.reducers
    updates: dict[str, tuple[Json, ...]] = {}
    sets: dict[str, Json] = {}
    for key, value in event.update.items():
        if key in reducers:
            updates[key] = (value,)
        else:
            sets[key] = value
    for key, value in event.replace.items():
        updates.pop(key, None)
        sets[key] = value
    for key in event.delete:
        updates.pop(key, None)
        sets[key] = ABSENT
    write_all(turn, branch, updates, sets)


def write_all(turn: Turn, branch: Branch, updates: Mapping[str, Sequence[Json]], sets: Mapping[str, Json]) -> None:
    """Write, and tell of conflicts that will come of it. Raises ReducerError; then nothing is written."""
    if not updates and not sets:
        return
    ledger = branch.scope.ledger
    for key, others in write(branch, updates, sets):
        ledger = branch.scope.ledger
        nodes = {branch.node, *(ledger.writes[number].nodes[key] for number in bits(others))} if ledger else set()
        names = tuple(sorted(branch.scope.graph.names[node] for node in nodes))
        turn.events.append(ConflictForeseen(key=key, nodes=names))
