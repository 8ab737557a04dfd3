"""The pages of graphs: the list, and one version with its drawing and the form that starts a run of it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.db.models import OuterRef, Subquery
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from accounts.actor import Actor
from accounts.models import Role
from accounts.pages import page_actor
from accounts.permissions import has_role
from graphs.errors import DefinitionInvalid, GraphNotFound
from graphs.expressions import is_expression
from graphs.forms import StateForm
from graphs.initial_state import state_keys
from graphs.models import Graph, GraphVersion
from graphs.outline import outline_of
from graphs.plans import spec_of
from graphs.selectors import graphs_of, newest_published
from graphs.services import export_definition, lint_version
from graphs.subgraphs import find_version


@require_GET
@page_actor()
def graph_list(request: HttpRequest, actor: Actor) -> HttpResponse:
    """All graphs, the newest first, each with its newest version."""
    newest = GraphVersion.objects.filter(graph=OuterRef("pk")).order_by("-number")
    graphs = graphs_of(actor.organization).annotate(
        number=Subquery(newest.values("number")[:1]), status=Subquery(newest.values("status")[:1])
    )
    return render(request, "graphs/list.html", {"actor": actor, "graphs": graphs})


@require_GET
@page_actor()
def graph_page(request: HttpRequest, actor: Actor, uuid: UUID) -> HttpResponse:
    """One graph: the version asked for with `?version=`, else the one that runs, else the newest draft."""
    graph = get_object_or_404(graphs_of(actor.organization), uuid=uuid)
    version = _shown_version(graph, request.GET.get("version", ""))
    return render_graph(request, actor, version)


def render_graph(
    request: HttpRequest, actor: Actor, version: GraphVersion, *, form: StateForm | None = None, status: int = 200
) -> HttpResponse:
    """The page of a graph, with a form that was refused if there is one."""
    running = newest_published(version.graph)
    may_start = has_role(actor, Role.OPERATOR) and version == running
    problems = lint_version(version)
    context = {
        "actor": actor,
        "graph": version.graph,
        "version": version,
        "versions": version.graph.versions.all(),
        **_drawn(version),
        "called": _called(version),
        "problems": problems,
        "form": (form or StateForm(state_keys(spec_of(version), problems))) if may_start else None,
    }
    return render(request, "graphs/detail.html", context, status=status)


def _drawn(version: GraphVersion) -> dict[str, Any]:
    """The definition and its outline. A draft that breaks the grammar has no outline, and may have no definition."""
    try:
        definition = export_definition(version)
    except DefinitionInvalid:
        return {"definition": None, "outline": []}
    try:
        return {"definition": definition, "outline": outline_of(spec_of(version))}
    except DefinitionInvalid:
        return {"definition": definition, "outline": []}


def _called(version: GraphVersion) -> dict[str, str]:
    """By node, where the page of the graph is that it calls, if that is said and there."""
    try:
        nodes = spec_of(version).nodes
    except DefinitionInvalid:
        return {}
    pages = {}
    for name, node in nodes.items():
        if node.graph is not None and not is_expression(node.graph):
            with suppress(GraphNotFound):
                called = find_version(version.graph.organization_id, node.graph)
                pages[name] = reverse("graphs:detail", args=[called.graph.uuid]) + f"?version={called.number}"
    return pages


def filled_form(version: GraphVersion, data: Mapping[str, Any]) -> StateForm:
    """The form on the page of a published version, as somebody filled it in."""
    return StateForm(state_keys(spec_of(version), lint_version(version)), data)


def _shown_version(graph: Graph, number: str) -> GraphVersion:
    if number:
        return get_object_or_404(graph.versions, number=int(number) if number.isdecimal() else None)
    version = newest_published(graph) or graph.versions.first()
    if version is None:
        raise Http404("This graph has no version.")
    return version
