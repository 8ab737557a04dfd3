"""How many runs go on at the same time, and what becomes of a start that would be one too many.

Three rules bound the runs that are under way, which is all that were let in and are not over, waiting ones included:

* the graph's own `concurrency`, over all its versions: so many at a time, of the graph or of each business key;
* the `on_conflict` of a start: no other run of the graph with the same business key;
* `WORKFLOW_MAX_RUNS_PER_ORGANIZATION`.

A start that a rule holds back is refused, takes the place of others, or is queued: it exists, pending, without a time
to wake. All that is decided here is decided while one row, the organization's, is locked, so that two starts at the
same moment do not both win. Where no rule applies nothing is locked or counted.

A queued run is let in by the keeper of any driver (`runs.driver.keeper`), at once after a run of its own driver ended,
and within a second otherwise. Not by the transaction that ends the other run: limits stand in definitions, which that
one would have to read, for the sake of the few graphs that have any.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.actor import Actor
from accounts.models import Organization
from graphs.errors import GraphsError
from graphs.models import GraphVersion
from graphs.plans import spec_of
from graphs.spec import ConcurrencySpec
from runs.errors import BusinessKeyMissing, RunConflict
from runs.models import Run
from runs.store.mail import post

logger = logging.getLogger(__name__)

OnConflict = Literal["allow", "reject", "replace", "enqueue"]
KNOWN_VERSIONS = 256
PAGE = 100
"""So many queued runs are looked at together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Runs of one organization of which at most `limit` may be under way; None stands for any."""

    limit: int
    graph_id: int | None = None
    business_key: str | None = None

    def members(self, organization_id: int) -> QuerySet[Run]:
        """Those that are not over, the oldest first; queued ones, too."""
        under_way = [status for status in Run.Status if status not in Run.TERMINAL]  # not `exclude`: there is an index
        runs = Run.objects.filter(organization_id=organization_id, status__in=under_way).order_by("id")
        if self.graph_id is not None:
            runs = runs.filter(version__graph_id=self.graph_id)
        return runs if self.business_key is None else runs.filter(business_key=self.business_key)


def place(run: Run, *, on_conflict: OnConflict, actor: Actor) -> bool:
    """Decide what a run that is about to be inserted means to others; whether it has to queue up.

    Call it in the transaction that inserts the run. Raises RunConflict, and BusinessKeyMissing.
    """
    if on_conflict != "allow" and not run.business_key:
        raise BusinessKeyMissing(on_conflict)
    run.exclusive = on_conflict == "enqueue"
    graph_id = run.version.graph_id
    rules: list[tuple[Group, str]] = []
    if on_conflict != "allow":
        rules.append((Group(limit=1, graph_id=graph_id, business_key=run.business_key), on_conflict))
    concurrency = spec_of(run.version).concurrency
    if concurrency is not None and (group := _group_of(concurrency, graph_id, run.business_key)):
        rules.append((group, concurrency.on_conflict))
    if settings.WORKFLOW.max_runs_per_organization:
        rules.append((Group(limit=settings.WORKFLOW.max_runs_per_organization), "enqueue"))
    if rules:
        _lock(run.organization_id)
    for group, policy in rules:
        if policy == "reject":
            _reject(run, group)
        elif policy == "replace":
            _replace(run, group, actor)
    return any(policy == "enqueue" for _, policy in rules)


def let_in(organization_id: int) -> int:
    """Let in as many queued runs as there is room for, by priority, then in order of arrival; return how many.

    Call it in a transaction.
    """
    _lock(organization_id)
    # Cancelled while they were queued.
    Run.objects.filter(organization_id=organization_id, queued=True, driver=None, status__in=Run.TERMINAL).update(
        queued=False
    )
    room, queue = _Room(organization_id), _Queue(organization_id)
    while page := queue.next_page(room):
        for run in page:
            room.admit(run) if room.is_there_for(run) else queue.pass_over(run)
    if not room.admitted:
        return 0
    return Run.objects.filter(pk__in=room.admitted).update(queued=False, wake_at=timezone.now())


def let_in_everywhere() -> tuple[int, bool]:
    """Let in queued runs of all organizations; return how many, and whether any are left."""
    admitted = 0
    queued = Run.objects.filter(queued=True, driver=None)
    for organization_id in queued.order_by("organization_id").values_list("organization_id", flat=True).distinct():
        with transaction.atomic():
            admitted += let_in(organization_id)
    return admitted, queued.exists()


class _Queued(NamedTuple):
    """A queued run, as far as it matters here."""

    id: int
    priority: int
    version_id: int
    graph_id: int
    business_key: str
    exclusive: bool


_COLUMNS = ("id", "priority", "version_id", "version__graph_id", "business_key", "exclusive")


class _Room:
    """How many more runs each group of an organization may have under way."""

    def __init__(self, organization_id: int) -> None:
        self.admitted: list[int] = []
        self._organization_id = organization_id
        self._left: dict[Group, int] = {}

    def is_there_for(self, run: _Queued) -> bool:
        return not any(map(self.is_full, _groups_of(run)))

    def is_full(self, group: Group) -> bool:
        if group not in self._left:
            under_way = group.members(self._organization_id).filter(queued=False).count()
            self._left[group] = group.limit - under_way
        return self._left[group] <= 0

    def admit(self, run: _Queued) -> None:
        self.admitted.append(run.id)
        for group in _groups_of(run):
            self._left[group] -= 1


class _Queue:
    """The queued runs of an organization, by priority, then in order of arrival.

    It may be long, and all of it held back by one group that is full. Such runs are left to the database: those of
    versions in which none may start, and those that are like one that was passed over.
    """

    def __init__(self, organization_id: int) -> None:
        runs = Run.objects.filter(organization_id=organization_id, queued=True, driver=None)
        self._runs = runs.order_by("-priority", "id")
        versions = runs.order_by().values_list("version_id", "version__graph_id").distinct()
        self._versions = [version for version in versions if _is_readable(version[0])]
        self._passed_over: set[tuple[int, str, bool]] = set()

    def next_page(self, room: _Room) -> list[_Queued]:
        """Some of those that may start, as far as is known; none at the end."""
        self._versions = [version for version in self._versions if not any(map(room.is_full, _common_groups(*version)))]
        if not self._versions:
            return []
        runs = self._runs.filter(version_id__in=[version_id for version_id, _ in self._versions])
        for version_id, business_key, exclusive in self._passed_over:
            runs = runs.exclude(version_id=version_id, business_key=business_key, exclusive=exclusive)
        page = [_Queued(*row) for row in runs.values_list(*_COLUMNS)[:PAGE]]
        if page:
            last = page[-1]
            self._runs = self._runs.filter(Q(priority__lt=last.priority) | Q(priority=last.priority, id__gt=last.id))
        return page

    def pass_over(self, run: _Queued) -> None:
        """There is no room for it, nor for others like it."""
        if len(self._passed_over) < PAGE:  # a statement must not grow without end
            self._passed_over.add((run.version_id, run.business_key, run.exclusive))


def _groups_of(run: _Queued) -> Iterator[Group]:
    yield from _common_groups(run.version_id, run.graph_id)
    if run.exclusive:
        yield Group(limit=1, graph_id=run.graph_id, business_key=run.business_key)
    concurrency = _concurrency_of(run.version_id)
    if concurrency is not None and concurrency.per != "graph":
        group = _group_of(concurrency, run.graph_id, run.business_key)
        if group is not None:
            yield group


def _common_groups(version_id: int, graph_id: int) -> Iterator[Group]:
    """The groups of all runs of a version."""
    if limit := settings.WORKFLOW.max_runs_per_organization:
        yield Group(limit=limit)
    concurrency = _concurrency_of(version_id)
    if concurrency is not None and concurrency.per == "graph":
        yield Group(limit=concurrency.limit, graph_id=graph_id)


def _group_of(concurrency: ConcurrencySpec, graph_id: int, business_key: str) -> Group | None:
    if concurrency.per == "graph":
        return Group(limit=concurrency.limit, graph_id=graph_id)
    # Runs without a key have nothing in common.
    return Group(limit=concurrency.limit, graph_id=graph_id, business_key=business_key) if business_key else None


@lru_cache(maxsize=KNOWN_VERSIONS)
def _concurrency_of(version_id: int) -> ConcurrencySpec | None:
    """Of a published version, which never changes."""
    return spec_of(GraphVersion.objects.select_related("graph").get(pk=version_id)).concurrency


def _is_readable(version_id: int) -> bool:
    """Of others no limit is known, nor could a driver begin with one of their runs."""
    try:
        _concurrency_of(version_id)
    except (GraphsError, ValueError) as error:
        _complain(version_id, str(error))
        return False
    return True


@lru_cache(maxsize=KNOWN_VERSIONS)
def _complain(version_id: int, reason: str) -> None:
    """Say once in a process what keeps the runs of a version in the queue, which is looked at every second."""
    logger.error("The definition of version %d cannot be read; its runs stay in the queue. %s", version_id, reason)


def _lock(organization_id: int) -> None:
    """Let nobody else decide until the transaction ends. On SQLite it has the only write lock already."""
    Organization.objects.select_for_update(no_key=True).get(pk=organization_id)


def _reject(run: Run, group: Group) -> None:
    others = list(group.members(run.organization_id)[: group.limit])
    if len(others) >= group.limit:
        raise RunConflict(others[0].uuid)


def _replace(run: Run, group: Group, actor: Actor) -> None:
    others = list(group.members(run.organization_id))
    for other in others[: max(len(others) - group.limit + 1, 0)]:
        post(other, kind="cancel", payload={"reason": f"Replaced by run {run.uuid}."}, actor=actor)
