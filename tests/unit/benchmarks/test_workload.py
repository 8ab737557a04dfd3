import time

from benchmarks.workload import READINGS, burn, chunk, reading_figures, sample


def test_chunks_have_the_wanted_length_and_differ() -> None:
    assert {len(chunk(number, characters)) for number in (0, 99_999) for characters in (64, 1024)} == {64, 1024}
    assert chunk(1, 64) != chunk(2, 64)


def test_a_sample_is_the_same_on_each_side() -> None:
    assert sample(range(1600)) == sample(range(1600))
    assert len(set(sample(range(1600)))) == READINGS


def test_readings_are_timed_one_by_one() -> None:
    read: list[int] = []
    figures = reading_figures(read.append, [3, 1, 2])
    assert read == [3, 1, 2]
    assert 0 <= figures["read_p50_ms"] <= figures["slowest_read_ms"]


def test_burning_uses_up_the_thread_s_own_time() -> None:
    before = time.thread_time()
    burn(0.01)
    assert time.thread_time() - before >= 0.01
