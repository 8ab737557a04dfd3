"""What is wrong with a definition that keeps the grammar, and what is worth knowing about it. No Django.

`RULES` lists every id; `docs/lint.md` explains them. What a run could not survive stops publishing. The other errors
are for surprise, not for soundness: the engine's result is well defined for them too.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import replace

from graphs.errors import Problem
from graphs.lint.calls import check_calls, unknown_reducers
from graphs.lint.flow import check_flow
from graphs.lint.graph import LintedGraph, Parameter, ToolSignature
from graphs.lint.joins import check_joins
from graphs.lint.maps import check_maps
from graphs.lint.names import check_names
from graphs.lint.parallel import check_parallel_writes
from graphs.lint.rules import RULES, Rule, stops_publishing
from graphs.lint.secrets import check_secrets
from graphs.plan import compile_plan
from graphs.spec import GraphSpec

__all__ = ["RULES", "Parameter", "Rule", "ToolSignature", "lint", "stops_publishing"]

_CHECKS: tuple[Callable[[LintedGraph], Iterator[Problem]], ...] = (
    check_calls,
    check_names,
    check_flow,
    check_joins,
    check_parallel_writes,
    check_maps,
    check_secrets,
)


def lint(spec: GraphSpec, *, tools: Mapping[str, ToolSignature], on_sqlite: bool = False) -> list[Problem]:
    """All findings, errors first, each place once for a rule. Raises DefinitionInvalid where `compile_plan` does.

    `on_sqlite` says that runs write to a database that has one write lock for everybody.
    """
    unknown = unknown_reducers(spec)
    graph = LintedGraph(spec, compile_plan(_without_reducers(spec, unknown)), tools, on_sqlite=on_sqlite)
    found = {(problem.code, problem.path): problem for problem in unknown.values()}
    for check in _CHECKS:
        for problem in check(graph):
            found.setdefault((problem.code, problem.path), problem)
    if graph.is_incomplete:
        message = "The graph is so large that not every fork and key was looked at."
        problem = graph.problem("lint-incomplete", message)
        found[problem.code, problem.path] = problem
    worst_first = ("error", "warning", "info")
    return sorted(found.values(), key=lambda problem: worst_first.index(problem.level))


def _without_reducers(spec: GraphSpec, keys: Container[str]) -> GraphSpec:
    known = {key: name for key, name in spec.state.reducers.items() if key not in keys}
    return replace(spec, state=replace(spec.state, reducers=known))
