"""From a claimed run to its execution: the plan, the folded journal, the open steps."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import lru_cache, partial

import django.db
from django.db import connections

from graphs.errors import GraphsError
from graphs.models import GraphVersion
from graphs.plan import Plan
from graphs.plans import plan_of, plan_of_digest
from runs.driver import letters
from runs.driver.driven import Driven
from runs.driver.execution import Execution
from runs.driver.journal import Journal
from runs.driver.services import Services
from runs.driver.settling import Settler
from runs.driver.snapshots import SnapshotPolicy
from runs.engine import RunState
from runs.engine.events import JsonObject
from runs.errors import JournalDamaged, StoreError
from runs.models import Run
from runs.projection import Projection
from runs.recovery import PARKED, fold
from runs.store import ClaimedRun, Head, RunWrite, Store
from runs.store.base import Mail
from runs.store.writes import EventRow, SnapshotRow
from tools import strict_json

logger = logging.getLogger(__name__)

KNOWN_VERSIONS = 256
LONG_JOURNAL = 2_000
"""Folding more entries than this would hold up the other runs of the loop for too long."""


async def adopt(run: ClaimedRun, store: Store, services: Services) -> Execution | None:
    """Prepare to drive `run`.

    One that cannot be driven (a damaged journal, a definition that no longer compiles) is parked as failed with the
    reason, and None returned. Raises StoreError.
    """
    snapshots = store.snapshots(run.id)
    after = snapshots[-1].seq if snapshots else 0
    rows = store.events(run.id, after=after)
    try:
        plan = await asyncio.to_thread(_plan_of, run.begun_with_id or run.version_id)
        former = [await asyncio.to_thread(_plan_of, int(id_)) for id_ in set(run.former_versions.split())]
        snapshot = store.snapshot(run.id, after) if snapshots else None
        state = await _fold(plan, rows, snapshot, finds_plans=plan.calls_graphs or run.begun_with_id is not None)
    except (JournalDamaged, GraphsError) as error:
        logger.exception("Run %s cannot be driven.", run.uuid)
        _park(run, store, str(error))
        return None
    journal = Journal(
        run=run,
        projection=Projection(store.open_steps(run.id), is_undoing=state.compensating is not None),
        snapshots=_policy(run, store, snapshots, rows),
        # Before its first driver nobody streamed or took a lock.
        streamed=store.streamed(run.id) if run.epoch > 1 else {},
        locked=store.locked_steps(run.id) if run.epoch > 1 else (),
    )
    driven = Driven(
        run=run,
        state=state,
        journal=journal,
        settler=Settler(former),
        services=services,
        doubts=store.doubts(run.id) if run.quarantined else {},
        heartbeats=store.heartbeats(run.id) if run.quarantined else {},
    )
    return Execution(driven, state.root.graph)


def _policy(
    run: ClaimedRun, store: Store, snapshots: Sequence[SnapshotRow], since: Iterable[EventRow]
) -> SnapshotPolicy:
    """What is known of the journal's size, without reading more of it than the entries `since` the last snapshot."""
    since_bytes = sum(len(row.data) for row in since)
    before_bytes = _journal_size(run, store, snapshots[-1]) if snapshots else 0
    kept = [(row.seq, len(store.snapshot(run.id, row.seq)) if row.size is None else row.size) for row in snapshots]
    return SnapshotPolicy(kept=kept, journal_bytes=before_bytes + since_bytes, since_bytes=since_bytes)


def _journal_size(run: ClaimedRun, store: Store, snapshot: SnapshotRow) -> int:
    known = snapshot.journal_size
    return store.journal_size(run.id, until=snapshot.seq) if known is None else known


async def find_versions(execution: Execution, mail: Iterable[Mail]) -> None:
    """Let the run know the versions to which mail wants to move it. Raises StoreError.

    One that is not there is refused when the mail is read.
    """
    for letter in mail:
        if letter.kind == letters.MIGRATE:
            with suppress(ValueError, LookupError, TypeError, GraphsError):
                digest = json.loads(letter.payload)["digest"]
                execution.learn(digest, await asyncio.to_thread(_plan_of_digest, digest, None))


@lru_cache(maxsize=KNOWN_VERSIONS)
def _plan_of(version_id: int) -> Plan:
    """The plan of a version by its primary key alone: what is published never changes, so no row need be read."""
    with _lent_connection():
        return plan_of(GraphVersion.objects.select_related("graph").get(pk=version_id))


def _plan_of_digest(digest: str, definition: JsonObject | None) -> Plan:
    return _subgraph(digest, None if definition is None else strict_json.dumps(definition))


@lru_cache(maxsize=KNOWN_VERSIONS)
def _subgraph(digest: str, definition: str | None) -> Plan:
    with _lent_connection():
        return plan_of_digest(digest, None if definition is None else json.loads(definition))


@contextmanager
def _lent_connection() -> Iterator[None]:
    """Read a definition in a thread that is lent: nobody else would look after its connection."""
    try:
        yield
    except django.db.Error as error:
        raise StoreError(f"The definition cannot be read: {error}") from error
    finally:
        connections.close_all()


async def _fold(plan: Plan, rows: list[EventRow], snapshot: str | None, *, finds_plans: bool) -> RunState:
    work = partial(fold, plan, rows, snapshot=snapshot, find_plan=_plan_of_digest)
    # Plans of subgraphs and later versions come from the database, which the event loop must not wait for.
    return await asyncio.to_thread(work) if len(rows) > LONG_JOURNAL or finds_plans else work()


def _park(run: ClaimedRun, store: Store, reason: str) -> None:
    now = datetime.now(UTC)
    data = strict_json.dumps({"errors": [], "reason": reason})
    write = RunWrite(
        run_id=run.id,
        epoch=run.epoch,
        expected_seq=run.seq,
        seq=run.seq + 1,
        at=now,
        events=[EventRow(run.seq + 1, PARKED, 1, now, data)],
        released_locks=store.locked_steps(run.id),
        # Taken in, or it would make the run due again and again.
        consumed=[(mail.id, run.seq + 1) for mail in store.unread_mail([run.id])],
        head=Head(status=Run.Status.FAILED, error=reason, finished_at=now),
    )
    store.commit([write])
