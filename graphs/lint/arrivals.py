"""How many branches can come to a join before it fires: an upper bound."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

from graphs.lint.graph import LintedGraph, forks_of
from graphs.plan import ScopePlan


class Arrivals:
    """The bound for the joins of one scope. A cycle with a fork on it has none."""

    def __init__(self, graph: LintedGraph, scope: ScopePlan) -> None:
        self._graph = graph
        self._scope = scope
        self._members: dict[int, list[int]] = defaultdict(list)
        for node in scope.successors:
            self._members[scope.component[node]].append(node)

    def has_cycle(self, join: int) -> bool:
        """Whether a branch can turn in a cycle on its way to the join."""
        return any(self._is_cycle(self._scope.component[node]) for node in self._on_the_way(join))

    def at(self, join: int) -> float:
        """At most so many branches wait there at a time; infinite where nothing bounds them."""
        scope = self._scope
        on_the_way = self._on_the_way(join) | {join}
        most: dict[int, float] = {join: 1}
        # Components are numbered sinks first, so what a component leads to is known when its turn comes.
        for component in sorted({scope.component[node] for node in on_the_way}):
            members = [node for node in self._members[component] if node in on_the_way and node != join]
            if self._is_cycle(component) or join in self._members[component]:
                most |= dict.fromkeys(members, self._of_cycle(members, most))
            else:
                most |= {node: self._of_node(node, most) for node in members}
        return sum(most.get(start, 0) for start in scope.start)

    def _is_cycle(self, component: int) -> bool:
        first = self._members[component][0]
        return bool(self._scope.reach[first] >> first & 1)

    def _on_the_way(self, join: int) -> set[int]:
        mask = self._scope.coreach[join]
        return {node for node in self._scope.successors if mask >> node & 1}

    def _of_node(self, node: int, most: dict[int, float]) -> float:
        """The largest of its alternatives; the branches of a fork add up."""
        return max((sum(most.get(target, 0) for target in group) for group in self._groups(node)), default=0)

    def _of_cycle(self, members: Iterable[int], most: dict[int, float]) -> float:
        """One branch leaves by one way; a fork that leads on by two of its targets has no bound."""
        inside = set(members)
        highest = 0.0
        for node in inside:
            for group in self._groups(node):
                leading = [target for target in group if target in inside or most.get(target, 0)]
                if len(leading) > 1:
                    return math.inf
                highest = max(highest, *(most.get(target, 0) for target in leading), 0)
        return highest

    def _groups(self, node: int) -> list[tuple[int, ...]]:
        """The alternatives of a node, each a tuple of targets that run in parallel."""
        spec, index = self._graph.plan.nodes[node].spec, self._graph.plan.index
        alone = ((move,) for move in self._scope.successors[node])
        forks = forks_of(self._graph.name(node), spec)
        return [*alone, *(tuple(index[target] for target in fork.targets) for fork in forks)]
