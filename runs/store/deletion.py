"""How a run leaves the database: out of sight at once, then its rows in batches, the run's own last.

SQLite has one write lock for everybody, so nobody may hold it for as long as the rows of a long run take.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

from django.db import transaction
from django.db.models import CASCADE, QuerySet
from django.utils import timezone

from runs.models import Run

BATCH = 2_000
"""Rows that one transaction deletes."""


def hide(run: Run) -> bool:
    """Take the run out of everybody's sight, for good; False if it goes on or somebody else has done it."""
    over = Run.objects.filter(pk=run.pk, status__in=Run.TERMINAL, driver=None, deleted_at=None)
    # Its key may start another run now.
    return over.update(deleted_at=timezone.now(), idempotency_key=None, wake_at=None) == 1


def hidden_runs() -> QuerySet[Run]:
    """Those whose rows are not all gone."""
    return Run.objects.filter(deleted_at__isnull=False).order_by("deleted_at")


def delete_rows(run: Run, *, within_s: float = math.inf) -> bool:
    """Delete a hidden run with all that belongs to it; False if the time was too short for all of it.

    Outside of any transaction. It may be called again, also by several at once.
    """
    deadline = time.monotonic() + within_s
    for rows in _belongings(run):
        while _delete_batch(rows):
            if time.monotonic() > deadline:
                return False
    with transaction.atomic():
        run.delete()
    return True


def _belongings(run: Run) -> Iterator[QuerySet[Any]]:
    """The rows of every table that says to be deleted with its run."""
    for relation in Run._meta.related_objects:
        if relation.on_delete is CASCADE:
            yield relation.related_model._base_manager.filter(**{relation.field.name: run})


def _delete_batch(rows: QuerySet[Any]) -> bool:
    """Whether there may be more."""
    began = time.monotonic()
    batch = list(rows.values_list("pk", flat=True)[:BATCH])
    if batch:
        rows.filter(pk__in=batch).delete()
    if len(batch) < BATCH:
        return False
    # SQLite does not queue those who wait for its lock: without a pause they might never get it.
    time.sleep(time.monotonic() - began)
    return True
