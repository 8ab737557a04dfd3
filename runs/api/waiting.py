"""Requests that wait for a run, woken by the hub that the sockets follow too.

Each holds a thread while it waits, so only so many may: the next one is told to come back.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from asgiref.sync import async_to_sync
from django.conf import settings
from rest_framework.exceptions import Throttled

from runs import control
from runs.models import Mailbox, Run
from runs.stream.feed import Position
from runs.stream.hub import hub

EFFECT_POLL_S = 0.25
_ENTRY_BEYOND_ALL = 2**63 - 1
_places = threading.BoundedSemaphore(settings.WORKFLOW.max_waiting_requests)


def wait_for_end(run: Run, *, timeout_s: float) -> None:
    """Return when the run is over, or after `timeout_s`. Raises Throttled."""
    wait_for_entry(run, after=_ENTRY_BEYOND_ALL, timeout_s=timeout_s)


def wait_for_entry(run: Run, *, after: int, timeout_s: float) -> None:
    """Return when the run's journal leads beyond `after` or the run is over, or after `timeout_s`. Raises Throttled."""
    with _place():
        async_to_sync(_follow)(run.pk, after, timeout_s)


def wait_for_effect(mail: Mailbox, *, timeout_s: float) -> None:
    """Return when the run has done what the message asks of it, or after `timeout_s`.

    Raises Throttled, and ControlConflict if its driver has refused the message.
    """
    deadline = time.monotonic() + timeout_s
    with _place():
        while not control.has_effect(mail) and (left_s := deadline - time.monotonic()) > 0:
            seq = Run.objects.values_list("seq", flat=True).get(pk=mail.run_id)
            # Not every effect is an entry of the journal.
            async_to_sync(_follow)(mail.run_id, seq, min(left_s, EFFECT_POLL_S))


async def _follow(run_id: int, after: int, timeout_s: float) -> None:
    # Streamed output is nothing to wait for.
    position = Position(seq=after, chunk=_ENTRY_BEYOND_ALL)
    try:
        async with asyncio.timeout(timeout_s), hub.watching(run_id) as feed:
            async for _ in feed.follow(position):
                if position.seq > after:
                    return
    except TimeoutError:
        pass


@contextmanager
def _place() -> Iterator[None]:
    if not _places.acquire(blocking=False):
        raise Throttled(wait=1, detail="Too many requests wait for runs; ask again without wait, or in a moment.")
    try:
        yield
    finally:
        _places.release()
