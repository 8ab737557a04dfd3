"""The committer against a store in memory that fails as it is told to."""

import asyncio
import threading
from collections import deque
from datetime import UTC, datetime

import pytest

from runs.driver.committer import MAX_INLINE_BYTES, Committer
from runs.errors import StoreBusy, StoreError, StoreLocked
from runs.store import RunWrite
from runs.store.writes import EventRow
from tests.support.waiting import WAIT_S

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class MemoryStore:
    """Remembers groups of committed run ids, and the thread that committed each."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.threads: list[int] = []
        self.trouble: deque[Exception] = deque()
        self.taken_by_others: set[int] = set()
        self.heads: dict[int, tuple[int, int]] = {}
        self.locked: set[int] = set()

    def commit(self, writes):
        if self.locked & {write.run_id for write in writes}:
            raise StoreLocked("an atomic tool")
        if self.trouble:
            raise self.trouble.popleft()
        self.groups.append([write.run_id for write in writes])
        self.threads.append(threading.get_ident())
        return {write.run_id for write in writes} & self.taken_by_others

    def head(self, run_id):
        return self.heads.get(run_id)

    def close(self):
        pass


class Writer:
    """A run with a number of writes, one after the other."""

    def __init__(self, run_id: int, committer: Committer, *, size: int = 1, awaits_commits: bool = True) -> None:
        self.run_id, self.committer, self.size, self.awaits_commits = run_id, committer, size, awaits_commits
        self.over = asyncio.Event()
        self.is_lost = False

    def take_write(self) -> RunWrite:
        event = EventRow(1, "StepCompleted", 1, NOW, "x" * self.size)
        return RunWrite(run_id=self.run_id, epoch=1, expected_seq=0, seq=1, at=NOW, events=[event])

    def committed(self, write: RunWrite) -> None:
        self.over.set()

    def lost(self) -> None:
        self.is_lost = True
        self.over.set()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def committer(store):
    committer = Committer(inline_store=store, open_store=lambda: store)
    yield committer
    committer.fence()
    committer.close()


async def commit(committer: Committer, *run_ids: int, **options) -> list[Writer]:
    writers = [Writer(run_id, committer, **options) for run_id in run_ids]
    for writer in writers:
        committer.submit(writer)
    async with asyncio.timeout(WAIT_S):
        for writer in writers:
            await writer.over.wait()
    return writers


async def test_a_write_that_is_ready_alone_is_committed_on_the_loop(store, committer):
    await commit(committer, 1)
    assert store.groups == [[1]]
    assert store.threads == [threading.get_ident()]


async def test_writes_that_are_ready_together_are_one_transaction_of_the_committer_thread(store, committer):
    await commit(committer, 1, 2, 3)
    assert store.groups == [[1, 2, 3]]
    assert store.threads != [threading.get_ident()]


async def test_a_large_write_does_not_hold_up_the_loop(store, committer):
    await commit(committer, 1, size=MAX_INLINE_BYTES + 1)
    assert store.threads != [threading.get_ident()]


async def test_the_write_of_a_run_that_goes_on_meanwhile_does_not_hold_up_the_loop(store, committer):
    await commit(committer, 1, awaits_commits=False)
    assert store.threads != [threading.get_ident()]


async def test_a_busy_database_is_tried_again_until_it_takes_the_write(store, committer):
    store.trouble.extend([StoreBusy("locked"), StoreBusy("locked")])
    (writer,) = await commit(committer, 1)
    assert store.groups == [[1]]
    assert not writer.is_lost


async def test_what_becomes_ready_during_a_commit_goes_into_the_next_group(store, committer):
    first = asyncio.create_task(commit(committer, 1, 2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.gather(first, commit(committer, 3), commit(committer, 4))
    assert sorted(map(sorted, store.groups)) in ([[1, 2], [3, 4]], [[1, 2], [3], [4]])


async def test_a_run_that_somebody_else_drives_is_lost_and_its_neighbours_are_not(store, committer):
    store.taken_by_others = {2}
    first, second = await commit(committer, 1, 2)
    assert (first.is_lost, second.is_lost) == (False, True)


@pytest.mark.parametrize("tries", [1, 2], ids=["on the loop", "in the thread"])
@pytest.mark.parametrize(
    ("head", "is_lost"), [((1, 1), False), ((2, 0), True), (None, True)], ids=["ours", "another's", "deleted"]
)
async def test_a_commit_whose_answer_was_lost_counts_if_it_arrived(store, committer, head, is_lost, tries):
    store.trouble.extend([StoreError("connection lost")] * tries)
    store.taken_by_others, store.heads = {1}, {1: head}
    (writer,) = await commit(committer, 1)
    assert writer.is_lost is is_lost


async def test_a_fenced_committer_gives_up_what_the_database_has_not_taken(store, committer):
    store.trouble.extend([StoreError("gone")] * 1000)
    writer = Writer(1, committer)
    committer.submit(writer)
    await asyncio.sleep(0)
    committer.fence()
    async with asyncio.timeout(WAIT_S):
        await writer.over.wait()
    assert writer.is_lost
    assert store.groups == []


async def test_a_write_that_meets_a_locked_row_is_made_when_it_can_be_and_others_do_not_wait_for_it(store, committer):
    store.locked = {1}
    held = Writer(1, committer)
    committer.submit(held)
    await commit(committer, 2, 3)
    await commit(committer, 4)
    assert sorted(run for group in store.groups for run in group) == [2, 3, 4]
    assert not held.over.is_set()
    store.locked = set()
    async with asyncio.timeout(WAIT_S):
        await held.over.wait()
    assert store.groups[-1] == [1]


async def test_the_neighbours_in_its_group_do_not_wait_for_a_locked_row(store, committer):
    store.locked = {2}
    held = Writer(2, committer)
    committer.submit(held)
    await commit(committer, 1, 3)
    assert sorted(store.groups) == [[1], [3]]
    committer.fence()
    async with asyncio.timeout(WAIT_S):
        await held.over.wait()
    assert held.is_lost
