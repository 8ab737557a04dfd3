"""Rules on maps."""

from __future__ import annotations

from collections.abc import Iterator

from graphs.errors import Problem
from graphs.expressions import compile_value
from graphs.lint.graph import LintedGraph, words
from graphs.lint.keys import writes_of
from graphs.plan import ScopePlan


def check_maps(graph: LintedGraph) -> Iterator[Problem]:
    for name, route, plan, scope in graph.maps:
        path = ("nodes", name, "next")
        if not plan.join_is_known:
            message = 'The branches of an item never meet, so name the node where the run goes on as "join".'
            yield graph.problem("map-no-join", message, *path)
        if scope.map in scope.successors:
            message = "The body of this map can come back to the map, so that items open maps without end."
            yield graph.problem("map-recursion", message, *path)
        yield from _shared(graph, scope, name)
        dropped = sorted(_replaced_in(graph, scope) - compile_value(route.collect).names)
        if dropped:
            message = (
                f"What the body writes to {words(dropped)} stays in the item and is dropped; use it in collect, or "
                "give the key a reducer and leave collect out."
            )
            yield graph.problem("map-private-write", message, *path)


def _shared(graph: LintedGraph, scope: ScopePlan, name: str) -> Iterator[Problem]:
    outer = [one for one in graph.scopes if scope.map in one.successors and one is not scope]
    for node in sorted(scope.successors):
        if node == scope.map:
            continue
        if any(node in one.successors or node == one.exit for one in outer):
            message = (
                f'Branches outside of the map "{name}" come to this node too, but an item\'s branch never leaves '
                "its item; give the body a node of its own, or name this one as the map's join."
            )
            yield graph.problem("map-body-shared", message, "nodes", graph.name(node))


def _replaced_in(graph: LintedGraph, scope: ScopePlan) -> set[str]:
    return set[str]().union(*(writes_of(graph, graph.plan.nodes[node].spec).replaced for node in scope.successors))
