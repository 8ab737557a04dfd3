"""When and where writes are committed.

A write that is ready alone, and that its run waits for, is committed at once on the event loop: a local transaction is
shorter than the hand-over to a thread. Writes that become ready together, those of runs that go on meanwhile, and those
that meet a busy database, go to a committer thread, which groups them into one transaction and tries again until the
database takes them or the driver has lost its lease.

A write that meets a locked row (the transaction of an atomic tool, which may be long) is set aside and tried again by
itself: the transaction may end only after other writes were made.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from runs.errors import StoreError, StoreLocked
from runs.store import RunWrite, Store

logger = logging.getLogger(__name__)

MAX_INLINE_BYTES = 256 * 1024
FIRST_RETRY_S = 0.02
LAST_RETRY_S = 1.0
REST_S = 0.005
"""How long the thread leaves the database to others after writes that no run waits for: SQLite has no queue, and
whoever wants to write finds the lock free or looks again later. What gathers meanwhile is one transaction."""
LOCKED_RETRY_S = 0.25
"""How long a write is set aside that has met a locked row."""


class Writer(Protocol):
    """Somebody with something to commit: one run."""

    @property
    def awaits_commits(self) -> bool:
        """Whether it can do nothing until its write is on disk."""

    def take_write(self) -> RunWrite | None:
        """What has gathered since the last call, or None. Called again only after one of the two below."""

    def committed(self, write: RunWrite) -> None:
        """The write is on disk."""

    def lost(self) -> None:
        """Another driver owns the run: nothing was written, and nothing will be."""


Batch = list[tuple[Writer, RunWrite]]


class Committer:
    """Commits the writes of all runs of one driver. All methods belong to the event loop's thread."""

    def __init__(self, *, inline_store: Store, open_store: Callable[[], Store]) -> None:
        self._loop = asyncio.get_running_loop()
        self._inline_store = inline_store
        self._open_store = open_store
        self._ready: dict[Writer, None] = {}
        self._scheduled = False
        self._under_way = 0
        """Batches that the thread has not given back."""
        self._fenced = threading.Event()
        self._batches: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="committer", daemon=True)
        self._thread.start()

    def submit(self, writer: Writer) -> None:
        """`writer` has something to commit. Several calls in one turn of the loop are one write."""
        self._ready[writer] = None
        if not self._scheduled and not self._under_way:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def fence(self) -> None:
        """The driver's lease is gone: give up what the database has not taken."""
        self._fenced.set()

    def close(self) -> None:
        self._batches.put(None)
        self._thread.join(timeout=5)

    def _flush(self) -> None:
        self._scheduled = False
        writers, self._ready = self._ready, {}
        batch = [(writer, write) for writer in writers if (write := writer.take_write()) is not None]
        if len(batch) == 1 and batch[0][0].awaits_commits and batch[0][1].size_bytes <= MAX_INLINE_BYTES:
            try:
                lost = self._inline_store.commit([batch[0][1]])
            except StoreError:
                self._hand_over(batch)
            else:
                self._settle(batch, lost)
        elif batch:
            self._hand_over(batch)

    def _hand_over(self, batch: Batch) -> None:
        self._under_way += 1
        self._batches.put(batch)

    def _thread_done(self, batch: Batch, lost: set[int], locked: Batch) -> None:
        self._under_way -= 1
        self._settle(batch, lost)
        for each in locked:
            self._loop.call_later(LOCKED_RETRY_S, self._hand_over, [each])
        if self._ready and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _settle(self, batch: Batch, lost: set[int]) -> None:
        for writer, write in batch:
            if write.run_id in lost:
                writer.lost()
            else:
                writer.committed(write)

    # ---- the committer thread

    def _work(self) -> None:
        try:
            store = self._open_store()
            while (batch := self._batches.get()) is not None:
                self._loop.call_soon_threadsafe(self._thread_done, *self._commit_apart_from_locked(store, batch))
                somebody_waits = any(writer.awaits_commits for writer, _ in batch)
                del batch  # an idle thread must not keep the states of runs that are over alive
                if not somebody_waits:
                    time.sleep(REST_S)
            store.close()
        except Exception as error:  # a bug: it belongs to the loop, whose exception handler ends the driver
            self._loop.call_soon_threadsafe(_raise, error)

    def _commit_apart_from_locked(self, store: Store, batch: Batch) -> tuple[Batch, set[int], Batch]:
        """Return what was taken in the end, the ids of runs in it that others drive, and what has met a locked row."""
        try:
            return batch, self._commit_until_taken(store, [write for _, write in batch]), []
        except StoreLocked:
            if len(batch) == 1:
                return [], set(), batch
        done: Batch = []
        lost: set[int] = set()
        locked: Batch = []
        for each in batch:
            taken, lost_here, locked_here = self._commit_apart_from_locked(store, [each])
            done, lost, locked = done + taken, lost | lost_here, locked + locked_here
        return done, lost, locked

    def _commit_until_taken(self, store: Store, writes: Sequence[RunWrite]) -> set[int]:
        """Return the ids of runs that others drive. Raises StoreLocked."""
        pause_s = FIRST_RETRY_S
        while not self._fenced.is_set():
            try:
                lost = store.commit(writes)
                # An earlier try may have arrived although its answer was lost.
                return {run for run in lost if not _arrived(store, writes, run)}
            except StoreLocked:
                raise
            except StoreError as error:
                logger.warning("Commit of %d runs failed, trying again in %.2f s: %s", len(writes), pause_s, error)
                time.sleep(pause_s)
                pause_s = min(pause_s * 2, LAST_RETRY_S)
        return {write.run_id for write in writes}


def _raise(error: Exception) -> None:
    raise error


def _arrived(store: Store, writes: Sequence[RunWrite], run_id: int) -> bool:
    """Whether a write was made although the answer to its commit never came."""
    write = next(write for write in writes if write.run_id == run_id)
    return store.head(run_id) == (write.epoch, write.seq)
