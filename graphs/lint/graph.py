"""What the rules ask about a graph: its scopes, its forks, and how far branches come."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from graphs.errors import Level, Problem
from graphs.lint.rules import RULES
from graphs.plan import MapPlan, Plan, ScopePlan, moves_of
from graphs.spec import END, Choice, Dynamic, Each, GraphSpec, Hints, MapRoute, NodeSpec, Switch, To, quoted
from tools.strict_json import pointer

Path = tuple[str | int, ...]
MAX_VISITS = 500_000
"""Nodes that the searches of one run of lint may look at in all, which takes about a second."""


class Parameter(Protocol):
    """A parameter of a tool, as far as the rules must know it."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def required(self) -> bool: ...


class ToolSignature(Protocol):
    """A tool, as far as the rules must know it."""

    @property
    def parameters(self) -> Sequence[Parameter]: ...
    @property
    def result_schema(self) -> Mapping[str, Any]: ...
    @property
    def effect(self) -> str: ...
    @property
    def atomic(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """Targets of one node that run in parallel: all of a list; of `each` and `dynamic` as many as are chosen."""

    node: str
    path: Path
    targets: tuple[str, ...]
    is_list: bool
    """All of them, always."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """How far one branch of a fork comes before it meets a join or its own fork again."""

    nodes: frozenset[int]
    joins: frozenset[int]
    returns: bool
    """It comes back to the fork."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkInScope:
    """A fork as it happens in one kind of scope. `branches` are in the order of its targets, without `end`."""

    fork: Fork
    scope: ScopePlan
    targets: tuple[int, ...]
    branches: tuple[Branch, ...]


class LintedGraph:
    """A definition with its plan and the tools it may use, and what follows from them. Built for one run of lint."""

    def __init__(self, spec: GraphSpec, plan: Plan, tools: Mapping[str, ToolSignature], *, on_sqlite: bool) -> None:
        self.spec = spec
        self.plan = plan
        self.on_sqlite = on_sqlite
        self.tools = tools
        self.hints = Hints()
        self._visits_left = MAX_VISITS

    @property
    def is_incomplete(self) -> bool:
        """Whether a search was given up."""
        return self._visits_left < 0

    def may_visit(self, nodes: int) -> bool:
        """Whether a search may look at so many more nodes; they count against `MAX_VISITS`."""
        self._visits_left -= nodes
        return self._visits_left >= 0

    def problem(
        self,
        rule: str,
        message: str,
        *path: str | int,
        node: str | None = None,
        level: Level | None = None,
        key: str | None = None,
        is_needed: bool = False,
    ) -> Problem:
        """A finding of a rule, at a path; its node is the one that the path leads to unless another is named."""
        if node is None and len(path) > 1 and path[0] == "nodes":
            node = str(path[1])
        return Problem(
            level=level or RULES[rule].level,
            code=rule,
            path=pointer(*path),
            message=message,
            node=node,
            key=key,
            is_needed=is_needed,
        )

    def name(self, index: int) -> str:
        return self.plan.names[index]

    @property
    def maps(self) -> Iterator[tuple[str, MapRoute, MapPlan, ScopePlan]]:
        """The maps that can be reached: node, definition, plan and the scope of an item; outer ones first."""
        for scope in self.scopes:
            node = None if scope.map is None else self.plan.nodes[scope.map]
            if node is not None and node.map is not None and isinstance(node.spec.next, MapRoute):
                yield node.name, node.spec.next, node.map, scope

    @cached_property
    def scopes(self) -> list[ScopePlan]:
        """The root and the scopes of all maps that can be reached from it, outer ones first."""
        found, seen = [self.plan.root], set[int]()
        for scope in found:
            for node in scope.successors:
                if self.plan.nodes[node].map is not None and node not in seen:
                    seen.add(node)
                    found.append(self.plan.items[node])
        return found

    @cached_property
    def moves(self) -> list[tuple[int, ...]]:
        """For each node every target in its own scope, `end` included; a map moves to its join."""
        index, names = self.plan.index, self.plan.names
        return [
            tuple(index[move] for move in moves_of(node.spec, map_join=names[node.map.join] if node.map else END))
            for node in self.plan.nodes
        ]

    @cached_property
    def forks(self) -> list[Fork]:
        return [fork for name, node in self.spec.nodes.items() for fork in forks_of(name, node)]

    @cached_property
    def forks_in_scopes(self) -> list[ForkInScope]:
        """Every fork of every scope with its branches, as far as `MAX_VISITS` allows."""
        forks: dict[int, list[Fork]] = defaultdict(list)
        for fork in self.forks:
            forks[self.plan.index[fork.node]].append(fork)
        return [
            found
            for scope in self.scopes
            for node in scope.successors
            for fork in forks[node]
            if (found := self._in_scope(fork, scope, node)) is not None
        ]

    def _in_scope(self, fork: Fork, scope: ScopePlan, node: int) -> ForkInScope | None:
        targets = tuple(
            target for target in map(self.plan.index.__getitem__, fork.targets) if target in scope.successors
        )
        branches = tuple(self._branch(scope, target, node) for target in targets)
        if self.is_incomplete:
            return None
        return ForkInScope(fork=fork, scope=scope, targets=targets, branches=branches)

    def _branch(self, scope: ScopePlan, start: int, fork: int) -> Branch:
        nodes: set[int] = set()
        joins: set[int] = set()
        returns = False
        waiting = deque([start])
        while waiting and self.may_visit(1):
            node = waiting.popleft()
            if node == fork:
                returns = True
            elif self.plan.nodes[node].join is not None:
                joins.add(node)
            elif node not in nodes:
                nodes.add(node)
                waiting.extend(scope.successors[node])
        return Branch(nodes=frozenset(nodes), joins=frozenset(joins), returns=returns)


def is_on_cycle(scope: ScopePlan, node: int) -> bool:
    return bool(scope.reach[node] >> node & 1)


def lists_of(name: str, node: NodeSpec) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Every place of a node where a list of targets may stand, with the targets."""
    path: Path = ("nodes", name)
    match node.next:
        case To(to=to):
            yield (*path, "next"), to
        case Choice(if_true=if_true, if_false=if_false):
            yield (*path, "next", "if_true"), if_true
            yield (*path, "next", "if_false"), if_false
        case Switch(cases=cases, default=default) | Each(cases=cases, default=default):
            word = "switch" if isinstance(node.next, Switch) else "each"
            for number, case in enumerate(cases):
                yield (*path, "next", word, number, "to"), case.to
            yield (*path, "next", "default"), default or ()
        case MapRoute(to=to):
            yield (*path, "next", "to"), to
        case Dynamic(targets=targets):
            yield (*path, "next", "dynamic"), targets
    for number, handler in enumerate(node.on_error):
        yield (*path, "on_error", number, "to"), handler.to
    if node.wait is not None:
        yield (*path, "wait", "on_timeout"), node.wait.on_timeout or ()
        for number, entry in enumerate(node.wait.any or ()):
            yield (*path, "wait", "any", number, "next"), entry.next or ()


def forks_of(name: str, node: NodeSpec) -> Iterator[Fork]:
    """What of a node's routing can start branches in its own scope that run in parallel."""
    if isinstance(node.next, Each):
        targets = tuple(target for case in node.next.cases for target in case.to)
        if len(targets) > 1:
            yield Fork(node=name, path=("nodes", name, "next"), targets=targets, is_list=False)
    for path, targets in lists_of(name, node):
        is_of_items = isinstance(node.next, MapRoute) and path[2:] == ("next", "to")
        is_part_of_each = isinstance(node.next, Each) and path[2:4] == ("next", "each")
        if len(targets) > 1 and not is_of_items and not is_part_of_each:
            is_list = path[-1] != "dynamic"
            yield Fork(node=name, path=path, targets=targets, is_list=is_list)


def words(names: Iterable[str]) -> str:
    """`"a", "b" and "c"`."""
    shown = [quoted(name) for name in names]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
