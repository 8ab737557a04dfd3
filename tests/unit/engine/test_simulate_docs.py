"""The examples of docs/testing.md are tests that pass."""

import re
from pathlib import Path

import pytest

from runs.engine.simulate.results import SimulatedStep, Simulation

PAGE = (Path(__file__).parents[3] / "docs" / "testing.md").read_text()
EXAMPLES: dict[str, object] = {"__name__": "examples"}
for example in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
    exec(example, EXAMPLES)  # noqa: S102 - the page is ours
TESTS = [name for name in EXAMPLES if name.startswith("test_")]


@pytest.mark.parametrize("name", TESTS)
def test_an_example_holds(name):
    EXAMPLES[name]()


def test_the_page_has_examples_and_names_all_that_a_result_has():
    assert len(TESTS) == 7
    more = ("ran", "undone", "waits_at", "meaning")
    parts = [*Simulation.__dataclass_fields__, *SimulatedStep.__dataclass_fields__, *more]
    assert [part for part in parts if part != "id" and f"`{part}`" not in PAGE] == []
