"""When a snapshot is worth its bytes, and which older ones still are."""

from __future__ import annotations

MIN_UPDATES_BYTES = 256 * 1024
"""Folding less than this takes a few milliseconds; no snapshot is worth writing."""


class SnapshotPolicy:
    """Keeps the snapshots of a run together no larger than its journal.

    One is due when the entries since the last outweigh it: reading any state then costs one snapshot and about as
    many bytes of updates. For a state that is merely changed, each is small beside the updates between two of them and
    all stay. For a state that grows, sizes double, and the newest leaves little room: what has to go is taken from
    where the rest lie closest, so that no past moment becomes much dearer to read than the others.
    """

    def __init__(self, *, kept: list[tuple[int, int]], journal_bytes: int, since_bytes: int) -> None:
        self._kept = kept
        self._journal_bytes = journal_bytes
        self._since_bytes = since_bytes

    def count(self, size_bytes: int) -> None:
        """Entries of this size were added to the journal."""
        self._journal_bytes += size_bytes
        self._since_bytes += size_bytes

    @property
    def journal_bytes(self) -> int:
        """How much all entries hold together."""
        return self._journal_bytes

    @property
    def is_due(self) -> bool:
        return self._since_bytes > max(MIN_UPDATES_BYTES, self._kept[-1][1] if self._kept else 0)

    def add(self, seq: int, size_bytes: int) -> list[int]:
        """A snapshot is written. Return the seqs of the older ones to keep, oldest first."""
        budget = self._journal_bytes - size_bytes
        while self._kept and sum(size for _, size in self._kept) > budget:
            del self._kept[self._least_missed(seq)]
        kept = [kept_seq for kept_seq, _ in self._kept]
        self._kept.append((seq, size_bytes))
        self._since_bytes = 0
        return kept

    def _least_missed(self, newest_seq: int) -> int:
        """The index of the one without which the fewest entries lie between its neighbours, a byte that it frees."""
        seqs = [0, *(seq for seq, _ in self._kept), newest_seq]
        gaps = [after - before for before, after in zip(seqs, seqs[2:], strict=False)]
        return min(range(len(gaps)), key=lambda index: gaps[index] / self._kept[index][1])
