"""Reachability in a scope as bit masks, and the rank of joins that wait for each other.

One pass of Tarjan's algorithm (SIAM J. Comput. 1, 1972) finds the strongly connected components, sinks first; one
pass over them forward and one backward give what every node reaches and is reached from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from graphs.errors import DefinitionInvalid, Problem
from graphs.plan.model import Mask, NodePlan, ScopePlan
from graphs.spec import END

Successors = Mapping[int, tuple[int, ...]]


class Budget:
    """Bounds the work of a compilation: the nodes of all scopes together.

    A definition in which many maps lead into each other has scopes as large as the graph, one for each map.
    """

    def __init__(self, nodes: int) -> None:
        self._left = nodes

    def spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            message = "Too many maps share their nodes; give each map a body of its own."
            raise DefinitionInvalid([Problem(code="too-complex", path="/nodes", message=message)])


def compile_scope(
    nodes: Sequence[NodePlan],
    moves: Sequence[tuple[int, ...]],
    *,
    map_node: int | None,
    start: tuple[int, ...],
    exit_: int | None,
    budget: Budget,
) -> ScopePlan:
    """The tables of one scope: `moves` are all edges by index, `end` being `len(nodes)`."""
    end = len(nodes)
    outside = {end, exit_}
    start = tuple(node for node in start if node not in outside)
    successors, postorder = _walk(start, moves, outside, budget)
    components = _components(successors)
    component = {node: number for number, members in enumerate(components) for node in members}
    reach = _closure(components, successors)
    coreach = _closure(reversed(components), _reversed(successors))
    joins = [node for node in successors if nodes[node].join is not None]
    rank = _rank(joins, nodes, postorder)
    return ScopePlan(
        names=(*(node.name for node in nodes), END),
        map=map_node,
        start=start,
        exit=exit_,
        successors=successors,
        reach={**reach, end: 0},
        coreach={join: coreach[join] for join in joins},
        later=_later(joins, component, rank),
        rank=rank,
        component=component,
    )


def _walk(
    start: tuple[int, ...], moves: Sequence[tuple[int, ...]], outside: set[int | None], budget: Budget
) -> tuple[dict[int, tuple[int, ...]], list[int]]:
    """Depth first from `start`, edges in list order: what can be visited, and the postorder."""
    successors: dict[int, tuple[int, ...]] = {}
    postorder: list[int] = []

    def visit(node: int) -> None:
        budget.spend()
        successors[node] = tuple(move for move in moves[node] if move not in outside)
        stack.append((node, iter(successors[node])))

    stack: list[tuple[int, Iterable[int]]] = []
    for first in start:
        if first not in successors:
            visit(first)
        while stack:
            node, rest = stack[-1]
            following = next((move for move in rest if move not in successors), None)
            if following is None:
                postorder.append(node)
                stack.pop()
            else:
                visit(following)
    return successors, postorder


def _components(successors: Successors) -> list[list[int]]:
    """Strongly connected components, each after all that it leads to."""
    number: dict[int, int] = {}
    low: dict[int, int] = {}
    trail: list[int] = []
    on_trail: set[int] = set()
    found: list[list[int]] = []

    def visit(node: int) -> None:
        number[node] = low[node] = len(number)
        trail.append(node)
        on_trail.add(node)
        stack.append((node, iter(successors[node])))

    stack: list[tuple[int, Iterable[int]]] = []
    for root in successors:
        if root not in number:
            visit(root)
        while stack:
            node, rest = stack[-1]
            for following in rest:
                if following not in number:
                    visit(following)
                    break
                if following in on_trail:
                    low[node] = min(low[node], number[following])
            else:
                stack.pop()
                if stack:
                    low[stack[-1][0]] = min(low[stack[-1][0]], low[node])
                if low[node] == number[node]:
                    found.append(_cut(trail, node))
                    on_trail.difference_update(found[-1])
    return found


def _cut(trail: list[int], node: int) -> list[int]:
    """Take `node` and all behind it off the trail."""
    members = [trail.pop()]
    while members[-1] != node:
        members.append(trail.pop())
    return members


def _closure(components: Iterable[list[int]], successors: Successors) -> dict[int, Mask]:
    """For each node the nodes at the end of a path of one edge or more; `components` come successors first."""
    reach: dict[int, Mask] = {}
    for members in components:
        mask = 0
        for node in members:
            for following in successors[node]:
                mask |= 1 << following | reach.get(following, 0)
        if len(members) > 1:
            for node in members:
                mask |= 1 << node
        reach.update(dict.fromkeys(members, mask))
    return reach


def _reversed(successors: Successors) -> dict[int, tuple[int, ...]]:
    predecessors: dict[int, list[int]] = {node: [] for node in successors}
    for node, following in successors.items():
        for target in following:
            predecessors[target].append(node)
    return {node: tuple(before) for node, before in predecessors.items()}


def _rank(joins: Iterable[int], nodes: Sequence[NodePlan], postorder: list[int]) -> dict[int, int]:
    """Reverse postorder from the start, joins for all before joins that count.

    A counting join can only give up; it must be the last of its cycle to be asked.
    """
    place = {node: number for number, node in enumerate(reversed(postorder))}
    ordered = sorted(joins, key=lambda node: (_count(nodes[node]) > 0, place[node]))
    return {node: number for number, node in enumerate(ordered)}


def _count(node: NodePlan) -> int:
    return node.join.count if node.join else 0


def _later(joins: list[int], component: Mapping[int, int], rank: Mapping[int, int]) -> dict[int, Mask]:
    later: dict[int, Mask] = {}
    behind: dict[int, Mask] = {}
    for join in sorted(joins, key=lambda node: -rank[node]):
        later[join] = behind.get(component[join], 0)
        behind[component[join]] = later[join] | 1 << join
    return later
