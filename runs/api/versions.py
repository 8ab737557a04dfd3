"""Which version a start means."""

from __future__ import annotations

from uuid import UUID

from rest_framework.exceptions import ValidationError
from rest_framework.generics import get_object_or_404

from accounts.models import Organization
from graphs.models import GraphVersion
from graphs.selectors import graphs_of, versions_of


def version_to_start(
    organization: Organization, *, graph: UUID | None = None, version: UUID | None = None
) -> GraphVersion:
    """The version that the caller names, or the newest published one of the graph; raises Http404."""
    versions = versions_of(organization).filter(graph__archived_at=None)
    if version is not None:
        return get_object_or_404(versions, uuid=version)
    # One query where all is well; what is wrong is looked up afterwards.
    found = versions.filter(graph__uuid=graph, status=GraphVersion.Status.PUBLISHED).order_by("-number").first()
    if found is None:
        get_object_or_404(graphs_of(organization), uuid=graph)
        raise ValidationError({"graph": ["This graph has no published version; publish one first."]})
    return found
