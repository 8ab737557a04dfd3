"""Which version a start means."""

from __future__ import annotations

from uuid import UUID

from rest_framework.exceptions import ValidationError
from rest_framework.generics import get_object_or_404

from accounts.models import Organization
from graphs.models import GraphVersion
from graphs.selectors import graphs_of, versions_of


def named_version(organization: Organization, version: UUID) -> GraphVersion:
    """The version that the caller names. Raises Http404."""
    return get_object_or_404(versions_of(organization), uuid=version, graph__archived_at=None)


def newest_version(organization: Organization, graph: str) -> GraphVersion:
    """The newest published version of the graph with this id or slug.

    Raises Http404, and ValidationError where no version is published.
    """
    wanted = {"uuid": graph} if _is_uuid(graph) else {"slug": graph}
    # One query where all is well; what is wrong is looked up afterwards.
    published = versions_of(organization).filter(status=GraphVersion.Status.PUBLISHED, graph__archived_at=None)
    found = published.filter(**{f"graph__{name}": value for name, value in wanted.items()}).order_by("-number").first()
    if found is None:
        get_object_or_404(graphs_of(organization), **wanted)
        raise ValidationError({"graph": ["This graph has no published version; publish one first."]})
    return found


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
