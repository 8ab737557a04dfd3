"""What is to be undone, as values; `runs.engine.compensating` says when it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from graphs.plan import Plan
from runs.engine.events import CompensationReason, Failure, JsonObject, StepId

if TYPE_CHECKING:
    from runs.engine.scopes import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Compensation:
    """How to undo a completed step: with its node's `compensate` and these inputs, evaluated when it completed."""

    step: StepId
    node: str
    path: str
    inputs: JsonObject
    graph: Plan
    """The graph that the node is of; the step's scope may be closed long since."""
    digest: str | None = None
    """Of the definition of that graph, if it is a subgraph."""


@dataclass(slots=True, kw_only=True)
class Compensating:
    """The phase in which a run undoes what it did, one step at a time."""

    reason: CompensationReason
    current: Compensation
    scope: Scope
    """Where the branch of the current compensation stands, alone."""
    errors: list[tuple[StepId, str, Failure]] = field(default_factory=list)
    """Of compensations that failed, in the order in which they ran."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoingCall:
    """The call that undoes a step: its inputs are those that were recorded when the step completed."""

    tool: str
    inputs: JsonObject
    state: JsonObject
    """The run's state now, of which the tool takes arguments that the inputs lack."""
