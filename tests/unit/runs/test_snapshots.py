import itertools

from hypothesis import given
from hypothesis import strategies as st

from runs.driver.snapshots import MIN_UPDATES_BYTES, SnapshotPolicy

KIB = 1024


def run(*, update_bytes: int, state_bytes, steps: int) -> tuple[int, list[tuple[int, int]], list[int]]:
    """Journal size, snapshots kept at the end, and every snapshot ever written."""
    policy = SnapshotPolicy(kept=[], journal_bytes=0, since_bytes=0)
    kept: list[tuple[int, int]] = []
    written: list[int] = []
    for seq in range(1, steps + 1):
        policy.count(update_bytes)
        if policy.is_due:
            size = state_bytes(seq)
            stay = policy.add(seq, size)
            kept = [snapshot for snapshot in kept if snapshot[0] in stay] + [(seq, size)]
            written.append(size)
    return steps * update_bytes, kept, written


def test_a_short_run_needs_none():
    _, _, written = run(update_bytes=KIB, state_bytes=lambda seq: seq * KIB, steps=200)
    assert written == []


def test_snapshots_of_a_growing_state_together_stay_below_its_journal():
    journal, kept, written = run(update_bytes=KIB, state_bytes=lambda seq: seq * KIB, steps=20_000)
    assert sum(size for _, size in kept) <= journal
    assert sum(written) <= 3 * journal, "what was written and dropped is bounded, too"


def test_snapshots_of_a_state_that_does_not_grow_all_stay():
    journal, kept, written = run(update_bytes=KIB, state_bytes=lambda seq: 2 * KIB, steps=5_000)
    assert len(kept) == len(written) >= journal // (2 * MIN_UPDATES_BYTES)


def test_no_more_than_one_snapshot_and_as_many_updates_have_to_be_read():
    policy = SnapshotPolicy(kept=[(10, 900 * KIB)], journal_bytes=2_000 * KIB, since_bytes=0)
    policy.count(900 * KIB)
    assert not policy.is_due
    policy.count(1)
    assert policy.is_due


def test_a_state_that_suddenly_grows_leaves_snapshots_over_the_whole_past():
    def state_bytes(seq: int) -> int:
        return 200 * KIB if seq < 10_000 else 6_000 * KIB

    _, kept, _ = run(update_bytes=KIB, state_bytes=state_bytes, steps=10_200)
    seqs = [0, *(seq for seq, _ in kept)]
    assert len(kept) > 10
    assert max(after - before for before, after in itertools.pairwise(seqs)) <= 3 * seqs[-1] / len(kept)


@given(st.lists(st.tuples(st.integers(1, 600), st.integers(1, 4_000)), min_size=1, max_size=80))
def test_snapshots_never_outweigh_the_journal_and_go_only_for_that(entries):
    """Of a state that shrinks and grows as it likes; only the newest snapshot may be larger than all there was."""
    policy, journal, kept = SnapshotPolicy(kept=[], journal_bytes=0, since_bytes=0), 0, dict[int, int]()
    for seq, (update_kib, state_kib) in enumerate(entries, 1):
        policy.count(update_kib * KIB)
        journal += update_kib * KIB
        if policy.is_due:
            before, size = sum(kept.values()), state_kib * KIB
            stay = policy.add(seq, size)
            assert stay == sorted(stay) and set(stay) <= kept.keys()
            kept = {old: kept[old] for old in stay}
            assert not kept or sum(kept.values()) + size <= journal
            assert len(kept) == len(stay)
            if before + size <= journal:
                assert sum(kept.values()) == before, "nothing had to go"
            kept[seq] = size
