"""Which version a start means."""

from __future__ import annotations

from uuid import UUID

from rest_framework.exceptions import ValidationError

from accounts.api.base import NoSuchObject
from accounts.models import Organization
from graphs.models import GraphVersion
from graphs.selectors import graph_named, graphs_of, versions_of

LATEST = "latest"
MAX_DIGITS = 9
NO_VERSION = "There is no version with this id in your organization, or its graph is archived; give another id."
NO_GRAPH = "There is no graph with this id or slug in your organization, or it is archived; give another one."


def named_version(organization: Organization, version: UUID, *, field: str) -> GraphVersion:
    """The version that the caller names in a field of the body. Raises NoSuchObject."""
    found = versions_of(organization).filter(uuid=version, graph__archived_at=None).first()
    if found is None:
        raise NoSuchObject(field, NO_VERSION)
    return found


def newest_version(organization: Organization, graph: str, *, field: str) -> GraphVersion:
    """The newest published version of the graph with this id or slug, which the caller names in a field of the body.

    `graph@3` is its version 3, as in a node that calls it. Raises NoSuchObject, and ValidationError where no version is
    published.
    """
    name, at, number = graph.partition("@")
    wanted = graph_named(name)
    # One query where all is well; what is wrong is looked up afterwards.
    published = versions_of(organization).filter(status=GraphVersion.Status.PUBLISHED, graph__archived_at=None)
    if at and number != LATEST:
        if not (number.isascii() and number.isdigit() and len(number) <= MAX_DIGITS):
            raise ValidationError({field: [f'Write the number of a version behind "@", as in "{name[:80]}@3".']})
        published = published.filter(number=int(number))
    found = published.filter(**{f"graph__{name}": value for name, value in wanted.items()}).order_by("-number").first()
    if found is None:
        if not graphs_of(organization).filter(**wanted).exists():
            raise NoSuchObject(field, NO_GRAPH)
        if at and number != LATEST:
            raise NoSuchObject(field, f"This graph has no published version {number}; name one that it has.")
        raise ValidationError({field: ["This graph has no published version; publish one first."]})
    return found
