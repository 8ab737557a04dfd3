"""The whole definition."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, TypeAdapter
from pydantic_core import ErrorDetails, ValidationError

from graphs.errors import DefinitionInvalid, Problem
from graphs.spec.fields import (
    FILLED,
    KEY_CODES,
    Context,
    Count,
    Key,
    Line,
    NodeName,
    Seconds,
    StartNode,
    Text,
    Word,
)
from graphs.spec.nodes import NodeSpec
from graphs.spec.part import Complaint, Json, JsonObject, Part, describe
from tools.strict_json import pointer

MAX_NODES = 5_000
MAX_DAYS = 36_500
FinalStatus = Literal["completed", "failed", "cancelled"]
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
    max_depth: Annotated[Count, Field(le=100)] = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSpec(Part):
    """Which finished runs are kept. One goes when all that is said here lets it go."""

    days: Annotated[Count, Field(le=MAX_DAYS)] | None = None
    """After their end."""
    keep_last: Count | None = None
    """The newest of the graph, of all its versions."""
    statuses: Annotated[tuple[FinalStatus, ...], FILLED] = get_args(FinalStatus)
    """Only runs that ended so are counted and go; others are kept."""

    @classmethod
    def rules(cls, given: Mapping[str, Json]) -> Iterator[Complaint]:
        if given.get("days") is None and given.get("keep_last") is None:
            yield Complaint(code="missing-key", message='Say "days", "keep_last" or both, or leave retention out.')


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcurrencySpec(Part):
    """How many runs of the graph, or of each of its business keys, go on at the same time.

    What becomes of one too many: it waits for its turn, is refused, or the oldest is cancelled for it.
    """

    limit: Count
    per: Literal["graph", "business_key"] = "graph"
    on_conflict: Literal["enqueue", "reject", "replace"] = "enqueue"


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


def _problem(line: ErrorDetails) -> Problem:
    path = line["loc"]
    if line["type"] in KEY_CODES and path[-1] == "[key]":
        path = path[:-1]
    node = str(path[1]) if len(path) > 1 and path[0] == "nodes" else None
    return Problem(code=line["type"], path=pointer(*path), message=line["msg"], node=node)
