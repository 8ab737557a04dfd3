"""Specs and plans of versions, parsed and compiled once a process."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache

from graphs.errors import VersionNotPublished
from graphs.models import GraphVersion
from graphs.plan import Plan, compile_plan
from graphs.rows import definition_of
from graphs.spec import GraphSpec, parse_definition

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


@lru_cache(maxsize=_KEPT)
def _spec(frozen: _Frozen) -> GraphSpec:
    return parse_definition(json.loads(frozen.definition))


@lru_cache(maxsize=_KEPT)
def _plan(frozen: _Frozen) -> Plan:
    return compile_plan(_spec(frozen))
