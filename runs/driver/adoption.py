"""From a claimed run to its execution: the plan, the folded journal, the open steps."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from functools import lru_cache

import django.db
from django.db import connections

from graphs.errors import GraphsError
from graphs.models import GraphVersion
from graphs.plan import Plan
from graphs.plans import plan_of
from runs.driver.execution import Execution
from runs.driver.services import Services
from runs.driver.snapshots import SnapshotPolicy
from runs.engine import RunState
from runs.errors import JournalDamaged, StoreError
from runs.models import Run
from runs.projection import Projection
from runs.recovery import fold
from runs.store import ClaimedRun, Head, RunWrite, Store
from runs.store.writes import EventRow
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
    after = snapshots[-1][0] if snapshots else 0
    rows = store.events(run.id, after=after)
    since_bytes = sum(len(row.data) for row in rows)
    try:
        plan = await asyncio.to_thread(_plan_of, run.version_id)
        state = await _fold(plan, rows, store.snapshot(run.id, after) if snapshots else None)
    except (JournalDamaged, GraphsError) as error:
        logger.exception("Run %s cannot be driven.", run.uuid)
        _park(run, store, str(error))
        return None
    return Execution(
        run=run,
        plan=plan,
        state=state,
        projection=Projection(store.open_steps(run.id)),
        snapshots=SnapshotPolicy(
            kept=snapshots,
            journal_bytes=store.journal_size(run.id) if snapshots else since_bytes,
            since_bytes=since_bytes,
        ),
        services=services,
    )


@lru_cache(maxsize=KNOWN_VERSIONS)
def _plan_of(version_id: int) -> Plan:
    """The plan of a version by its primary key alone: what is published never changes, so no row need be read."""
    try:
        return plan_of(GraphVersion.objects.select_related("graph").get(pk=version_id))
    except django.db.Error as error:
        raise StoreError(f"The definition cannot be read: {error}") from error
    finally:
        connections.close_all()  # this thread is lent; nobody would look after its connection


async def _fold(plan: Plan, rows: list[EventRow], snapshot: str | None) -> RunState:
    if len(rows) > LONG_JOURNAL:
        return await asyncio.to_thread(fold, plan, rows, snapshot=snapshot)
    return fold(plan, rows, snapshot=snapshot)


def _park(run: ClaimedRun, store: Store, reason: str) -> None:
    now = datetime.now(UTC)
    data = strict_json.dumps({"errors": [], "reason": reason})
    write = RunWrite(
        run_id=run.id,
        epoch=run.epoch,
        expected_seq=run.seq,
        seq=run.seq + 1,
        at=now,
        events=[EventRow(run.seq + 1, "RunParked", 1, now, data)],
        head=Head(status=Run.Status.FAILED, error=reason, finished_at=now),
    )
    store.commit([write])
