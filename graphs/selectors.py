"""Reading graphs. Every queryset starts from an organization."""

from __future__ import annotations

from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery

from accounts.models import Organization
from graphs.models import Graph, GraphVersion


def graphs_of(organization: Organization) -> QuerySet[Graph]:
    """The organization's graphs that are not archived."""
    return Graph.objects.filter(organization=organization, archived_at=None)


def graph_named(name: str) -> dict[str, str]:
    """The lookup for a graph by its id or, where the name is none, by its slug."""
    try:
        UUID(name)
    except ValueError:
        return {"slug": name}
    return {"uuid": name}


def newest_published(graph: Graph) -> GraphVersion | None:
    """The version that a run of the graph uses unless another is asked for."""
    return graph.versions.filter(status=GraphVersion.Status.PUBLISHED).order_by("-number").first()


def all_graphs_of(organization: Organization) -> QuerySet[Graph]:
    """The organization's graphs, archived ones too, each with the number of its newest `published_version`."""
    published = GraphVersion.objects.filter(graph=OuterRef("pk"), status=GraphVersion.Status.PUBLISHED)
    newest = published.order_by("-number").values("number")[:1]
    return Graph.objects.filter(organization=organization).annotate(published_version=Subquery(newest))


def versions_of(organization: Organization) -> QuerySet[GraphVersion]:
    """Every version of every graph of the organization, the newest of each graph first."""
    return GraphVersion.objects.filter(graph__organization=organization).select_related("graph")
