"""What is wrong with the JSON Schemas inside a definition."""

from __future__ import annotations

from typing import Any

import pytest

from graphs.schemas import schema_problems
from graphs.spec import parse_definition
from tests.unit.graphs.definitions import graph


def found(nodes: dict[str, Any] | None = None, **state: Any) -> set[tuple[str, str]]:
    spec = parse_definition(graph(nodes or {"a": {}}, state=state))
    return {(problem.path, problem.code) for problem in schema_problems(spec)}


def test_a_usable_schema_has_no_problems() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {"score": {"type": "number", "minimum": 0}},
        "properties": {"score": {"$ref": "#/$defs/score"}, "pattern": {"type": "string", "pattern": "^a+$"}},
        "patternProperties": {"^x_": True},
        "required": ["score"],
        "default": {"$ref": "not a reference"},
    }
    assert found(schema=schema, defaults={"score": 1.5, "other": None}) == set()


@pytest.mark.parametrize(
    ("schema", "path", "code"),
    [
        ({"type": "objekt"}, "/state/schema/type", "schema-invalid"),
        ({"properties": {"a": {"minimum": "1"}}}, "/state/schema/properties/a/minimum", "schema-invalid"),
        ({"properties": []}, "/state/schema/properties", "schema-invalid"),
        ({"$ref": "https://example.com/schema"}, "/state/schema/$ref", "schema-reference"),
        ({"allOf": [{"$ref": "#/$defs/none"}]}, "/state/schema/allOf/0/$ref", "schema-reference"),
        ({"allOf": [{"$ref": "#/allOf/7"}]}, "/state/schema/allOf/0/$ref", "schema-reference"),
        ({"$defs": {"a": {"$ref": "#a"}}}, "/state/schema/$defs/a/$ref", "schema-reference"),
        ({"properties": {"a": {"pattern": "(?=x)"}}}, "/state/schema/properties/a/pattern", "schema-pattern"),
        ({"patternProperties": {"(": True}}, "/state/schema/patternProperties", "schema-pattern"),
        ({"unevaluatedProperties": False}, "/state/schema/unevaluatedProperties", "schema-unsupported"),
    ],
)
def test_a_schema_that_cannot_be_used_is_a_problem_at_its_place(schema: dict[str, Any], path: str, code: str) -> None:
    assert found(schema=schema) == {(path, code)}


def test_a_default_that_the_schema_refuses_is_a_problem() -> None:
    schema = {"properties": {"n": {"$ref": "#/$defs/n"}, "m": True}, "$defs": {"n": {"type": "integer"}}}
    assert found(schema=schema, defaults={"n": "x", "m": "y"}) == {("/state/defaults/n", "default-invalid")}


def test_a_form_that_is_no_schema_is_a_problem_of_its_node() -> None:
    spec = parse_definition(graph({"ask": {"human": {"title": "Ask", "form": {"type": 5}}}}))
    (problem,) = schema_problems(spec)
    assert (problem.code, problem.path, problem.node) == ("schema-invalid", "/nodes/ask/human/form/type", "ask")
