"""The page on control names what there is, and its examples are accepted."""

import json
import re
from pathlib import Path

import pytest

from graphs.plan import compile_plan
from graphs.spec import parse_definition
from runs.api import control
from runs.api.control_serializers import BreakpointsBody, EditBody

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "control.md").read_text()
EXAMPLES = {
    next(iter(example)): example for example in map(json.loads, re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))
}


@pytest.mark.parametrize(("key", "body"), [("breakpoints", BreakpointsBody), ("values", EditBody)])
def test_the_examples_of_bodies_are_accepted(key: str, body: type) -> None:
    serializer = body(data=EXAMPLES[key])
    assert serializer.is_valid(), serializer.errors


def test_the_example_of_a_graph_compiles() -> None:
    compile_plan(parse_definition({"name": "example", "start_node": "book", **EXAMPLES["nodes"]}))


def test_the_page_names_every_verb() -> None:
    verbs = {verb.removeprefix("set_") for verb in control.ControlMixin.queries}
    assert {verb for verb in verbs if f"…/{verb}/`" not in PAGE} == set()


def test_the_page_names_every_code_of_a_reason_and_of_a_refusal() -> None:
    sources = [(ROOT / path).read_text() for path in ("runs/explain.py", "runs/engine/explaining.py")]
    reasons = {code for text in sources for code in re.findall(r'(?:because=|_at\(branch, )"([a-z-]+)"', text)}
    refusals = set()
    for path in ("runs/control.py", "runs/standing.py"):
        refusals |= set(
            re.findall(r'(?:conflict\(\s*standing|ControlConflict\()(?:, )?\s*"([a-z-]+)"', (ROOT / path).read_text())
        )
    assert {code for code in reasons | refusals if f"`{code}`" not in PAGE} == set()
    assert len(reasons) > 10
    assert len(refusals) > 8
