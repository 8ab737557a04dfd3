"""Rules on what nodes call: tools, their arguments, caches, reducers."""

from __future__ import annotations

from collections.abc import Iterator

from graphs.errors import Problem
from graphs.lint.graph import LintedGraph, ToolSignature, words
from graphs.plan import UnknownReducer, find_reducer
from graphs.spec import GraphSpec, NodeSpec, did_you_mean, no_such_tool, quoted
from tools.strict_json import pointer


def check_calls(graph: LintedGraph) -> Iterator[Problem]:
    for name, node in graph.spec.nodes.items():
        if node.compensate is not None:
            yield from _tool(graph, node.compensate.tool, node.compensate.inputs, "nodes", name, "compensate", "tool")
            yield from _atomic(graph, name, node, node.compensate.tool, "compensate", "tool")
        if node.tool is not None:
            yield from _tool(graph, node.tool, node.inputs, "nodes", name, "tool")
            yield from _cache(graph, name, node, graph.tools.get(node.tool))
            yield from _atomic(graph, name, node, node.tool, "tool")


def unknown_reducers(spec: GraphSpec) -> dict[str, Problem]:
    """By state key. Apart from the other rules, because a definition with unknown reducers has no plan."""
    problems: dict[str, Problem] = {}
    for key, reducer in spec.state.reducers.items():
        try:
            find_reducer(reducer)
        except UnknownReducer as error:
            path = pointer("state", "reducers", key)
            problems[key] = Problem(code="unknown-reducer", path=path, message=str(error))
    return problems


def _tool(graph: LintedGraph, tool: str, inputs: dict[str, object], *path: str) -> Iterator[Problem]:
    signature = graph.tools.get(tool)
    if signature is None:
        yield graph.problem("unknown-tool", no_such_tool(tool, graph.tools, graph.hints), *path)
        return
    known = [parameter.name for parameter in signature.parameters if parameter.kind == "argument"]
    for argument in inputs:
        if argument not in known:
            hint = did_you_mean(argument, known) or (f" It takes {words(known)}." if known else " It takes none.")
            message = f"The tool {quoted(tool)} has no argument {quoted(argument)}; remove it.{hint}"
            yield graph.problem("unknown-argument", message, *path[:-1], "inputs", argument)


def _cache(graph: LintedGraph, name: str, node: NodeSpec, tool: ToolSignature | None) -> Iterator[Problem]:
    if node.cache is not None and tool is not None and tool.effect not in ("pure", "read"):
        message = (
            f'The tool "{node.tool}" may change the world; declare its effect as pure or read, or remove the cache.'
        )
        yield graph.problem("cache-of-effect", message, "nodes", name, "cache")


def _atomic(graph: LintedGraph, name: str, node: NodeSpec, called: str, *path: str) -> Iterator[Problem]:
    tool = graph.tools.get(called)
    if tool is None or not tool.atomic:
        return
    if node.executor not in (None, "thread"):
        message = f"The tool {quoted(called)} is atomic, so it runs in a thread; remove the executor."
        yield graph.problem("atomic-elsewhere", message, "nodes", name, "executor")
    if graph.on_sqlite:
        message = (
            f"While the atomic tool {quoted(called)} works, nobody else can write to SQLite, so it is ended after "
            "WORKFLOW_ATOMIC_LOCK_S; keep it short, or use PostgreSQL."
        )
        yield graph.problem("atomic-on-sqlite", message, "nodes", name, *path)
