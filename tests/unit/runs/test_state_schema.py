"""What a schema says about states, each complaint at its place."""

from typing import Any

import pytest

from runs import schema as schemas
from runs.engine.merging import Changed
from runs.schema import StateSchema
from tests.unit.engine.driving import Run


def test_every_place_is_named_by_its_json_pointer() -> None:
    inner = {"type": "object", "properties": {"~": {"type": "integer"}}}
    schema = StateSchema({"type": "object", "properties": {"a/b": inner}, "additionalProperties": False})
    assert [detail.path for detail in schema.check_input({"a/b": {"~": "x"}})] == ["/a~1b/~0"]
    found = schema.check_values([("a/b", {"~": "x"}), ("c/d", 1)])
    assert [detail.path for detail in found] == ["/a~1b/~0", "/c~1d"]


STRINGS = {"type": "array", "items": {"type": "string"}}


def appended(length: int, value: Any) -> Changed:
    """What a step changes that appends a value to a list of so many strings."""
    run = Run({"s": {}}, state={"log": ["x"] * length})
    return Changed(run.state.branches[run.start("s").step], {"log": value}, {}, ())


def of_log(schema: dict[str, Any]) -> StateSchema:
    return StateSchema({"type": "object", "properties": {"log": schema}})


@pytest.mark.parametrize("more", [{}, {"title": "Log", "description": "All that was done.", "type": ["array", "null"]}])
def test_of_a_list_that_grows_only_what_is_added_is_checked(monkeypatch: pytest.MonkeyPatch, more: dict) -> None:
    checked: list[int] = []
    complaints = schemas.complaints

    def counted(validator: Any, value: Any, *, at_most: int) -> Any:
        checked.append(len(value))
        return complaints(validator, value, at_most=at_most)

    monkeypatch.setattr(schemas, "complaints", counted)
    changes = appended(10_000, "y")
    assert of_log({**STRINGS, **more}).check_changes(changes) == []
    assert checked == [1]
    assert changes.added("log") is not None, "the list was put together for nothing"


def test_a_bad_element_is_named_by_its_place_in_the_whole_list() -> None:
    (detail,) = of_log(STRINGS).check_changes(appended(3, 7))
    assert (detail.path, detail.code) == ("/log/3", "state-schema")
    whole = of_log(STRINGS).check_values([("log", ["x", "x", "x", 7])])
    assert whole == [detail]


@pytest.mark.parametrize(
    "more",
    [{"maxItems": 3}, {"uniqueItems": True}, {"prefixItems": [{"type": "null"}]}, {"contains": {"const": "z"}}],
)
def test_what_is_said_of_a_list_as_a_whole_is_checked_of_the_whole(more: dict[str, Any]) -> None:
    assert of_log({**STRINGS, **more}).check_changes(appended(3, "y"))


def test_a_value_that_does_not_only_grow_is_checked_as_a_whole() -> None:
    run = Run({"s": {}}, state={"log": ["x"]})
    replaced = Changed(run.state.branches[run.start("s").step], {}, {"log": ["x", 7, "y"]}, ())
    assert [detail.path for detail in of_log(STRINGS).check_changes(replaced)] == ["/log/1"]
    assert of_log({"type": "null", "items": {}}).check_changes(appended(1, "y")), "a list is none of this type"
