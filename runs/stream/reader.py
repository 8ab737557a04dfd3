"""What the stream reads from the database, in a thread with a connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

from django.db import Error, connection
from django.db.models import Max, OuterRef, Subquery

from runs.models import Event, Run, Step, StreamChunk
from runs.redaction import redaction_of
from runs.stream.frames import FRAME_ENTRIES, Frame, StreamedChunk, chunks_frame, events_frame

_Result = TypeVar("_Result")
_FETCHED_AT_ONCE = 25
"""Rows; one may hold megabytes, and a frame needs few of those."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """How far a run has come."""

    seq: int
    status: str
    chunk: int
    """The id of the newest chunk of streamed output; 0 for none."""


class Reader(Protocol):
    """Where frames come from. Raises `django.db.Error` when the database does not answer."""

    async def heads(self, run_ids: Collection[int]) -> dict[int, Head]:
        """How far these runs have come; a run that was deleted is missing."""

    async def events(self, run_id: int, *, after: int, upto: int) -> Frame | None:
        """The first frame of the entries `after` < seq ≤ `upto`."""

    async def chunks(self, run_id: int, *, after: int, upto: int, seq: int) -> Frame | None:
        """The first frame of the chunks `after` < id ≤ `upto` of the steps in flight."""

    def close(self) -> None:
        """Give back what reading holds."""


class DatabaseReader:
    def __init__(self) -> None:
        # One thread: frames are made one after the other, so that many backlogs do not starve the event loop.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="stream")

    async def heads(self, run_ids: Collection[int]) -> dict[int, Head]:
        return await self._read(_heads, run_ids)

    async def events(self, run_id: int, *, after: int, upto: int) -> Frame | None:
        return await self._read(partial(_events, run_id, after, upto))

    async def chunks(self, run_id: int, *, after: int, upto: int, seq: int) -> Frame | None:
        return await self._read(partial(_chunks, run_id, after, upto, seq))

    def close(self) -> None:
        self._thread.submit(connection.close)
        self._thread.shutdown(wait=False)

    async def _read(self, query: Callable[..., _Result], *args: object) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, _on_good_connection, query, *args)


def _on_good_connection(query: Callable[..., _Result], *args: object) -> _Result:
    try:
        return query(*args)
    except Error:
        connection.close()  # the next query opens another
        raise


def _heads(run_ids: Collection[int]) -> dict[int, Head]:
    rows = Run.objects.filter(pk__in=run_ids).annotate(chunk=Max("chunks__id"))
    return {
        run_id: Head(seq=seq, status=status, chunk=chunk or 0)
        for run_id, seq, status, chunk in rows.values_list("pk", "seq", "status", "chunk").order_by()
    }


def _events(run_id: int, after: int, upto: int) -> Frame | None:
    rows = Event.objects.filter(run_id=run_id, seq__gt=after, seq__lte=upto).order_by("seq")[:FRAME_ENTRIES]
    run = Run.objects.select_related("version").only("former_versions", "version__sha256").filter(pk=run_id).first()
    if run is None:
        return None
    entries = rows.values_list("seq", "type", "at", "data", named=True).iterator(_FETCHED_AT_ONCE)
    return events_frame(entries, redaction_of(run))


def _chunks(run_id: int, after: int, upto: int, seq: int) -> Frame | None:
    node = Step.objects.filter(run_id=run_id, step=OuterRef("step")).values("node")
    rows = (
        StreamChunk.objects.filter(run_id=run_id, id__gt=after, id__lte=upto)
        .annotate(node=Subquery(node))
        .order_by("id")[:FRAME_ENTRIES]
    )
    columns = rows.values_list("id", "step", "node", "number", "text")
    return chunks_frame((StreamedChunk(*row) for row in columns.iterator(_FETCHED_AT_ONCE)), seq=seq)
