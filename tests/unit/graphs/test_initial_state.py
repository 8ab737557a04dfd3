"""Which keys the form that starts a run asks for."""

from __future__ import annotations

from typing import Any

from graphs.forms import StateKey
from graphs.initial_state import state_keys
from graphs.lint import lint
from graphs.spec import parse_definition
from tools import registry

TEXT = {"type": "string"}


def keys_of(*, state: dict[str, Any], **node: Any) -> list[StateKey]:
    spec = parse_definition({"name": "g", "start_node": "a", "nodes": {"a": node}, "state": state})
    return state_keys(spec, lint(spec, tools={tool.name: tool for tool in registry.all()}))


def test_a_schema_says_which_keys_there_are() -> None:
    schema = {"properties": {"text": TEXT, "any": True, "limit": {"type": "integer"}}, "required": ["text"]}
    assert keys_of(state={"schema": schema, "defaults": {"limit": 3}}, tool="extract_functions") == [
        StateKey(name="text", schema=TEXT, required=True),
        StateKey(name="limit", schema={"type": "integer"}, default=3, note="optional"),
    ]


def test_without_a_schema_the_arguments_that_nothing_gives_are_asked_for() -> None:
    assert keys_of(state={}, tool="extract_functions") == [
        StateKey(name="code", schema=TEXT, required=True, note="read by a")
    ]


def test_names_that_expressions_read_are_asked_for_as_json() -> None:
    assert keys_of(state={}, tool="noop", outputs={"double": "= 2 * number"}) == [
        StateKey(name="number", required=True, note="read by a")
    ]


def test_a_key_with_a_default_is_asked_for_once() -> None:
    assert keys_of(state={"defaults": {"code": "x = 1"}}, tool="extract_functions") == [
        StateKey(name="code", schema=TEXT, default="x = 1", note="optional")
    ]


def test_a_key_that_another_branch_may_write_in_time_is_asked_for_and_not_required() -> None:
    nodes = {
        "a": {"next": ["w", "r"]},
        "w": {"tool": "noop", "outputs": {"late": 1}},
        "r": {"tool": "noop", "outputs": {"double": "= 2 * late", "more": "= never"}},
    }
    spec = parse_definition({"name": "g", "start_node": "a", "nodes": nodes})
    keys = state_keys(spec, lint(spec, tools={tool.name: tool for tool in registry.all()}))
    assert {key.name: key.required for key in keys} == {"late": False, "never": True}


def test_required_keys_are_asked_for_first_in_the_order_in_which_they_are_listed() -> None:
    schema = {"properties": {"age": TEXT, "name": TEXT, "email": TEXT}, "required": ["name", "email"]}
    assert [key.name for key in keys_of(state={"schema": schema}, tool="noop")] == ["name", "email", "age"]
