"""Where a branch goes: one step on, through a fork, into an error handler, or to its end (rules R2, R3, R8)."""

from __future__ import annotations

from collections.abc import Sequence

from runs.engine import ids, keys
from runs.engine.branches import Branch
from runs.engine.events import Failure, JsonObject
from runs.engine.joins import park
from runs.engine.positions import leave, start
from runs.engine.turn import Turn

Places = list[tuple[int, int]]
"""Positions in the evaluated list of targets, and the nodes there."""
Payloads = Sequence[JsonObject | None]
"""By position what the step there sees on top of the state; empty if nobody does."""


def follow(turn: Turn, branch: Branch, targets: Sequence[str], payloads: Payloads = ()) -> None:
    """The branch's step is over; it goes on at `targets`."""
    leave(turn, branch)
    proceed(turn, branch, targets, payloads)


def follow_handler(turn: Turn, branch: Branch, targets: Sequence[str], error: Failure) -> None:
    """The branch's step failed; it goes on at its error handler, which sees the error."""
    leave(turn, branch)
    branch.error = {
        "type": error.type,
        "message": error.message,
        "node": branch.node_plan.name,
        "attempt": branch.attempt,
    }
    branch.payload = None
    branch.id, branch.key = ids.handler(branch.id), keys.successor(branch.key)
    enter(turn, branch, targets)


def proceed(turn: Turn, branch: Branch, targets: Sequence[str], payloads: Payloads = ()) -> None:
    """A branch that stands nowhere goes on from the step that `branch.id` names."""
    branch.error = branch.payload = None
    places = _places(branch, targets)
    if len(places) == 1:
        branch.id, branch.key = ids.successor(branch.id), keys.successor(branch.key)
    _spread(turn, branch, places, payloads)


def enter(turn: Turn, branch: Branch, targets: Sequence[str]) -> None:
    """A branch that stands nowhere comes to the step that `branch.id` names; to several as that step's children."""
    _spread(turn, branch, _places(branch, targets))


def _spread(turn: Turn, branch: Branch, places: Places, payloads: Payloads = ()) -> None:
    if not places:
        branch.scope.ended |= branch.mask
    elif len(places) == 1:
        ((position, node),) = places
        branch.payload = payloads[position] if payloads else None
        _arrive(turn, branch, node)
    else:
        _fork(turn, branch, places, payloads)


def _places(branch: Branch, targets: Sequence[str]) -> Places:
    """The targets at which the branch stays in its scope."""
    graph, exit_ = branch.scope.graph, branch.scope.plan.exit
    found = []
    for position, target in enumerate(targets):
        node = graph.index[target]
        if node != graph.end and node != exit_:
            found.append((position, node))
    return found


def _fork(turn: Turn, branch: Branch, places: Places, payloads: Payloads) -> None:
    component = branch.scope.plan.component
    here = component.get(branch.node)
    on_cycle = [position for position, node in places if component[node] == here]
    tail = (on_cycle or [places[-1][0]])[-1]
    children = keys.fork_children(branch.key, [position for position, _ in places], tail)
    for (position, node), key in zip(places, children, strict=True):
        child = branch.sprout(id=ids.fork_child(branch.id, position), key=key)
        child.payload = payloads[position] if payloads else None
        _arrive(turn, child, node)


def _arrive(turn: Turn, branch: Branch, node: int) -> None:
    if branch.scope.graph.nodes[node].join is None:
        start(turn, branch, node)
    else:
        park(branch, node)
