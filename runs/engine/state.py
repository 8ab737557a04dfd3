"""A run in memory: scopes, the branches in them, and the writes whose order is still open.

A *branch* is one position of the run. It moves through the nodes of its scope and never leaves it. Its status is

* running: its step was given out with StartStep and its outcome is awaited;
* held: the same, but not given out, since the run stops on failures and has one;
* parked: it waits at a join;
* mapping: its step opened a map whose items are not all over;
* frozen: it cannot go on; it keeps its position and can be thawed.

A *scope* is the root or one item of a map. What a branch sees is three layers: its own `overlay` (writes that not every
branch of the scope has seen), the scope's `base`, and for an item the `outer` values, the view of the map's branch when
the map opened, shared by all items.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum, auto
from typing import Final, Literal

from graphs.plan import MapPlan, ScopePlan
from runs.engine import ids
from runs.engine.decisions import MapItem
from runs.engine.events import Failure, Json, JsonObject, StepId
from runs.engine.keys import Key
from runs.engine.ledger import ABSENT, Ledger
from runs.engine.masks import Mask

RunStatus = Literal["running", "completed", "failed", "cancelled"]


class Status(Enum):
    """Of a branch; see above."""

    RUNNING = auto()
    HELD = auto()
    PARKED = auto()
    MAPPING = auto()
    FROZEN = auto()


LIVE: Final = frozenset({Status.RUNNING, Status.HELD, Status.MAPPING})
"""A branch of these can go on by itself or by what its items do."""


class Cause(Enum):
    """Why a branch froze, which decides what a thaw does."""

    STEP = "step"
    """Its step failed or ran out of time: the next attempt."""
    JOIN = "join"
    """Its join could not merge or was not satisfied: the step starts after all."""
    LIMIT = "limit"
    """It would have broken a limit: asked again."""
    ITEMS = "items"
    """More items of its map are stuck than are tolerated: thawed when one of them is."""
    CLOSING = "closing"
    """Its map's items are over, but what they gave could not be written: tried again."""
    END = "end"
    """The scope could not be closed: the final merge or `collect` is tried again."""


MERGING: Final = frozenset({Cause.JOIN, Cause.END})
"""Where branches meet: the keys of the error must be edited before a thaw can help."""


class Frozen:
    """What holds a branch. It cannot be thawed while keys are `unresolved`: somebody must edit them first."""

    __slots__ = ("cause", "error", "unresolved")

    def __init__(self, cause: Cause, error: Failure, unresolved: set[str]) -> None:
        self.cause = cause
        self.error = error
        self.unresolved = unresolved


class Branch:
    """One position of the run. `id` names the step it is at, or for a parked one the step it would have been."""

    __slots__ = (
        "attempt",
        "error",
        "frozen",
        "id",
        "key",
        "map",
        "marks",
        "mask",
        "node",
        "overlay",
        "scope",
        "shares_overlay",
        "status",
    )

    def __init__(self, *, id: StepId, key: Key, node: int, scope: Scope) -> None:
        self.id = id
        self.key = key
        self.node = node
        self.scope = scope
        self.status = Status.RUNNING
        self.attempt = 1
        self.mask: Mask = 0
        self.overlay: dict[str, tuple[Json, int]] = {}
        """By state key: the value, and the number of the write with the greatest key that made it."""
        self.shares_overlay = False
        """Another branch of the same fork may hold the same overlay; the first write copies it."""
        self.marks: Mask = 0
        """Counting joins, by node, that fired without this branch: it is absorbed when it arrives."""
        self.error: JsonObject | None = None
        """What an error handler sees as `error`."""
        self.frozen: Frozen | None = None
        self.map: OpenMap | None = None

    @property
    def may_be_absorbed(self) -> bool:
        """Whether it can come to a join that has fired without it; its writes would be lost with it."""
        return bool(self.marks and self.marks & self.scope.plan.reach[self.node])

    def sprout(self, *, id: StepId, key: Key) -> Branch:
        """Another branch with the same past."""
        child = Branch(id=id, key=key, node=self.node, scope=self.scope)
        child.mask, child.marks, child.error = self.mask, self.marks, self.error
        child.overlay, child.shares_overlay = self.overlay, True
        return child

    def read(self, key: str) -> Json:
        """The value as this branch sees it, or ABSENT."""
        held = self.overlay.get(key)
        return self.scope.read(key) if held is None else held[0]

    def state(self) -> JsonObject:
        """All that this branch sees of the state."""
        return self.scope.state(self.overlay)


class OpenMap:
    """The items of a map whose step has opened it. `results` hold what the finished ones gave."""

    __slots__ = ("failed", "items", "outer", "pending", "plan", "results", "scopes")

    def __init__(self, plan: MapPlan, items: tuple[Json, ...], outer: JsonObject) -> None:
        self.plan = plan
        self.items = items
        self.outer = outer
        """What the map's branch saw of the state when it opened the map."""
        self.scopes: dict[int, Scope] = {}
        self.results: dict[int, JsonObject] = {}
        """By index: the `collect` values; without `collect` lists of updates by key."""
        self.pending = len(items)
        """Items that are not over: neither finished nor stuck."""
        self.failed = 0
        """Items in which nothing can go on."""


class Scope:
    """The root or one item of a map."""

    __slots__ = (
        "base",
        "branches",
        "ended",
        "exported",
        "index",
        "is_collecting",
        "is_stuck",
        "is_thinned",
        "items",
        "ledger",
        "live",
        "locals",
        "occupancy",
        "outer",
        "owner",
        "parked",
        "path",
        "plan",
        "present",
        "satisfied",
        "turns",
        "waiting",
    )

    def __init__(self, plan: ScopePlan, base: JsonObject, *, owner: Branch | None = None, index: int = 0) -> None:
        self.plan = plan
        self.base = base
        self.owner = owner
        self.index = index
        self.outer: Mapping[str, Json] = {}
        self.locals: JsonObject = {}
        """The enclosing maps' `as` names and `index`: seen, but not part of the state."""
        self.path = ""
        self.items: tuple[MapItem, ...] = ()
        self.branches: dict[StepId, Branch] = {}
        self.occupancy: dict[int, int] = {}
        """By node: branches there that are not parked at it."""
        self.present: Mask = 0
        """The nodes with such a branch."""
        self.parked: dict[int, list[Branch]] = {}
        self.waiting: Mask = 0
        """The joins with a parked branch."""
        self.satisfied: Mask = 0
        """The counting joins among them that have enough."""
        self.is_thinned = False
        """A branch was taken away; every join must be looked at again."""
        self.ended: Mask = 0
        """The writes that ended branches have seen."""
        self.ledger: Ledger | None = None
        """None: every branch has seen all there is, and it is in `base`."""
        self.turns: dict[int, int] = {}
        self.live = 0
        self.is_stuck = False
        """Nothing in it can go on."""
        self.is_collecting = False
        """All branches are over; `base` is final; the values of `collect` are awaited."""
        self.exported: dict[str, list[Json]] | None = None
        """For the items of a map without `collect`: updates in canonical order that `base` has taken in, by key."""

    @property
    def first_step(self) -> StepId:
        return ids.first() if self.owner is None else ids.item(self.owner.id, self.index)

    def read(self, key: str) -> Json:
        value = self.base.get(key, self)
        return self.outer.get(key, ABSENT) if value is self else value

    def state(self, overlay: Mapping[str, tuple[Json, int]]) -> JsonObject:
        values = {**self.outer, **self.base}
        for key, (value, _) in overlay.items():
            values[key] = value
        return {key: value for key, value in values.items() if value is not ABSENT}

    def store(self, key: str, value: Json) -> None:
        """Put a value into the base; ABSENT deletes the key."""
        if value is ABSENT and key not in self.outer:
            self.base.pop(key, None)
        else:
            self.base[key] = value

    def occupy(self, node: int) -> None:
        count = self.occupancy.get(node, 0)
        self.occupancy[node] = count + 1
        if not count:
            self.present |= 1 << node

    def vacate(self, node: int) -> None:
        count = self.occupancy[node] - 1
        if count:
            self.occupancy[node] = count
        else:
            del self.occupancy[node]
            self.present &= ~(1 << node)

    def with_inner(self) -> Iterator[Scope]:
        """This scope and those of all items inside it."""
        yield self
        for branch in self.branches.values():
            if branch.map is not None:
                for scope in branch.map.scopes.values():
                    yield from scope.with_inner()


class RunState:
    """All the engine knows of a run. `advance` changes it in place."""

    __slots__ = ("branches", "final", "is_exhausted", "is_stopping", "pending", "root", "scheduled", "status")

    def __init__(self, root: Scope) -> None:
        self.root = root
        self.status: RunStatus = "running"
        self.final: JsonObject | None = None
        """The state at the end of a completed run."""
        self.branches: dict[StepId, Branch] = {}
        """Those at a step (all but the parked ones), over all scopes."""
        self.scheduled = 0
        """Steps that were started, for `limits.max_steps`."""
        self.pending = 0
        """Running branches and collecting items: when there are none, the run is over."""
        self.is_stopping = False
        """The run stops on failures and has one: nothing new starts."""
        self.is_exhausted = False
        """The run wanted more than `limits.max_steps`; no map may tolerate that."""

    def is_item_over(self, map_step: StepId, index: int) -> bool:
        """Whether nothing more runs in this item of a map: it gave its values, is stuck, or was dropped."""
        scope = self._item(map_step, index)
        return scope is None or scope.is_stuck

    def collecting(self, map_step: StepId, index: int) -> Scope | None:
        """The item of this name, if its `collect` values are awaited."""
        scope = self._item(map_step, index)
        return scope if scope is not None and scope.is_collecting else None

    def _item(self, map_step: StepId, index: int) -> Scope | None:
        branch = self.branches.get(map_step)
        return None if branch is None or branch.map is None else branch.map.scopes.get(index)
