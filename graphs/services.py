"""Changing graphs: each function is one mutation, with its entry in the audit log.

Definitions come in as JSON values. Everything is refused with DefinitionInvalid, which says all that is wrong, or with
JsonInvalid for what is no acceptable JSON or too large; then nothing was changed. Checking a large definition takes up
to a second, so it comes before the transaction: SQLite has one write lock for everybody.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator

from django.conf import settings
from django.db import transaction
from django.db.models import Manager, Max, ProtectedError, QuerySet
from django.utils import timezone
from django.utils.text import slugify

from accounts import audit
from accounts.actor import Actor
from accounts.models import Organization
from graphs.errors import DefinitionInvalid, GraphHasRuns, Problem, VersionPublished
from graphs.features import unavailable_features
from graphs.lint import RULES, lint
from graphs.models import Edge, Graph, GraphVersion, Node
from graphs.plans import spec_of
from graphs.rows import definition_of, rows_of
from graphs.schemas import schema_problems
from graphs.spec import GraphSpec, parse_definition
from graphs.spec.part import JsonObject
from tools import registry, strict_json
from tools.strict_json import Json

_BATCH = 1_000


def create_graph(*, definition: Json, actor: Actor) -> GraphVersion:
    """A new graph with this definition as its first, published version."""
    spec = _publishable(_parse_with_tools(definition))
    with transaction.atomic():
        version = _new_graph(actor, name=spec.name, description=spec.description)
        _freeze(version, spec, actor)
        _store(version, spec)
        audit.record(actor=actor, action="graph.created", obj=version.graph, data={"version": version.number})
    return version


@transaction.atomic
def start_draft(*, name: str, description: str = "", actor: Actor) -> GraphVersion:
    """A new graph with an empty draft, to be filled row by row."""
    version = _new_graph(actor, name=name, description=description)
    version.save()
    audit.record(actor=actor, action="graph.created", obj=version.graph, data={"version": version.number})
    return version


def create_draft(*, graph: Graph | None = None, definition: Json, actor: Actor) -> GraphVersion:
    """A draft of the graph, or of a new one if there is none yet."""
    spec = _parse(definition)
    with transaction.atomic():
        if graph is None:
            version = _new_graph(actor, name=spec.name, description=spec.description)
        else:
            version = GraphVersion(graph=graph, number=_next_number(graph))
        _store(version, spec)
        audit.record(actor=actor, action="graph.draft_created", obj=version.graph, data={"version": version.number})
    return version


def replace_draft(*, version: GraphVersion, definition: Json, actor: Actor) -> GraphVersion:
    """Another definition in place of the draft's. Raises VersionPublished."""
    spec = _parse(definition)
    with transaction.atomic():
        draft = _locked_draft(version)
        draft.nodes.all().delete()
        draft.edges.all().delete()
        _store(draft, spec)
        audit.record(actor=actor, action="graph.draft_replaced", obj=draft.graph, data={"version": draft.number})
    return draft


def publish_version(*, version: GraphVersion, actor: Actor) -> GraphVersion:
    """Freeze a draft, so that runs can use it. Raises VersionPublished, and DefinitionInvalid if it cannot run."""
    checked = _publishable(spec_of(_draft(GraphVersion.objects, version)))
    with transaction.atomic():
        draft = _locked_draft(version)
        spec = spec_of(draft)
        if spec != checked:  # somebody changed it meanwhile
            spec = _publishable(spec)
        _freeze(draft, spec, actor)
        draft.save()
        graph = draft.graph
        graph.name, graph.description = spec.name, spec.description
        graph.save(update_fields=["name", "description", "updated_at"])
        data = {"version": draft.number, "sha256": draft.sha256}
        audit.record(actor=actor, action="graph.published", obj=graph, data=data)
    return draft


@transaction.atomic
def delete_draft(*, version: GraphVersion, actor: Actor) -> None:
    """Throw a draft away. Raises VersionPublished."""
    draft = _locked_draft(version)
    audit.record(actor=actor, action="graph.draft_deleted", obj=draft.graph, data={"version": draft.number})
    draft.delete()


@transaction.atomic
def archive_graph(*, graph: Graph, actor: Actor) -> None:
    """Take a graph out of sight; its versions and runs stay."""
    graph.archived_at = timezone.now()
    graph.save(update_fields=["archived_at", "updated_at"])
    audit.record(actor=actor, action="graph.archived", obj=graph)


@transaction.atomic
def restore_graph(*, graph: Graph, actor: Actor) -> None:
    """Take a graph back from the archive."""
    graph.archived_at = None
    graph.save(update_fields=["archived_at", "updated_at"])
    audit.record(actor=actor, action="graph.restored", obj=graph)


@transaction.atomic
def rename_graph(*, graph: Graph, name: str, description: str, actor: Actor) -> None:
    """Another name and description, until the next version that is published brings its own. The slug stays."""
    graph.name, graph.description = name, description
    graph.save(update_fields=["name", "description", "updated_at"])
    audit.record(actor=actor, action="graph.renamed", obj=graph, data={"name": name})


@transaction.atomic
def delete_graph(*, graph: Graph, actor: Actor) -> None:
    """Delete a graph with its versions. Raises GraphHasRuns."""
    audit.record(actor=actor, action="graph.deleted", obj=graph, data={"name": graph.name})
    try:
        graph.delete()
    except ProtectedError as error:
        raise GraphHasRuns(graph) from error


def export_definition(version: GraphVersion) -> JsonObject:
    """The definition as JSON. That of a draft may break the grammar; what JSON cannot say raises DefinitionInvalid."""
    if version.is_published:
        return json.loads(version.definition)
    definition = definition_of(version, version.nodes.all(), version.edges.all())
    try:
        return parse_definition(definition).canonical()
    except DefinitionInvalid:
        return definition


def lint_version(version: GraphVersion) -> list[Problem]:
    """Everything that is wrong with a version or worth knowing about it, errors first."""
    try:
        return _problems(spec_of(version))
    except DefinitionInvalid as invalid:
        return list(invalid.problems)


def lint_definition(definition: Json) -> list[Problem]:
    """The same for a definition that is not stored. Raises JsonInvalid."""
    try:
        return _problems(_parse_with_tools(definition))
    except DefinitionInvalid as invalid:
        return list(invalid.problems)


# --------------------------------------------------------------------------- checks


def _parse(definition: Json, *, tools: Collection[str] | None = None) -> GraphSpec:
    limits = settings.WORKFLOW
    _, value = strict_json.encode(definition, max_bytes=limits.max_definition_bytes, max_depth=limits.max_json_depth)
    if isinstance(value, dict) and isinstance(value.get("nodes"), dict):
        # The canonical text has sorted the keys; people find their nodes best in the order in which they wrote them.
        value["nodes"] = {name: value["nodes"][name] for name in definition["nodes"]}
    return parse_definition(value, max_nodes=limits.max_nodes, tools=tools)


def _parse_with_tools(definition: Json) -> GraphSpec:
    """As `_parse`; if the grammar is broken, unknown tools are named too, so that all is said at once."""
    try:
        return _parse(definition)
    except DefinitionInvalid:
        return _parse(definition, tools=[tool.name for tool in registry.all()])


def _problems(spec: GraphSpec) -> list[Problem]:
    order = {"error": 0, "warning": 1, "info": 2}
    return sorted(_found(spec), key=lambda problem: order[problem.level])


def _found(spec: GraphSpec) -> Iterator[Problem]:
    yield from unavailable_features(spec)
    yield from schema_problems(spec)
    yield from lint(spec, tools={tool.name: tool for tool in registry.all()})


def _publishable(spec: GraphSpec) -> GraphSpec:
    """The spec, if runs can use it. Errors that only foretell a surprise are for lint to show, not to refuse here."""
    refused = [
        problem
        for problem in _found(spec)
        if problem.level == "error" and (problem.code not in RULES or RULES[problem.code].stops)
    ]
    if refused:
        raise DefinitionInvalid(refused)
    return spec


# --------------------------------------------------------------------------- rows


def _new_graph(actor: Actor, *, name: str, description: str) -> GraphVersion:
    graph = Graph.objects.create(
        organization=actor.organization,
        name=name,
        slug=_free_slug(actor.organization, name),
        description=description,
        created_by=actor.user,
    )
    return GraphVersion(graph=graph, number=1, name=name, description=description)


def _free_slug(organization: Organization, name: str) -> str:
    """The name's slug, or the first of slug-2, slug-3, … that is free."""
    # Two at the same moment would find the same one free. SQLite's write lock is taken already.
    Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
    base = slugify(name) or "graph"
    taken = Graph.objects.filter(organization=organization)
    if not taken.filter(slug=base).exists():
        return base
    last = (
        taken.filter(slug__regex=rf"^{base}-[1-9][0-9]{{0,8}}$").order_by("-id").values_list("slug", flat=True).first()
    )
    number = int(last.rpartition("-")[2]) + 1 if last else 2
    while taken.filter(slug=f"{base}-{number}").exists():
        number += 1
    return f"{base}-{number}"


def _next_number(graph: Graph) -> int:
    Graph.objects.select_for_update(no_key=True).get(pk=graph.pk)
    return (graph.versions.aggregate(highest=Max("number"))["highest"] or 0) + 1


def _locked_draft(version: GraphVersion) -> GraphVersion:
    return _draft(GraphVersion.objects.select_for_update(of=("self",)), version)


def _draft(versions: Manager[GraphVersion] | QuerySet[GraphVersion], version: GraphVersion) -> GraphVersion:
    """The version as it is now. Raises VersionPublished."""
    draft = versions.select_related("graph").get(pk=version.pk)
    if draft.is_published:
        raise VersionPublished(draft)
    return draft


def _freeze(version: GraphVersion, spec: GraphSpec, actor: Actor) -> None:
    limits = settings.WORKFLOW
    version.definition, _ = strict_json.encode(
        spec.canonical(), max_bytes=limits.max_definition_bytes, max_depth=limits.max_json_depth
    )
    version.sha256 = spec.sha256
    version.status = GraphVersion.Status.PUBLISHED
    version.published_at = timezone.now()
    version.published_by = actor.user


def _store(version: GraphVersion, spec: GraphSpec) -> None:
    rows = rows_of(spec, version)
    for column, value in rows.columns.items():
        setattr(version, column, value)
    version.save()
    Node.objects.bulk_create(rows.nodes, batch_size=_BATCH)
    Edge.objects.bulk_create(rows.edges, batch_size=_BATCH)
