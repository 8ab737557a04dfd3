"""How things stand with the steps that are not over, for people: no decision uses it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from runs.engine.branches import Branch, Status
from runs.engine.events import JsonObject, StepId
from runs.engine.pausing import held
from runs.engine.state import RunState

Doing = Literal["running", "open", "waiting", "retrying", "held"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a step does. One that a pause holds may never have been given out."""

    step: StepId
    node: str
    path: str
    doing: Doing
    """`open`: the items of its map or its subgraph go on. `retrying`: its next attempt is not due yet, or was not."""
    wait: JsonObject | None = None
    """What it waits for; of a retry `{"kind": "retry", "at": …}`."""


def standings(state: RunState) -> Iterator[Standing]:
    """The steps that are awaited, open, or held by a pause."""
    held_ones = {branch.id for branch in held(state)} if state.is_paused else frozenset()
    for scope in state.scopes() if state.status == "running" else ():
        for branch in scope.branches.values():
            if branch.status is Status.OPEN:
                yield _standing(branch, "open")
            elif branch.status is Status.RUNNING:
                yield _in_flight(branch)
            elif branch.id in held_ones:
                yield _standing(branch, "held")


def _in_flight(branch: Branch) -> Standing:
    progress = branch.progress
    if progress is not None and progress.wait is not None:
        return _standing(branch, "waiting", progress.wait)
    if progress is not None and progress.not_before:
        return _standing(branch, "retrying", {"kind": "retry", "at": progress.not_before})
    return _standing(branch, "running")


def _standing(branch: Branch, doing: Doing, wait: JsonObject | None = None) -> Standing:
    return Standing(step=branch.id, node=branch.node_plan.name, path=branch.scope.path, doing=doing, wait=wait)
