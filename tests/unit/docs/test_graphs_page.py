"""The examples of docs/graphs.md are graphs, and its tables name what there is."""

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from graphs.lint import lint
from graphs.plan import compile_plan
from graphs.spec import GraphSpec, LimitsSpec, NodeSpec, RetrySpec, parse_definition

PAGE = (Path(__file__).parents[3] / "docs" / "graphs.md").read_text()
EXAMPLES = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]


def whole(example: dict[str, Any]) -> dict[str, Any]:
    """An example that shows nodes only is a graph that starts at the first."""
    return {"name": "example", "start_node": next(iter(example["nodes"])), **example}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: next(iter(example["nodes"])))
def test_an_example_is_a_graph_that_compiles(example: dict[str, Any]):
    spec = parse_definition(whole(example))
    compile_plan(spec)
    surprises = {problem.code for problem in lint(spec, tools={}) if problem.level == "error"}
    assert surprises <= {"unknown-tool", "undefined-name"}


@pytest.mark.parametrize("part", [LimitsSpec, RetrySpec])
def test_the_tables_name_every_key(part: type):
    missing = [field.name for field in fields(part) if f"{field.name}`" not in PAGE]
    assert missing == []


def test_the_page_speaks_of_every_key_of_a_node():
    missing = {
        field.name for field in fields(NodeSpec) if f'"{field.name}"' not in PAGE and f"`{field.name}" not in PAGE
    }
    assert missing == set()


def test_the_page_speaks_of_every_key_of_a_definition():
    missing = {
        field.name for field in fields(GraphSpec) if f'"{field.name}"' not in PAGE and f"`{field.name}" not in PAGE
    }
    assert missing == set()
