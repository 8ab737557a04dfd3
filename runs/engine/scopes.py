"""A *scope* is the root, one item of a map, or a subgraph, and holds the branches in it.

What a branch sees is three layers: its own `overlay` (writes that not every branch of the scope has seen), the scope's
`base`, and for an item the `outer` values, the view of the map's branch when the map opened, shared by all items. A
subgraph sees nothing of what is around it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from graphs.plan import MapPlan, Plan, ScopePlan
from runs.engine import ids
from runs.engine.branches import Branch
from runs.engine.decisions import MapItem
from runs.engine.events import Json, JsonObject, StepId
from runs.engine.ledger import ABSENT, Ledger
from runs.engine.masks import Mask


class OpenMap:
    """The items of a map whose step has opened it. `results` hold what the finished ones gave."""

    __slots__ = ("failed", "items", "max_parallel", "outer", "pending", "plan", "results", "scopes", "tolerated")

    def __init__(self, plan: MapPlan, items: tuple[Json, ...], outer: JsonObject) -> None:
        self.plan = plan
        self.items = items
        self.max_parallel = plan.max_parallel
        """As the plan or its expression says, until somebody changes it while the map is open."""
        self.tolerated: int | None = None
        """How many items may fail, if an expression says so."""
        self.outer = outer
        """What the map's branch saw of the state when it opened the map."""
        self.scopes: dict[int, Scope] = {}
        self.results: dict[int, JsonObject] = {}
        """By index: the `collect` values; without `collect` lists of updates by key."""
        self.pending = len(items)
        """Items that are not over: neither finished nor stuck."""
        self.failed = 0
        """Items in which nothing can go on."""

    @property
    def tolerated_failures(self) -> int:
        """How many items may fail."""
        return self.plan.tolerated_failures.allowed(len(self.items)) if self.tolerated is None else self.tolerated


class Child:
    """The subgraph that a step has opened."""

    __slots__ = ("digest", "graph", "scope", "timeout_at")

    def __init__(self, *, graph: str, digest: str, timeout_at: str, scope: Scope) -> None:
        self.graph = graph
        self.digest = digest
        self.timeout_at = timeout_at
        self.scope = scope


class Scope:
    """The root, one item of a map, or a subgraph."""

    __slots__ = (
        "__weakref__",
        "base",
        "branches",
        "depth",
        "ended",
        "exported",
        "graph",
        "home",
        "index",
        "is_collecting",
        "is_exhausted",
        "is_free",
        "is_stuck",
        "is_thinned",
        "items",
        "ledger",
        "live",
        "locals",
        "occupancy",
        "outer",
        "own_lists",
        "owner",
        "parked",
        "path",
        "plan",
        "present",
        "satisfied",
        "scheduled",
        "turns",
        "waiting",
    )

    def __init__(
        self, graph: Plan, plan: ScopePlan, base: JsonObject, *, owner: Branch | None = None, index: int = 0
    ) -> None:
        self.graph = graph
        self.plan = plan
        self.base = base
        self.own_lists: dict[str, list[Json]] = {}
        """Lists in `base` that were made here and that nobody else has seen: they may grow in place."""
        self.owner = owner
        self.index = index
        """Of an item among its map's; of a subgraph the attempt of its step."""
        around = None if owner is None else owner.scope
        self.depth: int = 0 if around is None else around.depth + 1
        self.home: Scope = self if around is None or self.is_child else around.home
        """The outermost scope of the same graph."""
        self.scheduled = 0
        """Of a home: the steps started in it and in all that is inside it, for `limits.max_steps`."""
        self.is_exhausted = False
        """Of a home: it wanted more than `limits.max_steps`; no map in it may tolerate that."""
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
        self.is_free = False
        """A pause does not hold its branches; so it is with the scopes inside it."""
        self.is_collecting = False
        """All branches are over; `base` is final; the values of `collect` are awaited."""
        self.exported: dict[str, list[Json]] | None = None
        """For the items of a map without `collect`: updates in canonical order that `base` has taken in, by key."""

    @property
    def is_child(self) -> bool:
        """Whether it is a subgraph."""
        return self.owner is not None and self.plan.map is None

    @property
    def first_step(self) -> StepId:
        if self.owner is None:
            return ids.first()
        return ids.child(self.owner.id, self.index) if self.is_child else ids.item(self.owner.id, self.index)

    def homes(self) -> Iterator[Scope]:
        """The outermost scopes of the graphs around it, its own first."""
        home: Scope = self.home
        yield home
        while home.owner is not None:
            home = home.owner.scope.home
            yield home

    def read(self, key: str) -> Json:
        """The value, for those who keep nothing of it: a list may grow. Everybody else takes a view."""
        value = self.base.get(key, self)
        return self.outer.get(key, ABSENT) if value is self else value

    def own_list(self, key: str) -> list[Json] | None:
        """The value, if it may be changed in place."""
        held = self.own_lists.get(key)
        return held if held is not None and held is self.base.get(key) else None

    def state(self, overlay: Mapping[str, tuple[Json, int]]) -> JsonObject:
        self.own_lists.clear()
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
        """This scope and all that are inside it."""
        yield self
        for branch in self.branches.values():
            for scope in branch.inner_scopes():
                yield from scope.with_inner()
