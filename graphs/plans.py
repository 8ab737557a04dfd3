"""Specs and plans of versions, parsed and compiled once a process."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache

from graphs.errors import GraphNotFound, VersionNotPublished
from graphs.models import GraphVersion
from graphs.plan import Plan, compile_plan
from graphs.rows import definition_of
from graphs.spec import GraphSpec, parse_definition
from graphs.spec.part import JsonObject
from graphs.subgraphs import find_version, is_pinned

_KEPT = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frozen:
    """A published definition; equal hashes stand for equal meaning."""

    sha256: str
    definition: str = field(compare=False)


def spec_of(version: GraphVersion) -> GraphSpec:
    """The version's definition. Raises DefinitionInvalid for a draft that breaks the grammar.

    Published versions that differ only in where their nodes are drawn share one spec.
    """
    if version.is_published:
        return _spec(_Frozen(sha256=version.sha256, definition=version.definition))
    return parse_definition(definition_of(version, version.nodes.all(), version.edges.all()))


def plan_of(version: GraphVersion) -> Plan:
    """The compiled plan of a published version. Raises VersionNotPublished for a draft."""
    if not version.is_published:
        raise VersionNotPublished(version)
    return _plan(_Frozen(sha256=version.sha256, definition=version.definition))


def plan_of_digest(sha256: str, definition: JsonObject | None = None) -> Plan:
    """The plan of a subgraph: of any published version with this hash, which all mean the same, or of a definition."""
    if definition is not None:
        return compile_plan(parse_definition(definition))
    version = GraphVersion.objects.filter(sha256=sha256, status=GraphVersion.Status.PUBLISHED).first()
    if version is None:
        raise GraphNotFound(f"sha256:{sha256}")
    return plan_of(version)


def nodes_within(*versions: GraphVersion) -> frozenset[str] | None:
    """The names of the nodes of published versions and of all graphs that they call, at any depth.

    None if that cannot be known before a run comes there: a graph is computed, or is the latest when it is called.
    """
    waiting, seen, names = list(versions), set(versions), set[str]()
    while waiting:
        version = waiting.pop()
        for name, node in spec_of(version).nodes.items():
            names.add(name)
            if node.graph is None:
                continue
            if not is_pinned(node.graph):
                return None
            called = find_version(version.graph.organization_id, node.graph)
            if called not in seen:
                seen.add(called)
                waiting.append(called)
    return frozenset(names)


@lru_cache(maxsize=_KEPT)
def _spec(frozen: _Frozen) -> GraphSpec:
    return parse_definition(json.loads(frozen.definition))


@lru_cache(maxsize=_KEPT)
def _plan(frozen: _Frozen) -> Plan:
    return compile_plan(_spec(frozen))
