"""Rules on joins."""

from __future__ import annotations

from collections.abc import Iterator

from graphs.errors import Problem
from graphs.lint.arrivals import Arrivals
from graphs.lint.graph import ForkInScope, LintedGraph, is_on_cycle, words
from graphs.plan import ScopePlan

_ORDERED_REDUCERS = frozenset({"append", "extend", "merge", "union"})


def check_joins(graph: LintedGraph) -> Iterator[Problem]:
    for scope in graph.scopes:
        for join in scope.coreach:
            yield from _counting(graph, scope, join)
        yield from _out_of_reach(graph, scope)
    loops = {id(scope): _loops_that_wait(graph, scope) for scope in graph.scopes}
    for found in graph.forks_in_scopes:
        yield from _mutual(graph, found)
        yield from _waiting_on_loop(graph, found, loops[id(found.scope)])
        yield from _reordering(graph, found)


def _counting(graph: LintedGraph, scope: ScopePlan, join: int) -> Iterator[Problem]:
    plan, name = graph.plan.nodes[join].join, graph.name(join)
    if plan is None or not plan.count:
        return
    message = "Which branches are in time decides what is merged here: two runs with one input may differ."
    yield graph.problem("timing-dependent", message, "nodes", name, "join")
    if plan.rest == "cancel" and is_on_cycle(scope, join):
        message = (
            "When this join fires, every other branch on its cycle is cancelled, late ones of earlier turns too; "
            'write "rest": "ignore" to let them end.'
        )
        yield graph.problem("cancel-wide", message, "nodes", name, "join")


def _out_of_reach(graph: LintedGraph, scope: ScopePlan) -> Iterator[Problem]:
    arrivals = Arrivals(graph, scope)
    for join in scope.coreach:
        plan = graph.plan.nodes[join].join
        if plan is None or not plan.count or not graph.may_visit(len(scope.successors)):
            continue
        most = arrivals.at(join)
        if plan.count > most:
            message = f"At most {most} branches can come here, so {plan.count} never will; lower the count."
            yield graph.problem(
                "join-count-unreachable",
                message,
                *("nodes", graph.name(join), "join", "count"),
                level="warning" if arrivals.has_cycle(join) else "error",
            )


def _mutual(graph: LintedGraph, found: ForkInScope) -> Iterator[Problem]:
    """Joins of one cycle at which different branches of the fork can be parked at the same time."""
    scope = found.scope
    parked: dict[int, list[tuple[int, int]]] = {}
    for number, branch in enumerate(found.branches):
        for join in branch.joins:
            parked.setdefault(scope.component[join], []).append((join, number))
    for places in parked.values():
        places.sort(key=lambda place: (scope.rank[place[0]], place[1]))
        first, first_branch = places[0]
        for join, branch_number in places[1:]:
            if join != first and branch_number != first_branch:
                message = (
                    f'This join and "{graph.name(first)}" lie on one cycle and can wait for each other; '
                    f'"{graph.name(first)}" then runs first, with the branches that are there.'
                )
                yield graph.problem("join-mutual", message, "nodes", graph.name(join), "join")


def _waiting_on_loop(graph: LintedGraph, found: ForkInScope, loops: list[int]) -> Iterator[Problem]:
    scope = found.scope
    for node in loops:
        coming = [target == node or bool(scope.reach[target] >> node & 1) for target in found.targets]
        for branch, comes_itself in zip(found.branches, coming, strict=True):
            if sum(coming) == comes_itself or not graph.may_visit(len(branch.joins)):
                continue
            for join in sorted(branch.joins):
                if _waits_for(graph, scope, join, node):
                    message = (
                        "This join waits for every branch that may come, also for one in the cycle of "
                        f'"{graph.name(node)}", which waits for the world: that may take very long.'
                    )
                    yield graph.problem("join-waits-on-loop", message, "nodes", graph.name(join), "join")


def _loops_that_wait(graph: LintedGraph, scope: ScopePlan) -> list[int]:
    return [
        node
        for node in scope.successors
        if graph.plan.nodes[node].spec.kind in ("human", "wait") and is_on_cycle(scope, node)
    ]


def _waits_for(graph: LintedGraph, scope: ScopePlan, join: int, node: int) -> bool:
    plan = graph.plan.nodes[join].join
    is_for_all = plan is not None and not plan.count
    return is_for_all and bool(scope.coreach[join] >> node & 1) and scope.component[join] != scope.component[node]


def _reordering(graph: LintedGraph, found: ForkInScope) -> Iterator[Problem]:
    """Joins that take some of the fork's branches each, and overlap: what the later one adds may come first."""
    ordered = [
        key for key, reducer in graph.spec.state.reducers.items() if reducer in _ORDERED_REDUCERS or "@" in reducer
    ]
    if not ordered:
        return
    takes: dict[int, set[int]] = {}
    for number, branch in enumerate(found.branches):
        for join in branch.joins:
            takes.setdefault(join, set()).add(number)
    for branch in found.branches:
        first, *others = sorted(branch.joins) or (None,)
        for other in others:
            if first is not None and takes[other] != takes[first]:
                message = (
                    f'This join and "{graph.name(first)}" take different branches of the fork at "{found.fork.node}": '
                    f"in {words(sorted(ordered))} a later step may find elements before those that an earlier one saw."
                )
                yield graph.problem("append-reorders", message, "nodes", graph.name(other), "join")
