"""Rules on where branches can go, and on forks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping

from graphs.errors import Problem
from graphs.lint.graph import ForkInScope, LintedGraph, is_on_cycle, lists_of, words
from graphs.plan import ScopePlan

_SHOWN = 8
"""So many names are named in a message."""


def check_flow(graph: LintedGraph) -> Iterator[Problem]:
    yield from _unreachable(graph)
    for scope in graph.scopes:
        yield from _endless(graph, scope)
    for name, node in graph.spec.nodes.items():
        for path, targets in lists_of(name, node):
            twice = [target for target, times in Counter(targets).items() if times > 1]
            if twice:
                message = f"The list names {words(twice)} more than once, so it runs more than once; is that meant?"
                yield graph.problem("fork-duplicate-target", message, *path)
    for fork in graph.forks_in_scopes:
        yield from _multiplying(graph, fork)
        yield from _merging(graph, fork)


def _unreachable(graph: LintedGraph) -> Iterator[Problem]:
    reached = set[int]().union(*(scope.successors for scope in graph.scopes))
    for name in graph.spec.nodes:
        if graph.plan.index[name] not in reached:
            message = "No branch can come to this node; let another node lead here, or remove it."
            yield graph.problem("unreachable", message, "nodes", name)


def _endless(graph: LintedGraph, scope: ScopePlan) -> Iterator[Problem]:
    """Nodes from which a branch can come neither to `end` nor out of the map's body."""
    outside = {graph.plan.end, scope.exit}
    sources: dict[int, list[int]] = defaultdict(list)
    for node, targets in scope.successors.items():
        for target in targets:
            sources[target].append(node)
    ending = [node for node in scope.successors if not outside.isdisjoint(graph.moves[node])]
    can_end = set(ending)
    while ending:
        for source in sources[ending.pop()]:
            if source not in can_end:
                can_end.add(source)
                ending.append(source)
    stuck = [node for node in scope.successors if node not in can_end]
    loops = _closed_loops(scope, stuck)
    for loop in loops:
        names = sorted(map(graph.name, loop))
        shown = words(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
        message = f'No way leads out of the cycle of {shown}; let one of them lead to "end" or to another node.'
        yield graph.problem("loop-without-exit", message, "nodes", names[0])
    in_loops = set[int]().union(*loops)
    for node in stuck:
        if node not in in_loops:
            message = 'Every way from this node ends in a cycle without an exit; let one lead to "end".'
            yield graph.problem("never-ends", message, "nodes", graph.name(node))


def _closed_loops(scope: ScopePlan, stuck: Iterable[int]) -> list[set[int]]:
    """The cycles among the nodes that nothing leads out of."""
    members: dict[int, set[int]] = defaultdict(set)
    for node in stuck:
        members[scope.component[node]].add(node)
    return [loop for loop in members.values() if all(loop.issuperset(scope.successors[node]) for node in loop)]


def _multiplying(graph: LintedGraph, found: ForkInScope) -> Iterator[Problem]:
    node = graph.plan.index[found.fork.node]
    is_dynamic = found.fork.path[-1] == "dynamic"
    if is_dynamic or not is_on_cycle(found.scope, node) or graph.plan.nodes[node].join is not None:
        return
    returning = [graph.name(t) for t, branch in zip(found.targets, found.branches, strict=True) if branch.returns]
    if len(returning) > 1:
        message = (
            f"The branches that start at {words(returning)} come back here without a join, so that they double every "
            'turn; give the node where they meet "join": "all".'
        )
        yield graph.problem(
            "fork-multiplies", message, *found.fork.path, level="error" if found.fork.is_list else "warning"
        )


def _merging(graph: LintedGraph, found: ForkInScope) -> Iterator[Problem]:
    """The nodes at which branches of the fork run together without a join; those behind them are not named."""
    first_branches = {target: branch.nodes for target, branch in zip(found.targets, found.branches, strict=True)}
    reached = Counter(node for nodes in first_branches.values() for node in nodes)
    shared = {node for node, times in reached.items() if times > 1}
    if not shared:
        return
    for node in sorted(_first_of(shared, reached, found)):
        message = (
            f'Branches of the fork at "{found.fork.node}" meet here, and the node runs once for each of them; give it '
            '"join": "all" if it should run once.'
        )
        yield graph.problem("merge-without-join", message, "nodes", graph.name(node))


def _first_of(shared: set[int], reached: Mapping[int, int], found: ForkInScope) -> set[int]:
    targets = shared.intersection(found.targets)
    entered = {
        target for node in reached if node not in shared for target in found.scope.successors[node] if target in shared
    }
    return targets | entered
