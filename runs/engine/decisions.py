"""What the engine wants done next."""

from __future__ import annotations

from dataclasses import dataclass, field

from runs.engine.events import JsonObject, StepId


@dataclass(frozen=True, slots=True)
class MapItem:
    """One item of a map: the map's step and node, and the item's index."""

    step: StepId
    node: str
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StartStep:
    """Run this step's tool.

    `items` are the enclosing map items, outermost first; `path` names them for people: `fan[3].inner[0]`.
    """

    step: StepId
    node: str
    path: str = ""
    items: tuple[MapItem, ...] = ()
    attempt: int = 1
    not_before: str = ""
    """When it is due, in UTC as RFC 3339; empty: at once."""
    compensates: StepId | None = None
    """The step that this one undoes: call the tool of the node's `compensate` with the recorded inputs, which
    `state.compensating` has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitStep:
    """Run nothing for this step until what it waits for is there. The other fields are those of StartStep."""

    step: StepId
    node: str
    path: str = ""
    items: tuple[MapItem, ...] = ()
    attempt: int = 1
    wait: JsonObject = field(hash=False)
    """As StepWaiting told it last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelStep:
    """Give up this step, running or waiting; its outcome is no longer wanted."""

    step: StepId


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectItem:
    """All branches of an item are over: evaluate the map's `collect` on it. `step` is the map's step."""

    step: StepId
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishChild:
    """Nothing in the step's subgraph goes on, since it is over or stuck: settle the step with its `child_result`."""

    step: StepId
    attempt: int = 1


Decision = StartStep | AwaitStep | CancelStep | CollectItem | FinishChild
InFlight = StartStep | AwaitStep | CollectItem | FinishChild
"""A decision whose outcome is awaited."""
