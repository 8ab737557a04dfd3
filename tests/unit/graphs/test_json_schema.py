"""JSON Schema with schemas from strangers: right for honest ones, bounded for hostile ones."""

from __future__ import annotations

import time
from typing import Any

import pytest

from graphs.json_schema import compile_pattern, compile_schema, complaints, may_be_secret


def accepts(schema: dict[str, Any], value: Any) -> bool:
    return not complaints(compile_schema(schema), value, at_most=10)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer"}, 3, "3"),
        ({"type": "string", "pattern": "^a+$"}, "aa", "ab"),
        ({"pattern": "^a"}, 5, "b"),
        ({"properties": {"a": {"type": "null"}}, "additionalProperties": False}, {"a": None}, {"b": 1}),
        ({"additionalProperties": {"type": "string"}}, {"a": "x"}, {"a": 1}),
        ({"patternProperties": {"^s_": {"type": "string"}}, "additionalProperties": False}, {"s_a": ""}, {"x": 1}),
        ({"patternProperties": {"^s_": {"type": "string"}}}, {"x": 1}, {"s_a": 1}),
        ({"uniqueItems": True}, [1, True, "1", [1], [True], {"a": 1}], [{"a": [1]}, {"a": [1.0]}]),
        ({"$ref": "#/$defs/n", "$defs": {"n": {"type": "number"}}}, 1.5, "x"),
        ({"anyOf": [{"const": 1}, {"enum": ["a", "b"]}]}, "b", "c"),
    ],
)
def test_a_schema_means_what_the_standard_says(schema: dict[str, Any], good: Any, bad: Any) -> None:
    assert accepts(schema, good)
    if bad is not ...:
        assert not accepts(schema, bad)


def test_a_complaint_names_the_place_of_the_value() -> None:
    schema = compile_schema({"properties": {"a": {"items": {"additionalProperties": {"type": "string"}}}}})
    (error,) = complaints(schema, {"a": [{}, {"k": 1}]}, at_most=5)
    assert list(error.absolute_path) == ["a", 1, "k"]


def test_only_as_many_complaints_are_collected_as_are_wanted() -> None:
    assert len(complaints(compile_schema({"items": {"type": "string"}}), [1] * 100, at_most=3)) == 3


DOUBLING = {
    "$defs": {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)} | {"d40": True},
    "$ref": "#/$defs/d0",
}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"pattern": "^(a+)+$"}, "a" * 50_000 + "!"),
        ({"pattern": "^(a|a)*b$"}, "a" * 50_000),
        ({"patternProperties": {"^(a+)+$": True}}, {"a" * 50_000 + "!": 1}),
        ({"uniqueItems": True}, [{"n": number} for number in range(20_000)]),
        ({"$ref": "#"}, 1),
        ({"allOf": [{"$ref": "#"}, {"$ref": "#"}]}, 1),
        (DOUBLING, 1),
        ({"items": {"enum": list(range(20_000))}}, list(range(20_000))),
    ],
)
def test_a_hostile_schema_is_quick_to_check(schema: dict[str, Any], value: Any) -> None:
    started = time.process_time()
    complaints(compile_schema(schema), value, at_most=1)
    assert time.process_time() - started < 5


@pytest.mark.parametrize("schema", [{"$ref": "#"}, DOUBLING])
def test_a_schema_that_takes_too_much_work_accepts_nothing(schema: dict[str, Any]) -> None:
    (error,) = complaints(compile_schema(schema), 1, at_most=1)
    assert "too much work" in error.message


def test_another_document_is_never_fetched() -> None:
    (error,) = complaints(compile_schema({"$ref": "http://localhost:1/schema"}), 1, at_most=1)
    assert "does not contain" in error.message


def test_a_long_list_is_no_hostile_one() -> None:
    assert accepts({"items": {"type": "object", "properties": {"a": {"type": "integer"}}}}, [{"a": 1}] * 5_000)


@pytest.mark.parametrize("pattern", ["(", "(a)\\1", "(?=a)"])
def test_a_pattern_that_re2_does_not_know_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError):
        compile_pattern(pattern)


PIN = {"type": "string", "format": "password"}


@pytest.mark.parametrize(
    ("schema", "may"),
    [
        ({}, False),
        ({"properties": {"key": {"type": "string"}}}, False),
        ({"properties": {"key": PIN}}, True),
        ({"properties": {"key": {"items": {"properties": {"pin": {"writeOnly": True}}}}}}, True),
        ({"properties": {"key": {"type": "string"}, "other": PIN}}, False),
        ({"properties": {"other": PIN}}, True),  # nothing is said of it
        ({"properties": {"key": {"$ref": "#/$defs/pin"}}, "$defs": {"pin": PIN}}, True),
        ({"properties": {"key": {}}, "allOf": [{"properties": {"key": PIN}}]}, True),
        ({"additionalProperties": PIN}, True),
        ({"properties": {"key": {}}, "additionalProperties": PIN}, False),
        ({"properties": {"key": {}}, "patternProperties": {"^k": PIN}}, True),
        ({"properties": {"key": {}}, "patternProperties": {"^other": PIN}}, False),
        ({"patternProperties": {"^k": {}}, "additionalProperties": PIN}, False),
        ({"properties": {"key": {}}, "dependentSchemas": {"other": {"properties": {"key": PIN}}}}, True),
        ({"properties": {"key": {}}, "writeOnly": True}, True),
    ],
)
def test_a_property_may_be_secret_unless_the_schema_plainly_says_that_it_is_not(
    schema: dict[str, Any], may: bool
) -> None:
    assert may_be_secret(schema, "key") is may
