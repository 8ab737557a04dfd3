"""Changing graphs: each function is one mutation, with its entry in the audit log.

Definitions come in as JSON values. Everything is refused with DefinitionInvalid, which says all that is wrong, or with
JsonInvalid for what is no acceptable JSON or too large; then nothing was changed. Checking a large definition and
making rows of it takes up to a second each, so they come before the transaction (see `graphs.prepared`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Self

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Manager, Max, ProtectedError, QuerySet
from django.utils import timezone
from django.utils.text import slugify

from accounts import audit
from accounts.actor import Actor
from accounts.models import Organization
from graphs.errors import DefinitionInvalid, GraphHasRuns, Problem, VersionPublished
from graphs.features import unavailable_features
from graphs.lint import lint, stops_publishing
from graphs.models import Graph, GraphVersion
from graphs.plan import Plan, compile_plan
from graphs.plans import spec_of
from graphs.prepared import CanonicalText, DraftAsRead, PreparedRows
from graphs.rows import definition_of
from graphs.schemas import schema_problems
from graphs.spec import GraphSpec, parse_definition
from graphs.spec.part import JsonObject
from graphs.subgraphs import Itself, pinned
from tools import registry, strict_json
from tools.strict_json import Json

UNLOCKED_CHECKS = 2
"""So often a draft is checked without a lock on it before one keeps others from changing it meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedDefinition:
    """A definition that can be published as the version `itself`, and needs only to be written."""

    written: GraphSpec
    itself: Itself
    spec: GraphSpec
    """As written, with the versions of the graphs that it calls."""
    frozen: CanonicalText
    rows: PreparedRows


def create_graph(*, definition: Json, actor: Actor) -> GraphVersion:
    """A new graph with this definition as its first, published version."""
    written = _parse_with_tools(definition)
    checked = _checked(written, actor.organization, _as_new(written, actor.organization))
    with transaction.atomic():
        version = _new_graph(actor, name=written.name, description=written.description)
        _store_published(version, checked, actor)
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
    rows = PreparedRows.of(spec)
    with transaction.atomic():
        if graph is None:
            version = _new_graph(actor, name=spec.name, description=spec.description)
        else:
            version = GraphVersion(graph=graph, number=_next_number(graph))
        rows.write(version)
        audit.record(actor=actor, action="graph.draft_created", obj=version.graph, data={"version": version.number})
    return version


def replace_draft(*, version: GraphVersion, definition: Json, actor: Actor) -> GraphVersion:
    """Another definition in place of the draft's. Raises VersionPublished."""
    rows = PreparedRows.of(_parse(definition))
    with transaction.atomic():
        draft = _locked_draft(version)
        draft.nodes.all().delete()
        draft.edges.all().delete()
        rows.write(draft)
        audit.record(actor=actor, action="graph.draft_replaced", obj=draft.graph, data={"version": draft.number})
    return draft


def publish_version(*, version: GraphVersion, actor: Actor) -> GraphVersion:
    """Freeze a draft, so that runs can use it. Raises VersionPublished, and DefinitionInvalid if it cannot run."""
    for _ in range(UNLOCKED_CHECKS):
        checked = _CheckedDraft.of(_draft(GraphVersion.objects, version), version, actor)
        with transaction.atomic():
            draft = _locked_draft(version)
            if checked.read.is_still(draft):
                return _freeze(draft, checked, actor)
    with transaction.atomic():  # somebody changes it all the time
        draft = _locked_draft(version)
        return _freeze(draft, _CheckedDraft.of(draft, version, actor), actor)


@dataclass(frozen=True, slots=True, kw_only=True)
class _CheckedDraft:
    """A draft that can be published as it was `read`."""

    read: DraftAsRead
    written: GraphSpec
    spec: GraphSpec
    text: CanonicalText

    @classmethod
    def of(cls, draft: GraphVersion, version: GraphVersion, actor: Actor) -> Self:
        """Raises DefinitionInvalid and JsonInvalid."""
        read = DraftAsRead.of(draft)
        written = read.spec()
        spec = _publishable(written, actor.organization, _itself(version))
        return cls(read=read, written=written, spec=spec, text=CanonicalText.of(spec))


def _freeze(draft: GraphVersion, checked: _CheckedDraft, actor: Actor) -> GraphVersion:
    _pin_rows(draft, checked.written, checked.spec)
    checked.text.publish(draft, actor)
    draft.save()
    _announce(draft, checked.spec, actor)
    return draft


def checked_definition(definition: Json, graph: Graph) -> CheckedDefinition:
    """A definition that can be published as the graph's next version. Raises DefinitionInvalid and JsonInvalid."""
    itself = Itself(graph.slug, _number_after_newest(graph))
    return _checked(_parse_with_tools(definition), graph.organization, itself)


@transaction.atomic
def publish_checked(*, graph: Graph, checked: CheckedDefinition, actor: Actor) -> GraphVersion:
    """A new, published version of the graph. Raises DefinitionInvalid and JsonInvalid."""
    version = GraphVersion(graph=graph, number=_next_number(graph))
    spec = _store_published(version, checked, actor)
    _announce(version, spec, actor)
    return version


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


def compile_definition(definition: Json) -> tuple[JsonObject, str, Plan]:
    """A definition that a run has computed, checked as on publishing: its canonical form, its SHA-256 and its plan.

    The graphs that it calls are looked up when they are called. Raises DefinitionInvalid and JsonInvalid.
    """
    spec = _publishable(_parse_with_tools(definition))
    return spec.canonical(), spec.sha256, compile_plan(spec)


def lint_version(version: GraphVersion) -> list[Problem]:
    """Everything that is wrong with a version or worth knowing about it, errors first."""
    try:
        return _problems(spec_of(version), version.graph.organization, _itself(version))
    except DefinitionInvalid as invalid:
        return list(invalid.problems)


def lint_definition(definition: Json, *, organization: Organization | None = None) -> list[Problem]:
    """The same for a definition that is not stored. Raises JsonInvalid."""
    try:
        spec = _parse_with_tools(definition)
        return _problems(spec, organization, None if organization is None else _as_new(spec, organization))
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


def _problems(spec: GraphSpec, organization: Organization | None, itself: Itself | None) -> list[Problem]:
    order = {"error": 0, "warning": 1, "info": 2}
    spec, of_calls = _pinned(spec, organization, itself)
    return sorted([*of_calls, *_found(spec)], key=lambda problem: order[problem.level])


def _pinned(
    spec: GraphSpec, organization: Organization | None, itself: Itself | None
) -> tuple[GraphSpec, list[Problem]]:
    """The spec with a version for each graph that it calls, and what is wrong with the calls."""
    return (spec, []) if organization is None or itself is None else pinned(spec, organization.pk, itself)


def _itself(version: GraphVersion) -> Itself:
    return Itself(version.graph.slug, version.number)


def _as_new(spec: GraphSpec, organization: Organization) -> Itself:
    """What the first version of a new graph would be called now."""
    return Itself(_free_slug(organization, spec.name), 1)


def _found(spec: GraphSpec) -> Iterator[Problem]:
    yield from unavailable_features(spec)
    yield from schema_problems(spec)
    tools = {tool.name: tool for tool in registry.all()}
    yield from lint(spec, tools=tools, on_sqlite=connection.vendor == "sqlite")


def _publishable(spec: GraphSpec, organization: Organization | None = None, itself: Itself | None = None) -> GraphSpec:
    """The spec, if runs can use it, with the versions of the graphs that it calls if it is known who publishes it."""
    spec, of_calls = _pinned(spec, organization, itself)
    refused = [problem for problem in (*of_calls, *_found(spec)) if stops_publishing(problem)]
    if refused:
        raise DefinitionInvalid(refused)
    return spec


def _checked(written: GraphSpec, organization: Organization, itself: Itself) -> CheckedDefinition:
    spec = _publishable(written, organization, itself)
    return CheckedDefinition(
        written=written, itself=itself, spec=spec, frozen=CanonicalText.of(spec), rows=PreparedRows.of(spec)
    )


# --------------------------------------------------------------------------- rows


def _new_graph(actor: Actor, *, name: str, description: str) -> GraphVersion:
    # Two at the same moment would find the same slug free. SQLite's write lock is taken already.
    Organization.objects.select_for_update(no_key=True).get(pk=actor.organization.pk)
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
    """The number of the version that is about to be made. Call it in a transaction."""
    Graph.objects.select_for_update(no_key=True).get(pk=graph.pk)
    return _number_after_newest(graph)


def _number_after_newest(graph: Graph) -> int:
    return (graph.versions.aggregate(highest=Max("number"))["highest"] or 0) + 1


def _locked_draft(version: GraphVersion) -> GraphVersion:
    return _draft(GraphVersion.objects.select_for_update(of=("self",)), version)


def _draft(versions: Manager[GraphVersion] | QuerySet[GraphVersion], version: GraphVersion) -> GraphVersion:
    """The version as it is now. Raises VersionPublished."""
    draft = versions.select_related("graph").get(pk=version.pk)
    if draft.is_published:
        raise VersionPublished(draft)
    return draft


def _store_published(version: GraphVersion, checked: CheckedDefinition, actor: Actor) -> GraphSpec:
    """Write a new version; what it is now. Raises DefinitionInvalid and JsonInvalid."""
    itself, written = _itself(version), checked.written
    if itself != checked.itself and (itself.is_called_in(written) or checked.itself.is_called_in(written)):
        # Somebody took the name or the number meanwhile, and what calls itself means another version now.
        checked = _checked(written, actor.organization, itself)
    checked.frozen.publish(version, actor)
    checked.rows.write(version)
    return checked.spec


def _pin_rows(draft: GraphVersion, written: GraphSpec, pinned: GraphSpec) -> None:
    """Give the rows the versions of the graphs that they call."""
    calls = {(node.graph or "", pinned.nodes[name].graph or "") for name, node in written.nodes.items()}
    for reference, pin in calls:
        if reference != pin:
            draft.nodes.filter(graph=reference).update(graph=pin)


def _announce(version: GraphVersion, spec: GraphSpec, actor: Actor) -> None:
    """Call the graph as its newest version does, and tell of that."""
    graph = version.graph
    graph.name, graph.description = spec.name, spec.description
    graph.save(update_fields=["name", "description", "updated_at"])
    data = {"version": version.number, "sha256": version.sha256}
    audit.record(actor=actor, action="graph.published", obj=graph, data=data)
