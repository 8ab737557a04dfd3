import pytest

from runs.driver.logs import CUT, BoundedLog, BoundedStream, clean, cut


def lines_of(*messages: str, line: int = 10, step: int = 20) -> list[tuple[str, str]]:
    out: list[tuple[str, str]] = []
    log = BoundedLog(emit=lambda message, level: out.append((message, level)), max_line_bytes=line, max_step_bytes=step)
    for message in messages:
        log(message)
    return out


def test_a_line_as_long_as_the_limit_is_kept_whole_and_one_more_byte_is_cut():
    assert lines_of("x" * 10, line=10)[0][0] == "x" * 10
    assert lines_of("x" * 21, line=20, step=100)[0][0].endswith("[cut]")


def test_past_the_limit_of_a_step_one_marker_stands_for_the_rest():
    out = lines_of("x" * 10, "y" * 10, "z", "z", "z")
    assert [message for message, _ in out[:2]] == ["x" * 10, "y" * 10]
    assert len(out) == 3
    assert out[2][1] == "warning"
    assert "20 bytes" in out[2][0]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (["x" * 20], ["x" * 20]),
        (["x" * 21], ["x" * 11 + CUT]),
        (["x" * 10, "y" * 10], ["x" * 10, "y" * 10]),
        (["x" * 10, "y" * 10, "z", "z"], ["x" * 10, "y" * 10, CUT]),
        (["x" * 20, "", "z", "", "z"], ["x" * 20, CUT]),
        (["", "ä" * 10, "a\x00"], ["ä" * 10, CUT]),
    ],
)
def test_a_stream_ends_with_a_marker_past_its_limit(said, kept):
    out: list[str] = []
    stream = BoundedStream(emit=out.append, max_step_bytes=20)
    for text in said:
        stream(text)
    assert out == kept


@pytest.mark.parametrize(("said", "kept"), [("a\x00b", "a\ufffdb"), ("\ud800", "?"), (42, "42")])
def test_what_no_database_stores_is_replaced(said, kept):
    assert clean(said) == kept


def test_cutting_never_splits_a_character():
    assert len(cut("ä" * 100, 31).encode()) <= 31


def test_an_unknown_level_counts_as_info():
    out: list[tuple[str, str]] = []
    log = BoundedLog(emit=lambda message, level: out.append((message, level)), max_line_bytes=10, max_step_bytes=10)
    log("a", level="shout")
    assert out == [("a", "info")]
