"""Which state keys a node writes, and what is known of the state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphs.lint.graph import LintedGraph
from graphs.spec import MapRoute, NodeSpec, StateSpec

_MAX_REFERENCES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Writes:
    """The keys of a step's update."""

    certain: frozenset[str] = frozenset()
    possible: frozenset[str] = frozenset()
    """Those that are known; the certain ones too."""
    replaced: frozenset[str] = frozenset()
    """Of the possible ones those that no reducer combines."""
    is_open: bool = False
    """Whether there may be others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Keys:
    certain: frozenset[str] = frozenset()
    possible: frozenset[str] = frozenset()
    is_open: bool = False


def writes_of(graph: LintedGraph, node: NodeSpec) -> Writes:
    keys = _update_of(graph, node)
    collected = frozenset(node.next.collect) if isinstance(node.next, MapRoute) else frozenset[str]()
    possible = keys.possible | collected
    return Writes(
        certain=keys.certain | collected,
        possible=possible,
        replaced=frozenset(key for key in possible if _is_replaced(graph, node, key)),
        is_open=keys.is_open,
    )


def is_closed(state: StateSpec) -> bool:
    """Whether the schema allows the keys it names and no others."""
    schema = state.schema or {}
    return schema.get("additionalProperties") is False and "patternProperties" not in schema


def declared_keys(state: StateSpec) -> frozenset[str]:
    properties = (state.schema or {}).get("properties")
    return frozenset(state.defaults) | frozenset(properties if isinstance(properties, dict) else ())


def required_keys(state: StateSpec) -> frozenset[str]:
    """Keys that the initial state is known to have."""
    required = (state.schema or {}).get("required")
    named = [key for key in required if isinstance(key, str)] if isinstance(required, list) else []
    return frozenset(state.defaults) | frozenset(named)


def _is_replaced(graph: LintedGraph, node: NodeSpec, key: str) -> bool:
    output = (node.outputs or {}).get(key)
    return key not in graph.plan.reducers or (isinstance(output, dict) and "$set" in output)


def _update_of(graph: LintedGraph, node: NodeSpec) -> _Keys:
    if node.outputs is not None:
        keys = frozenset(node.outputs)
        return _Keys(certain=keys, possible=keys)
    match node.kind:
        case "tool":
            tool = graph.tools.get(node.tool or "")
            return _Keys(is_open=True) if tool is None else _keys_in(tool.result_schema, tool.result_schema)
        case "human":
            form = node.human.form if node.human is not None else None
            return _Keys(is_open=True) if form is None else _keys_in(form, form)
        case "wait":
            return _Keys(is_open=True)
        case _:
            return _Keys()


def _keys_in(schema: Any, root: Mapping[str, Any], references: int = 0) -> _Keys:
    """The keys of the objects that a schema describes."""
    if not isinstance(schema, dict) or references > _MAX_REFERENCES:
        return _Keys(is_open=True)
    if isinstance(schema.get("$ref"), str):
        name = schema["$ref"].removeprefix("#/$defs/")
        return _keys_in(root.get("$defs", {}).get(name), root, references + 1)
    for word in ("anyOf", "oneOf"):
        if isinstance(schema.get(word), list) and schema[word]:
            return _either([_keys_in(part, root, references + 1) for part in schema[word]])
    if schema.get("type") == "null":
        return _Keys()
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not properties:
        return _Keys(is_open=True)
    required = schema.get("required", [])
    return _Keys(
        certain=frozenset(key for key in properties if key in required),
        possible=frozenset(properties),
        is_open=bool(schema.get("additionalProperties", False)),
    )


def _either(parts: list[_Keys]) -> _Keys:
    return _Keys(
        certain=frozenset.intersection(*(part.certain for part in parts)),
        possible=frozenset[str]().union(*(part.possible for part in parts)),
        is_open=any(part.is_open for part in parts),
    )
