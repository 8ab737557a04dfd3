"""Which finished runs go, and when.

The newest published version of a graph says it for all runs of the graph (`retention`); a graph that says nothing
keeps its runs for `WORKFLOW_RETENTION_DAYS`, or for ever where that is 0.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from accounts import audit
from accounts.actor import Actor
from accounts.models import Role
from graphs.errors import GraphsError
from graphs.models import Graph, GraphVersion
from graphs.plans import spec_of
from graphs.spec import RetentionSpec
from runs.models import Chore, Run
from runs.store.deletion import delete_rows, hidden_runs, hide

logger = logging.getLogger(__name__)

CHORE = "prune"
EVERY = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """The runs of a graph that its retention lets go, the oldest first."""

    graph: Graph
    runs: QuerySet[Run]


def expired_runs(graph: Graph | None = None) -> Iterator[Expired]:
    """What is to be pruned now, of one graph or of all that let runs go."""
    now = timezone.now()
    for version in _newest_versions(graph):
        retention = _retention_of(version)
        if retention is not None:
            yield Expired(graph=version.graph, runs=_expired(version.graph, retention, now))


def prune_due_runs(limit: int, *, graph: Graph | None = None) -> int:
    """Delete up to `limit` runs that are expired, and return how many; 0 means that none is left.

    Not to be called inside a transaction.
    """
    deleted = 0
    for expired in expired_runs(graph):
        if deleted < limit:
            deleted += _prune(expired, limit - deleted)
    return deleted


def finish_deletions() -> None:
    """Delete what is left of runs that somebody has deleted. Not to be called inside a transaction."""
    for run in list(hidden_runs()):
        delete_rows(run)


def take_turn() -> bool:
    """Whether the caller is the one that prunes now: one process of the whole installation, once an hour."""
    now = timezone.now()
    due = Chore.objects.filter(name=CHORE)
    # Looking first keeps the others from taking the write lock.
    next_at = due.values_list("next_at", flat=True).first()
    if next_at is None:
        return Chore.objects.get_or_create(name=CHORE, defaults={"next_at": now + EVERY})[1]
    return next_at <= now and due.filter(next_at=next_at).update(next_at=now + EVERY) == 1


def _newest_versions(graph: Graph | None) -> Iterator[GraphVersion]:
    published = GraphVersion.objects.filter(status=GraphVersion.Status.PUBLISHED)
    newest = published.filter(graph=OuterRef("graph")).order_by("-number").values("pk")[:1]
    versions = published.filter(pk=Subquery(newest)).select_related("graph__organization").defer("definition")
    if graph is not None:
        versions = versions.filter(graph=graph)
    if not settings.WORKFLOW.retention_days:
        versions = versions.exclude(retention="")
    return versions.order_by("pk").iterator()


def _retention_of(version: GraphVersion) -> RetentionSpec | None:
    days = settings.WORKFLOW.retention_days
    default = RetentionSpec(days=days) if days else None
    if not version.retention:
        return default
    try:
        return spec_of(version).retention or default
    except GraphsError:
        logger.exception("The definition of %s cannot be read; all its runs are kept.", version)
        return None


def _expired(graph: Graph, retention: RetentionSpec, now: datetime) -> QuerySet[Run]:
    ended = Run.objects.filter(
        version__graph=graph, status__in=retention.statuses, finished_at__isnull=False, deleted_at=None
    )
    runs = ended
    if retention.days is not None:
        runs = runs.filter(finished_at__lt=now - timedelta(days=retention.days))
    if retention.keep_last is not None:
        last = ended.order_by("-finished_at", "-pk").values_list("finished_at", "pk")[retention.keep_last - 1 :].first()
        if last is None:
            return Run.objects.none()
        runs = runs.filter(Q(finished_at__lt=last[0]) | Q(finished_at=last[0], pk__lt=last[1]))
    return runs.order_by("finished_at", "pk")


def _prune(expired: Expired, limit: int) -> int:
    hidden = []
    with transaction.atomic():
        hidden = [run for run in expired.runs[:limit] if hide(run)]
        if hidden:
            organization = expired.graph.organization
            actor = Actor(organization=organization, name="retention", role=Role.ADMIN)
            audit.record(actor=actor, action="graph.runs_pruned", obj=expired.graph, data={"runs": len(hidden)})
    for run in hidden:
        delete_rows(run)
    return len(hidden)
