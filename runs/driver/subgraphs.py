"""From what a node says it calls to a graph: by name and version, by name alone, or computed when the step starts."""

from __future__ import annotations

from dataclasses import dataclass

import django.db
from django.db import connections

from graphs.plan import Plan
from graphs.plans import plan_of
from graphs.services import compile_definition
from graphs.subgraphs import find_version
from runs.engine.events import Json, JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundChild:
    """A step's subgraph."""

    graph: str
    """Its name and version; empty for a computed definition."""
    digest: str
    plan: Plan
    inputs: JsonObject
    definition: JsonObject | None = None
    """The definition, if it was computed."""


def find_child(organization_id: int, reference: Json, inputs: JsonObject) -> FoundChild:
    """The graph that `reference` names in the organization, or is. Looks into the database; not for the event loop.

    Raises GraphsError for a graph that is not there and for a definition that cannot run.
    """
    if not isinstance(reference, str):
        definition, digest, plan = compile_definition(reference)
        return FoundChild(graph="", digest=digest, plan=plan, inputs=inputs, definition=definition)
    try:
        version = find_version(organization_id, reference)
        name = f"{version.graph.slug}@{version.number}"
        return FoundChild(graph=name, digest=version.sha256, plan=plan_of(version), inputs=inputs)
    except django.db.Error as error:
        raise ConnectionError(f"The graph {reference!r} cannot be read now: {error}") from error
    finally:
        connections.close_all()  # the thread is lent; nobody would look after its connection
