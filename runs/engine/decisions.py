"""What the engine wants done next."""

from __future__ import annotations

from dataclasses import dataclass

from runs.engine.events import StepId


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


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelStep:
    """Give up this step; its outcome is no longer wanted."""

    step: StepId


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectItem:
    """All branches of an item are over: evaluate the map's `collect` on it. `step` is the map's step."""

    step: StepId
    index: int


Decision = StartStep | CancelStep | CollectItem
