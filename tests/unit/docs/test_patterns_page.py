"""The tables of docs/patterns.md are complete, add up, and name graphs and tests that exist."""

import json
import re
from collections import Counter
from pathlib import Path

from tests.support.patterns import LIBRARY

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "patterns.md").read_text()
NUMBERS = [str(number) for number in range(1, 44)]
NAMES_OF_SCORES = {"+": "direct", "+/-": "partial", "-": "none", "?": "not seen"}


def rows(heading: str) -> list[list[str]]:
    """The table that begins with this row, without its head."""
    table = PAGE[PAGE.index(f"\n{heading}") :].strip().split("\n\n")[0]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.splitlines()[2:]]


OURS = rows("| | pattern |")
OTHERS = rows("| | ours |")
SCORES = {number: score for number, _, score, *_ in OURS}


def test_every_pattern_has_a_row_in_each_table_with_the_same_score():
    assert [row[0] for row in OURS] == NUMBERS
    assert [row[:2] for row in OTHERS[:43]] == [[number, SCORES[number]] for number in NUMBERS]


def test_every_pattern_has_its_graph():
    links = {
        number: re.fullmatch(r"\[wcp\d\d\]\(\.\./graphs/library/patterns/(.*)\)", cell) for number, *_, cell, _ in OURS
    }
    graphs = {number: json.loads((LIBRARY / link[1]).read_text()) for number, link in links.items() if link}
    assert {str(graph["metadata"]["pattern"]) for graph in graphs.values()} == set(NUMBERS)
    assert {number: graph["name"] for number, graph in graphs.items()} == {
        row[0]: f"WCP-{row[0]} {row[1]}" for row in OURS
    }


def test_every_pattern_has_a_test():
    tests = "".join(path.read_text() for path in ROOT.glob("tests/*/patterns/test_*.py"))
    assert {str(int(number)) for number in re.findall(r"^def test_wcp(\d\d)_", tests, re.MULTILINE)} == set(NUMBERS)


def test_the_sums_are_right():
    direct, work_around, none = (Counter(SCORES.values())[score] for score in ("+", "+/-", "-"))
    assert f"{direct} are direct, {work_around} have a work-around, {none} are not supported." in PAGE
    columns = list(zip(*(row[1:] for row in OTHERS[:43]), strict=True))
    assert {row[0]: row[1:] for row in OTHERS[43:]} == {
        name: [str(column.count(score)) for column in columns] for score, name in NAMES_OF_SCORES.items()
    }


def test_every_work_around_and_every_gap_has_a_section_and_nothing_else_has():
    headings = " ".join(re.findall(r"^### (.*)$", PAGE, re.MULTILINE))
    assert set(re.findall(r"WCP-(\d+)", headings)) == {number for number, score in SCORES.items() if score != "+"}
