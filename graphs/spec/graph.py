"""The whole definition."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter
from pydantic_core import ErrorDetails, ValidationError

from graphs.errors import DefinitionInvalid, Problem
from graphs.spec.fields import (
    KEY_CODES,
    Context,
    Count,
    ExpressionText,
    Key,
    Line,
    NodeName,
    Seconds,
    StartNode,
    Text,
    Word,
)
from graphs.spec.nodes import NodeSpec
from graphs.spec.part import Json, JsonObject, Part, describe

MAX_NODES = 5_000
REDUCERS = frozenset({"replace", "append", "extend", "add", "merge", "union", "max", "min"})
"""The reducers that need no registration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSpec(Part):
    """What is known of the state's keys."""

    schema: dict[str, Any] | None = None
    """JSON Schema 2020-12 of the whole state; `properties` are checked at every update of their key."""
    defaults: dict[Key, Any] = field(default_factory=dict)
    reducers: dict[Key, Word] = field(default_factory=dict)
    """How two updates of a key combine; a key not named is replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsSpec(Part):
    """What ends a run that does not end by itself."""

    max_steps: Count = 100_000
    max_iterations: Count = 10_000
    """Turns of one node in one scope."""
    max_parallel: Count = 256
    timeout_s: Seconds | None = None
    max_depth: Annotated[Count, Field(le=1_000)] = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSpec(Part):
    """How long finished runs are kept."""

    days: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcurrencySpec(Part):
    """How many runs of the graph (with an equal `key`, if there is one) go on at the same time."""

    limit: Count
    key: ExpressionText | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphSpec(Part):
    """A definition that keeps the grammar. What it means for a run is in `graphs.plan`."""

    name: Line
    description: Text = ""
    start_node: StartNode
    nodes: Annotated[dict[NodeName, NodeSpec], Field(min_length=1)]
    """In the order in which they were given, which means nothing: only lists have an order that matters."""
    state: StateSpec = field(default_factory=StateSpec)
    on_failure: Literal["drain", "stop"] = "drain"
    limits: LimitsSpec = field(default_factory=LimitsSpec)
    durability: Literal["sync", "async", "exit"] = "sync"
    retention: RetentionSpec | None = None
    concurrency: ConcurrencySpec | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    def canonical(self) -> JsonObject:
        """The definition as JSON, what equals its default left out; parsing it gives an equal spec."""
        return self.to_json()  # type: ignore[no-any-return]

    @property
    def sha256(self) -> str:
        """Of the canonical text without the nodes' positions: equal for definitions of equal meaning."""
        meaning = self.canonical()
        meaning["nodes"] = {
            name: {key: value for key, value in node.items() if key != "position"}
            for name, node in meaning["nodes"].items()
        }
        text = json.dumps(meaning, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


_GRAPH: TypeAdapter[GraphSpec] = TypeAdapter(GraphSpec)


def parse_definition(data: Json, *, max_nodes: int = MAX_NODES, tools: Collection[str] | None = None) -> GraphSpec:
    """Check a definition (JSON values, as `tools.strict_json` gives them) and build its spec.

    With `tools`, the names of those that are registered, other tools are refused too; without, any name will do.
    Raises DefinitionInvalid with everything that breaks the grammar, in the order of the definition.
    """
    nodes = data.get("nodes") if isinstance(data, dict) else None
    if isinstance(nodes, dict) and len(nodes) > max_nodes:
        message = f"The graph has {len(nodes):,} nodes; split it, the limit is {max_nodes:,}."
        raise DefinitionInvalid([Problem(code="too-many", path="/nodes", message=message)])
    if not isinstance(data, dict):
        message = f"A definition is an object with name, start_node and nodes, not {describe(data)}."
        raise DefinitionInvalid([Problem(code="wrong-type", path="", message=message)])
    context = Context(nodes=nodes if isinstance(nodes, dict) else (), tools=tools)
    try:
        return _GRAPH.validate_python(data, context=context)
    except ValidationError as error:
        raise DefinitionInvalid([_problem(line) for line in error.errors(include_url=False)]) from None


def pointer(*path: str | int) -> str:
    """The JSON Pointer (RFC 6901) of a path of keys and indexes."""
    return "".join(f"/{str(key).replace('~', '~0').replace('/', '~1')}" for key in path)


def _problem(line: ErrorDetails) -> Problem:
    path = line["loc"]
    if line["type"] in KEY_CODES and path[-1] == "[key]":
        path = path[:-1]
    node = str(path[1]) if len(path) > 1 and path[0] == "nodes" else None
    return Problem(code=line["type"], path=pointer(*path), message=line["msg"], node=node)
