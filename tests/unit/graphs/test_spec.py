"""What a definition means once it is parsed, and its canonical form."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from graphs.spec import (
    Case,
    Choice,
    Dynamic,
    Each,
    ErrorCase,
    JoinSpec,
    LimitsSpec,
    MapRoute,
    NodeSpec,
    Switch,
    To,
    parse_definition,
)
from tests.unit.graphs.definitions import PUBLISHED, definitions, graph


def node(**given: Any) -> NodeSpec:
    return parse_definition(graph({"a": given, "b": {}, "c": {}})).nodes["a"]


def test_the_published_example_is_a_valid_definition_and_its_own_canonical_form() -> None:
    spec = parse_definition(PUBLISHED)
    assert spec.start_node == "extract"
    assert list(spec.nodes) == list(PUBLISHED["nodes"])
    assert spec.canonical() == PUBLISHED


def test_what_is_left_out_has_its_default() -> None:
    spec = parse_definition(graph({"a": {}}))
    assert spec.limits == LimitsSpec(
        max_steps=100_000, max_iterations=10_000, max_parallel=256, timeout_s=None, max_depth=16
    )
    assert (spec.on_failure, spec.durability, spec.retention) == ("drain", "sync", None)
    assert spec.nodes["a"].kind == "none"
    assert spec.nodes["a"].next is None


@pytest.mark.parametrize(
    ("given_next", "route"),
    [
        ("b", To(to=("b",))),
        ("end", To(to=("end",))),
        (["b"], To(to=("b",))),
        (["b", "c", "end"], To(to=("b", "c", "end"))),
        (
            {"condition": "x > 1", "if_true": "b", "if_false": ["b", "c"]},
            Choice(condition="x > 1", if_true=("b",), if_false=("b", "c")),
        ),
        (
            {"switch": [{"when": "x", "to": "b"}]},
            Switch(cases=(Case(when="x", to=("b",)),), default=None),
        ),
        (
            {"each": [{"when": "x", "to": ["b", "c"]}], "default": "end"},
            Each(cases=(Case(when="x", to=("b", "c")),), default=("end",)),
        ),
        (
            {"map": "= rows", "as": "row", "to": "b", "join": "c", "collect": {"k": "= row"}, "max_parallel": 3},
            MapRoute(map="= rows", as_="row", to=("b",), join="c", collect={"k": "= row"}, max_parallel=3),
        ),
        ({"map": [1, "= x"], "to": "b"}, MapRoute(map=[1, "= x"], as_="item", to=("b",))),
    ],
)
def test_every_form_of_next_becomes_its_route(given_next: Any, route: Any) -> None:
    assert node(next=given_next).next == route


def test_dynamic_targets_need_a_tool() -> None:
    assert node(tool="t", next={"dynamic": ["b", "end"]}).next == Dynamic(targets=("b", "end"))


@pytest.mark.parametrize(
    ("given_join", "join", "kind"),
    [
        ("all", JoinSpec(count=0), "all"),
        ("any", JoinSpec(count=1, rest="cancel"), "count"),
        ({"count": 1}, JoinSpec(count=1, rest="cancel"), "count"),
        ({"count": 2, "rest": "ignore"}, JoinSpec(count=2, rest="ignore"), "count"),
    ],
)
def test_every_form_of_join_is_a_count_or_all(given_join: Any, join: JoinSpec, kind: str) -> None:
    assert node(join=given_join).join == join
    assert join.kind == kind


@pytest.mark.parametrize(
    ("given_on_error", "cases"),
    [
        ("b", (ErrorCase(to=("b",)),)),
        (["b", "c"], (ErrorCase(to=("b", "c")),)),
        (
            [{"match": "HTTPError", "to": "b"}, {"to": ["b", "c"]}],
            (ErrorCase(match=("HTTPError",), to=("b",)), ErrorCase(to=("b", "c"))),
        ),
        ([{"match": ["OSError", "EOFError"], "to": "b"}], (ErrorCase(match=("OSError", "EOFError"), to=("b",)),)),
    ],
)
def test_every_form_of_on_error_is_a_list_of_cases(given_on_error: Any, cases: tuple[ErrorCase, ...]) -> None:
    assert node(on_error=given_on_error).on_error == cases


def test_shorthand_and_long_form_have_one_canonical_form() -> None:
    short = graph({"a": {"tool": "t", "join": "any", "on_error": "a", "compensate": "undo", "next": "a"}})
    long = graph(
        {
            "a": {
                "tool": "t",
                "join": {"count": 1, "rest": "cancel"},
                "on_error": [{"to": ["a"]}],
                "compensate": {"tool": "undo", "inputs": {}},
                "next": ["a"],
                "label": "",
                "outputs": None,
                "timeout_s": None,
            }
        },
        on_failure="drain",
        limits={"max_steps": 100_000},
        metadata={},
    )
    assert parse_definition(long).canonical() == short


def test_empty_outputs_differ_from_none() -> None:
    assert node(tool="t", outputs={}).outputs == {}
    assert node(tool="t").outputs is None


def test_a_whole_number_of_seconds_is_written_without_a_fraction() -> None:
    canonical = parse_definition(graph({"a": {"tool": "t", "timeout_s": 5.0}})).canonical()
    assert json.dumps(canonical["nodes"]["a"]["timeout_s"]) == "5"


@given(definitions())
def test_the_canonical_form_parses_to_an_equal_definition(definition: dict[str, Any]) -> None:
    spec = parse_definition(definition)
    canonical = spec.canonical()
    assert parse_definition(json.loads(json.dumps(canonical))) == spec
    assert parse_definition(canonical).canonical() == canonical


@given(definitions())
def test_the_hash_ignores_positions_and_the_order_of_keys(definition: dict[str, Any]) -> None:
    spec = parse_definition(definition)
    moved = {
        **definition,
        "nodes": {name: {**node, "position": {"x": 1, "y": 1}} for name, node in reversed(definition["nodes"].items())},
    }
    assert parse_definition(moved).sha256 == spec.sha256


def test_the_hash_changes_with_the_meaning() -> None:
    one, other = graph({"a": {"tool": "t"}}), graph({"a": {"tool": "u"}})
    assert parse_definition(one).sha256 != parse_definition(other).sha256


def test_the_hash_of_the_published_example_never_changes() -> None:
    """Versions are found by it; a change of the canonical form would orphan them."""
    assert parse_definition(PUBLISHED).sha256 == "353772da466d3cc536252a24716cae1d9b2ced3f5d77a47a27401316c6b72028"


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        (None, None),
        ({"days": 36_500}, {"days": 36_500}),
        ({"keep_last": 1, "days": None}, {"keep_last": 1}),
        ({"days": 1, "statuses": ["completed", "failed", "cancelled"]}, {"days": 1}),
        ({"days": 1, "statuses": ["failed"]}, {"days": 1, "statuses": ["failed"]}),
    ],
)
def test_retention_says_what_is_not_its_default(given: Any, canonical: Any) -> None:
    assert parse_definition(graph({"a": {}}, retention=given)).canonical().get("retention") == canonical


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ({"retry": {"max_attempts": 3}}, {"retry": {"max_attempts": 3}}),
        ({"retry": [{"max_attempts": 3}]}, {"retry": {"max_attempts": 3}}),
        ({"retry": [{"on": ["A"]}, {}]}, {"retry": [{"on": ["A"]}, {}]}),
        ({"on_error": [{"match": ["A"], "to": "b"}]}, {"on_error": [{"match": "A", "to": "b"}]}),
        ({"on_error": [{"match": ["A", "B"], "to": "b"}]}, {"on_error": [{"match": ["A", "B"], "to": "b"}]}),
    ],
)
def test_a_list_of_one_is_written_as_that_one(given: Any, canonical: Any) -> None:
    assert node(tool="t", **given).to_json() == {"tool": "t", **canonical}
