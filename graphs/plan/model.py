"""The compiled definition as values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from graphs.plan.reducers import Reducer
from graphs.spec import GraphSpec, LimitsSpec, NodeSpec

Json = Any
Names = Mapping[str, Json]
"""What an expression sees, by name."""
Targets = tuple[str, ...]
Mask = int
"""A set of nodes: bit i stands for the node of index i."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinPlan:
    """How a node waits for branches. `count` 0: for all that can come."""

    count: int
    rest: Literal["cancel", "ignore"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """A case of `on_error`; one whose `match` is empty takes every error."""

    match: tuple[str, ...]
    to: Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputsPlan:
    """The compiled `outputs`: those that go through the reducers, and those written as `{"$set": …}`."""

    update: Mapping[str, Callable[[Names], Json]]
    replace: Mapping[str, Callable[[Names], Json]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """How many items of a map may fail: a number of them, or a share in per cent."""

    items: int = 0
    percent: int = 0

    @classmethod
    def of(cls, failures: int | str) -> Tolerance:
        """From a number, or from a share such as `10%`."""
        return cls(items=failures) if isinstance(failures, int) else cls(percent=int(failures.removesuffix("%")))

    def allowed(self, items: int) -> int:
        """Of so many items; of a share the whole part."""
        return self.items or items * self.percent // 100


@dataclass(frozen=True, slots=True, kw_only=True)
class MapPlan:
    """A compiled map."""

    items: Callable[[Names], Json]
    as_: str
    to: Targets
    join: int
    """Index of the node where the run goes on, or of `end`."""
    join_is_known: bool
    """False: no `join` is given, and a branch that starts at `to` can never end, so there is none to infer."""
    collect: Mapping[str, Callable[[Names], Json]]
    """Empty: the items' updates of keys with a reducer come out instead."""
    tolerated_failures: Tolerance
    max_parallel: int | None
    computed: Mapping[str, Callable[[Names], Json]]
    """Of the two before those that are expressions: their values are recorded when the map opens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlan:
    """A compiled node. `route` is None where the branch ends or the node opens a map."""

    name: str
    index: int
    spec: NodeSpec
    join: JoinPlan | None
    inputs: Mapping[str, Callable[[Names], Json]]
    outputs: OutputsPlan | None
    graph: Callable[[Names], Json] | None
    """The subgraph: a name, a name with a version, or a whole definition."""
    cache_key: Callable[[Names], Json] | None
    """What tells cached results apart; None for all arguments, and where nothing is cached."""
    lock: Callable[[Names], Json] | None
    """The name of the lock that the step holds."""
    route: Callable[[Names], Targets] | None
    """Raises NoRoute, or what an expression raises."""
    dynamic: frozenset[str] | None
    """The targets among which the tool itself chooses."""
    map: MapPlan | None
    handlers: tuple[Handler, ...]
    compensation: Mapping[str, Callable[[Names], Json]] | None
    """The inputs of what undoes the step; None where nothing does."""

    def handler_of(self, names: tuple[str, ...]) -> Targets | None:
        """Where an error leads that goes by these names; None without a matching case."""
        return next((case.to for case in self.handlers if not case.match or set(case.match).intersection(names)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopePlan:
    """Where branches of one kind of scope can go: the root, or an item of one map.

    All tables hold the nodes that a branch of the scope can stand at, by index; `end` (the last index) reaches nothing.
    """

    names: tuple[str, ...]
    """Of all nodes of the definition, by index; the last one is `end`."""
    map: int | None
    """Index of the map node whose items these are; None for the root."""
    start: tuple[int, ...]
    exit: int | None
    """Index of the node at which branches of an item end: the map's join."""
    successors: Mapping[int, tuple[int, ...]]
    reach: Mapping[int, Mask]
    """Nodes that a branch at the node can still come to; itself if it lies on a cycle."""
    coreach: Mapping[int, Mask]
    """By join: the nodes from which a branch can come to it."""
    later: Mapping[int, Mask]
    """By join: the joins of the same cycle that rank after it. Branches parked there do not keep it waiting."""
    rank: Mapping[int, int]
    """By join: its place in the order of the joins that wait for each other."""
    component: Mapping[int, int]
    """The strongly connected component; two nodes with an equal number lie on a common cycle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A compiled definition. Node indexes follow the sorted names, so equal definitions have equal plans."""

    spec: GraphSpec
    names: tuple[str, ...]
    """By index; the last one is `end`."""
    index: Mapping[str, int]
    nodes: tuple[NodePlan, ...]
    counting: Mapping[int, JoinPlan]
    """The joins that count, by index."""
    root: ScopePlan
    items: Mapping[int, ScopePlan]
    """The scope of an item, by the index of its map node."""
    reducers: Mapping[str, Reducer]
    """By state key; a key without one is replaced."""
    limits: LimitsSpec
    stops_on_failure: bool

    @property
    def calls_graphs(self) -> bool:
        """Whether a node of it runs a subgraph."""
        return any(node.graph is not None for node in self.nodes)

    @property
    def end(self) -> int:
        return len(self.nodes)

    def node(self, name: str) -> NodePlan:
        """Raises KeyError for a name that the definition lacks."""
        return self.nodes[self.index[name]]
