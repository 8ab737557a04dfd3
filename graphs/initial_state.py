"""What a run of a version needs to be given, for the form that starts one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from graphs.errors import Problem
from graphs.forms import StateKey, in_order
from graphs.spec import GraphSpec, StateSpec
from tools import registry
from tools.errors import UnknownTool


def state_keys(spec: GraphSpec, problems: Iterable[Problem]) -> list[StateKey]:
    """The keys that the schema and the defaults name; without a schema also those that lint finds missing."""
    declared = list(_declared(spec.state))
    if spec.state.schema is not None:
        return declared
    known = {key.name for key in declared}
    return [*(_missing(spec, problem) for problem in problems if problem.key and problem.key not in known), *declared]


def _declared(state: StateSpec) -> Iterator[StateKey]:
    schema = state.schema or {}
    parts = {name: part for name, part in schema.get("properties", {}).items() if isinstance(part, dict)}
    for name in dict.fromkeys([*in_order(parts, schema.get("required", ())), *state.defaults]):
        default = state.defaults.get(name)
        note = "" if name in schema.get("required", ()) else "optional"
        part = parts.get(name) or ({"type": "string"} if isinstance(default, str) else {})
        yield StateKey(name=name, schema=part, required=not note, default=default, note=note)


def _missing(spec: GraphSpec, problem: Problem) -> StateKey:
    """Required where nothing else can give it; another branch may write a key in time, which lint cannot always see."""
    name, node = problem.key or "", problem.node or ""
    schema = _parameter_schema(spec, node, name)
    return StateKey(name=name, schema=schema, required=problem.is_needed, note=f"read by {node}")


def _parameter_schema(spec: GraphSpec, node: str, name: str) -> dict[str, Any]:
    """What the node's tool takes under the key's name, if that is why the key is needed."""
    tool = spec.nodes[node].tool if node in spec.nodes else None
    try:
        parameters = registry.get(tool).parameters if tool else ()
    except UnknownTool:
        return {}
    return next((parameter.schema for parameter in parameters if parameter.name == name), {})
