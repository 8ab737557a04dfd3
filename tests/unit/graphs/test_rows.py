"""Rows and definitions: nothing is lost between them, and nothing in a row is ignored."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from graphs.models import Edge, GraphVersion, Node
from graphs.rows import Rows, definition_of, rows_of
from graphs.spec import DefinitionInvalid, parse_definition
from tests.unit.graphs.definitions import PUBLISHED, definitions, graph


def rows(definition: dict[str, Any]) -> tuple[GraphVersion, Rows]:
    version = GraphVersion()
    made = rows_of(parse_definition(definition), version)
    for column, value in made.columns.items():
        setattr(version, column, value)
    return version, made


def refused(version: GraphVersion, made: Rows) -> set[tuple[str, str]]:
    with pytest.raises(DefinitionInvalid) as caught:
        parse_definition(definition_of(version, made.nodes, made.edges))
    return {(problem.path, problem.code) for problem in caught.value.problems}


@given(definitions())
def test_a_definition_comes_back_from_its_rows_unchanged(definition: dict[str, Any]) -> None:
    version, made = rows(definition)
    spec = parse_definition(definition)
    back = parse_definition(definition_of(version, made.nodes, made.edges))
    assert back == spec
    assert list(back.nodes) == list(spec.nodes)


def test_edges_come_back_right_whatever_their_order() -> None:
    version, made = rows(
        graph({"a": {"next": {"switch": [{"when": "x", "to": ["b", "a"]}, {"when": "y", "to": "b"}]}}, "b": {}})
    )
    back = definition_of(version, made.nodes, reversed(made.edges))
    assert back["nodes"]["a"]["next"] == {"switch": [{"when": "x", "to": ["b", "a"]}, {"when": "y", "to": "b"}]}


def test_the_rows_of_the_published_example_say_what_it_does() -> None:
    _, made = rows(PUBLISHED)
    assert [(node.name, node.tool, node.routing) for node in made.nodes][-1] == (
        "evaluate_quality",
        "evaluate_quality",
        "condition",
    )
    assert made.nodes[-1].expression == "quality_score >= 7 or iteration >= 5"
    assert [(edge.source, edge.slot, edge.target) for edge in made.edges][-2:] == [
        ("evaluate_quality", "if_true", "end"),
        ("evaluate_quality", "if_false", "check_complexity"),
    ]


@pytest.mark.parametrize(
    ("edge", "path", "code"),
    [
        (Edge(source="a", slot="when", target="b"), "/nodes/a", "edge-without-effect"),
        (Edge(source="a", slot="on_timeout", target="b"), "/nodes/a", "edge-without-effect"),
        (Edge(source="a", slot="on_due", target="b"), "/nodes/a", "edge-without-effect"),
        (Edge(source="a", slot="any", target="b"), "/nodes/a", "edge-without-effect"),
        (Edge(source="w", slot="any", position=2, target="b"), "/nodes/w", "edge-without-effect"),
        (Edge(source="gone", slot="next", target="b"), "/nodes/gone", "unknown-source"),
        (Edge(source="a", slot="next", target="gone"), "/nodes/a/next/1", "unknown-target"),
        (Edge(source="a", slot="next", target="b", expression="x"), "/nodes/a", "column-without-effect"),
        (Edge(source="b", slot="when", position=0, target="a", expression="y"), "/nodes/b", "unlike-expressions"),
    ],
)
def test_an_edge_that_would_have_no_effect_is_refused(edge: Edge, path: str, code: str) -> None:
    version, made = rows(
        graph(
            {
                "a": {"next": "b"},
                "b": {"next": {"switch": [{"when": "x", "to": "a"}]}},
                "w": {"wait": {"any": [{"seconds": 1}, {"signal": "s"}]}},
            }
        )
    )
    made.edges.append(edge)
    assert (path, code) in refused(version, made)


@pytest.mark.parametrize(
    ("change", "path", "code"),
    [
        ({"inputs": "{not json"}, "/nodes/a/inputs", "json-syntax"),
        ({"inputs": "[]"}, "/nodes/a/inputs", "wrong-type"),
        ({"expression": "x > 1"}, "/nodes/a/next", "column-without-effect"),
        ({"map_options": "{}"}, "/nodes/a/next", "column-without-effect"),
        ({"routing": Node.Routing.NONE}, "/nodes/a", "edge-without-effect"),
        ({"routing": Node.Routing.CONDITION}, "/nodes/a", "edge-without-effect"),
        ({"x": 1.0}, "/nodes/a/position/y", "missing-key"),
        ({"human": '{"title": "x"}'}, "/nodes/a/human", "several-kinds"),
    ],
)
def test_a_column_that_is_wrong_or_has_no_effect_is_refused(change: dict[str, Any], path: str, code: str) -> None:
    version, made = rows(graph({"a": {"tool": "t", "next": "b"}, "b": {}}))
    for column, value in change.items():
        setattr(made.nodes[0], column, value)
    assert (path, code) in refused(version, made)


@pytest.mark.parametrize(
    ("routing", "path", "code"),
    [
        (Node.Routing.TO, "/nodes/a/next", "empty"),
        (Node.Routing.FORK, "/nodes/a/next", "empty"),
        (Node.Routing.CONDITION, "/nodes/a/next/if_true", "missing-key"),
        (Node.Routing.SWITCH, "/nodes/a/next/switch", "empty"),
        (Node.Routing.EACH, "/nodes/a/next/each", "empty"),
        (Node.Routing.MAP, "/nodes/a/next/to", "missing-key"),
        (Node.Routing.DYNAMIC, "/nodes/a/next/dynamic", "route-undeclared"),
    ],
)
def test_a_routing_without_its_edges_is_refused(routing: str, path: str, code: str) -> None:
    version, made = rows(graph({"a": {"tool": "t"}}))
    made.nodes[0].routing = routing
    assert (path, code) in refused(version, made)


def test_map_options_that_are_no_object_are_refused() -> None:
    version, made = rows(graph({"a": {"next": {"map": "= x", "to": "b"}}, "b": {}}))
    made.nodes[0].map_options = "[1]"
    assert ("/nodes/a/next", "wrong-type") in refused(version, made)


def test_an_empty_draft_is_refused_with_what_is_missing() -> None:
    version, made = rows(graph({"a": {}}))
    version.start_node = ""
    made.nodes.clear()
    assert refused(version, made) == {("/start_node", "unknown-target"), ("/nodes", "empty")}
