"""Definitions for a simulation: parsed and checked as on publishing, and every tool they name has a script."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from graphs.errors import DefinitionInvalid, Problem
from graphs.expressions import is_expression
from graphs.lint import lint, stops_publishing
from graphs.plan import Plan, compile_plan
from graphs.schemas import schema_problems
from graphs.spec import GraphSpec, parse_definition
from graphs.spec.part import Json, JsonObject
from runs.engine.simulate.errors import NotScripted
from runs.engine.simulate.scripts import Script, is_stand_in, stand_in
from tools import registry, strict_json
from tools.base import Tool
from tools.errors import UnknownTool
from tools.signature import Parameter

MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a simulation knows: the scripts of tools by name, and the definitions that may be called."""

    scripts: Mapping[str, Script]
    graphs: Mapping[str, Any]
    real_tools: bool

    def script(self, tool: str) -> Script:
        """Of a tool that is scripted, or registered and called as it is. Raises NotScripted for another."""
        if tool in self.scripts:
            return self.scripts[tool]
        try:
            return Script.of_tool(registry.get(tool))
        except UnknownTool as error:
            raise NotScripted("tool", [tool], advice=str(error)) from error

    def graph(self, reference: str) -> Any:
        """The definition that a node means by `child` or `child@3`. Raises NotScripted."""
        for name in (reference, reference.partition("@")[0]):
            try:
                return self.graphs[name]
            except KeyError:
                continue
        raise NotScripted("graph", [reference], advice="Add its definition to graphs={…}.")


def check(definition: Json, known: Known) -> Plan:
    """The plan of a definition. Raises DefinitionInvalid, JsonInvalid and NotScripted."""
    spec = parse_definition(_plain(definition))
    _check_scripted(spec, known)
    refused = [problem for problem in _problems(spec, known) if stops_publishing(problem)]
    if refused:
        raise DefinitionInvalid(refused)
    return compile_plan(spec)


def initial_state(plan: Plan, state: Mapping[str, Json]) -> JsonObject:
    """The input laid over the defaults, as values that nobody else holds. Raises JsonInvalid."""
    return {**plan.spec.state.defaults, **_plain(state)}


def _plain(value: object) -> Json:
    return strict_json.encode(value, max_bytes=MAX_BYTES, max_depth=MAX_DEPTH)[1]


def _tools_of(spec: GraphSpec) -> list[str]:
    return sorted({tool for tool, _ in _calls_in(spec)})


def _calls_in(spec: GraphSpec) -> Iterator[tuple[str, Iterable[str]]]:
    """Each tool that a node calls or is undone with, and the arguments that the node names."""
    for node in spec.nodes.values():
        if node.tool is not None:
            yield node.tool, node.inputs
        if node.compensate is not None:
            yield node.compensate.tool, node.compensate.inputs


def _check_scripted(spec: GraphSpec, known: Known) -> None:
    unknown = [tool for tool in _tools_of(spec) if tool not in known.scripts]
    if unknown and not known.real_tools:
        what = "tool" if len(unknown) == 1 else "tools"
        raise NotScripted(what, unknown, advice="Add it to tools={…}, or call what is registered with real_tools=True.")
    for node in spec.nodes.values():
        if node.graph is not None and not is_expression(node.graph):
            known.graph(node.graph)


def _problems(spec: GraphSpec, known: Known) -> Iterator[Problem]:
    yield from schema_problems(spec)
    yield from lint(spec, tools={name: _signature(spec, name, known.script(name)) for name in _tools_of(spec)})


def _signature(spec: GraphSpec, name: str, script: Script) -> Tool:
    """What lint may take the tool for: a stand-in takes whatever the nodes give it."""
    tool = script.tool or stand_in(name, lambda: None)
    if not is_stand_in(tool):
        return tool
    taken = {parameter.name for parameter in tool.parameters}
    given = {argument for called, inputs in _calls_in(spec) if called == name for argument in inputs}
    return replace(
        tool, parameters=(*tool.parameters, *(Parameter(name=one, required=False) for one in sorted(given - taken)))
    )
