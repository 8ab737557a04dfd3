"""Every rule of lint: a graph that it finds fault with, and one like it that it leaves alone."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from graphs.errors import Problem
from graphs.lint import RULES, lint
from graphs.spec import parse_definition
from tests.unit.graphs.definitions import PUBLISHED, definitions, graph

Found = set[tuple[str, str, str]]


@dataclass(frozen=True)
class Parameter:
    name: str
    required: bool = True
    kind: str = "argument"


@dataclass(frozen=True)
class Tool:
    parameters: tuple[Parameter, ...] = ()
    result_schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "null"})
    effect: str = "write"
    atomic: bool = False


def writing(*keys: str) -> Tool:
    return Tool(result_schema={"type": "object", "properties": {key: {} for key in keys}, "required": list(keys)})


TOOLS: dict[str, Tool] = {
    "silent": Tool(),
    "any": Tool(result_schema={}),
    "takes": Tool(parameters=(Parameter("x"), Parameter("y", required=False), Parameter("ctx", kind="context"))),
    "writes_x": writing("x"),
    "reads": Tool(effect="read"),
    "books": Tool(atomic=True),
}


def problems(definition: dict[str, Any], tools: Mapping[str, Tool] = TOOLS) -> list[Problem]:
    return lint(parse_definition(definition), tools=tools, on_sqlite=True)


def found(rule: str, definition: dict[str, Any]) -> set[tuple[str, str]]:
    """Where the rule finds fault, and how bad."""
    return {(problem.level, problem.path) for problem in problems(definition) if problem.code == rule}


def call(tool: str = "silent", to: Any = "end", **options: Any) -> dict[str, Any]:
    return {"tool": tool, "next": to, **options}


def choice(if_true: Any, if_false: Any, condition: str = "exists(q)") -> dict[str, Any]:
    return {"condition": condition, "if_true": if_true, "if_false": if_false}


CLOSED = {"type": "object", "properties": {"known": {}}, "additionalProperties": False}


def asking_for_a_pin(**options: Any) -> dict[str, Any]:
    form = {
        "properties": {"ok": {"type": "boolean"}, "pin": {"$ref": "#/$defs/pin"}},
        "$defs": {"pin": {"type": "string", "format": "password"}},
    }
    return {"human": {"title": "?", "form": form}, **options}


def marking(key: str) -> dict[str, Any]:
    return {"properties": {key: {"writeOnly": True}}}


@dataclass(frozen=True)
class Case:
    """A graph with what the rule finds in it, and a graph in which it finds nothing."""

    rule: str
    bad: dict[str, Any]
    finds: set[tuple[str, str]]
    good: dict[str, Any]


CASES = [
    # ---------------------------------------------------------------- calls
    Case(
        "unknown-tool",
        graph({"a": call("slient")}),
        {("error", "/nodes/a/tool")},
        graph({"a": call("silent")}),
    ),
    Case(
        "unknown-tool",
        graph({"a": call(compensate={"tool": "nope"})}),
        {("error", "/nodes/a/compensate/tool")},
        graph({"a": call(compensate="silent")}),
    ),
    Case(
        "unknown-argument",
        graph({"a": call("takes", inputs={"x": 1, "z": 1})}),
        {("error", "/nodes/a/inputs/z")},
        graph({"a": call("takes", inputs={"x": 1, "y": 2})}),
    ),
    Case(
        "unknown-argument",
        graph({"a": call("takes", inputs={"x": 1, "ctx": 1})}),
        {("error", "/nodes/a/inputs/ctx")},
        graph({"a": call("unknown tool", inputs={"x": 1})}),
    ),
    Case(
        "missing-argument",
        graph({"a": call("takes")}, state={"schema": CLOSED}),
        {("error", "/nodes/a/tool")},
        graph({"a": call("takes", inputs={"x": "= known"})}, state={"schema": CLOSED}),
    ),
    Case(
        "missing-argument",
        graph({"a": call("takes", inputs={"y": 1}), "b": call("takes")}, state={"schema": CLOSED}, start_node="a"),
        {("error", "/nodes/a/tool"), ("error", "/nodes/b/tool")},
        graph(
            {
                "a": {"next": {"map": "= known", "as": "x", "to": "b", "join": "end"}},
                "b": call("takes", inputs={"y": "= index"}),
            },
            state={"schema": CLOSED},
        ),
    ),
    Case(
        "cache-of-effect",
        graph({"a": call(cache={"ttl_s": 5})}),
        {("error", "/nodes/a/cache")},
        graph({"a": call("reads", cache={"ttl_s": 5})}),
    ),
    Case(
        "atomic-elsewhere",
        graph({"a": call("books", executor="process"), "b": call("books", executor="inline")}, start_node="a"),
        {("error", "/nodes/a/executor"), ("error", "/nodes/b/executor")},
        graph({"a": call("books", "b"), "b": call("books", executor="thread")}),
    ),
    Case(
        "atomic-on-sqlite",
        graph({"a": call("books", compensate="books")}),
        {("info", "/nodes/a/tool"), ("info", "/nodes/a/compensate/tool")},
        graph({"a": call("silent")}),
    ),
    Case(
        "unknown-reducer",
        graph({"a": {}}, state={"reducers": {"x": "appendd", "y/z": "weigh@1", "ok": "append"}}),
        {("error", "/state/reducers/x"), ("error", "/state/reducers/y~1z")},
        graph({"a": {}}, state={"reducers": {"x": "union"}}),
    ),
    # ---------------------------------------------------------------- names
    Case(
        "undefined-name",
        graph({"a": {"next": choice("end", "a", "unknown > 3")}}, state={"schema": CLOSED}),
        {("error", "/nodes/a/next/condition")},
        graph({"a": {"next": choice("end", "a", "known > default(unknown, 3)")}}, state={"schema": CLOSED}),
    ),
    Case(
        "undefined-name",
        graph({"a": call(inputs={}, to=choice("end", "b", "result > error")), "b": {"outputs": {"k": "= index"}}}),
        {("warning", "/nodes/a/next/condition"), ("warning", "/nodes/b/outputs/k")},
        graph({"a": call(outputs={"k": "= result", "e": "= state"}, on_error="b"), "b": {"outputs": {"m": "= error"}}}),
    ),
    Case(
        "undefined-name",
        graph(
            {"m": {"next": {"map": "= rows", "as": "row", "to": "w"}}, "w": call(), "o": {"outputs": {"k": "= row"}}}
        ),
        {("warning", "/nodes/o/outputs/k")},
        graph(
            {
                "m": {"next": {"map": "= rows", "as": "row", "to": "w", "collect": {"c": "= [row, index, k]"}}},
                "w": call(outputs={"k": "= [row, index]"}),
            }
        ),
    ),
    Case(
        "key-from-input",
        graph({"a": call("takes", "b"), "b": {"next": choice("end", "a", "later > 1")}}),
        {("info", "/nodes/a/tool"), ("info", "/nodes/b/next/condition")},
        graph(
            {"a": call("takes", "b"), "b": {"next": choice("end", "a", "later > 1")}},
            state={"defaults": {"x": 1}, "schema": {"required": ["later"]}},
        ),
    ),
    Case(
        "key-from-input",
        graph({"a": call("takes", "b"), "b": call("writes_x", "a")}),
        {("info", "/nodes/a/tool")},
        graph({"w": call("writes_x", "a"), "a": call("takes", choice("w", "end", "x"))}),
    ),
    Case(
        "key-from-input",
        graph({"a": call("writes_x", choice("a", "end", "y > 1"))}),
        {("info", "/nodes/a/next/condition")},
        graph({"a": call("writes_x", choice("a", "end", "x > 1"))}),
    ),
    Case(
        "key-from-input",
        graph({"a": {"next": {"map": "= rows", "to": "w"}}, "w": {"wait": {"seconds": "= delay"}}}),
        {("info", "/nodes/a/next/map"), ("info", "/nodes/w/wait/seconds")},
        graph(
            {"s": call("any", "a"), "a": {"next": {"map": "= rows", "to": "w"}}, "w": {"wait": {"seconds": "= delay"}}}
        ),
    ),
    Case(
        "name-shadowed",
        graph({"a": {"outputs": {"error": 1}}}, state={"defaults": {"index": 1}}),
        {("warning", "/state/defaults/index"), ("warning", "/nodes/a/outputs/error")},
        graph({"a": {"outputs": {"errors": 1}}}),
    ),
    Case(
        "name-shadowed",
        graph({"a": {"next": {"map": [1], "as": "row", "to": "end"}}}, state={"defaults": {"row": 1}}),
        {("warning", "/nodes/a/next/as")},
        graph({"a": {"next": {"map": [1], "as": "row", "to": "end"}}}, state={"defaults": {"rows": 1}}),
    ),
    # ---------------------------------------------------------------- flow
    Case(
        "unreachable",
        graph({"a": call(), "b": call(to="c"), "c": call()}),
        {("warning", "/nodes/b"), ("warning", "/nodes/c")},
        graph({"a": call(to=["b", "c"]), "b": call(), "c": call()}),
    ),
    Case(
        "unreachable",
        graph({"a": {"next": {"map": [1], "to": "w", "join": "end"}}, "w": call(), "x": call()}),
        {("warning", "/nodes/x")},
        graph({"a": {"next": {"map": [1], "to": "w", "join": "x"}, "on_error": "y"}, "w": {}, "x": {}, "y": {}}),
    ),
    # a -> b <-> c
    Case(
        "loop-without-exit",
        graph({"a": call(to="b"), "b": call(to="c"), "c": call(to="b")}),
        {("warning", "/nodes/b")},
        graph({"a": call(to="b"), "b": call(to="c"), "c": call(to=choice("b", "end"))}),
    ),
    Case(
        "never-ends",
        graph({"a": call(to="b"), "b": call(to="c"), "c": call(to="b")}),
        {("warning", "/nodes/a")},
        graph({"a": call(to="b"), "b": call(to="c"), "c": call(to="b", on_error="end")}),
    ),
    Case(
        "fork-duplicate-target",
        graph({"a": call(to=["b", "b"]), "b": call(on_error=["end", "end"])}),
        {("warning", "/nodes/a/next"), ("warning", "/nodes/b/on_error/0/to")},
        graph({"a": call(to=["b", "end"]), "b": call()}),
    ),
    # s -> [a, b] -> s
    Case(
        "fork-multiplies",
        graph({"s": call(to=["a", "b"]), "a": call(to="s"), "b": call(to=choice("s", "end"))}),
        {("error", "/nodes/s/next")},
        graph({"s": call(to=["a", "b"]), "a": call(to="j"), "b": call(to="j"), "j": {"join": "all", "next": "s"}}),
    ),
    Case(
        "fork-multiplies",
        graph(
            {
                "s": {"next": {"each": [{"when": "q", "to": "a"}, {"when": "r", "to": "b"}]}},
                "a": call(to="s"),
                "b": call(to="s"),
            }
        ),
        {("warning", "/nodes/s/next")},
        graph({"s": call(to=choice("a", "b")), "a": call(to="s"), "b": call(to="s")}),
    ),
    # s -> [a, b] -> m
    Case(
        "merge-without-join",
        graph({"s": call(to=["a", "b"]), "a": call(to="m"), "b": call(to="m"), "m": call(to="n"), "n": call()}),
        {("warning", "/nodes/m")},
        graph({"s": call(to=["a", "b"]), "a": call(to="m"), "b": call(to="m"), "m": call(join="all")}),
    ),
    Case(
        "merge-without-join",
        graph({"s": call(to=["a", "b"]), "a": call(), "b": call(to="a")}),
        {("warning", "/nodes/a")},
        graph({"s": call(to=choice("a", "b")), "a": call(), "b": call(to="a")}),
    ),
    # E10: s -> [l, w -> (s | e)], fire and forget in a loop
    Case(
        "merge-without-join",
        graph({"s": call(to=["a", "b"]), "a": call(to="b"), "b": call()}),
        {("warning", "/nodes/b")},
        graph({"s": call(to=["l", "w"]), "l": call(), "w": call(to=choice("s", "e")), "e": call()}),
    ),
    # ---------------------------------------------------------------- joins
    # E4: s -> [j1, j2]; j1 -> (j2 | e); j2 -> (j1 | e)
    Case(
        "join-mutual",
        graph(
            {
                "s": call(to=["j1", "j2"]),
                "j1": call(join="all", to=choice("j2", "e")),
                "j2": call(join="all", to=choice("j1", "e")),
                "e": call(),
            }
        ),
        {("warning", "/nodes/j2/join")},
        graph(
            {
                "s": call(to=["a", "b"]),
                "a": call(to="j1"),
                "b": call(to="j1"),
                "j1": call(join="all", to=["c", "d"]),
                "c": call(to="j2"),
                "d": call(to="j2"),
                "j2": call(join="all", to=choice("s", "end")),
            }
        ),
    ),
    # s -> [w <-> v, b] -> j
    Case(
        "join-waits-on-loop",
        graph(
            {
                "s": call(to=["w", "b"]),
                "w": {"wait": {"signal": "go"}, "next": "v"},
                "v": call(to=choice("w", "j")),
                "b": call(to="j"),
                "j": call(join="all"),
            }
        ),
        {("warning", "/nodes/j/join")},
        graph(
            {
                "s": call(to=["w", "b"]),
                "w": {"wait": {"signal": "go"}, "next": "j"},
                "b": call(to="j"),
                "j": call(join="all"),
            }
        ),
    ),
    Case(
        "join-count-unreachable",
        graph({"s": call(to=["a", "b"]), "a": call(to="j"), "b": call(to="j"), "j": call(join={"count": 3})}),
        {("error", "/nodes/j/join/count")},
        graph({"s": call(to=["a", "b"]), "a": call(to="j"), "b": call(to="j"), "j": call(join={"count": 2})}),
    ),
    Case(
        "join-count-unreachable",
        graph({"s": call(to=choice("s", "j")), "j": call(join={"count": 2})}),
        {("warning", "/nodes/j/join/count")},
        graph({"s": call(to=["s", "j"]), "j": call(join={"count": 2})}),
    ),
    Case(
        "join-count-unreachable",
        graph({"s": call(to=choice(["j", "j", "j"], "j")), "j": call(join={"count": 4})}),
        {("error", "/nodes/j/join/count")},
        graph(
            {
                "s": {"next": {"map": [1], "to": ["a", "b"], "join": "end"}},
                "a": call(to="b"),
                "b": call(join={"count": 2}),
            }
        ),
    ),
    Case(
        "timing-dependent",
        graph({"s": call(to=["a", "b"]), "a": call(to="j"), "b": call(to="j"), "j": call(join="any")}),
        {("info", "/nodes/j/join")},
        graph({"s": call(to=["a", "b"]), "a": call(to="j"), "b": call(to="j"), "j": call(join="all")}),
    ),
    Case(
        "cancel-wide",
        graph(
            {
                "s": call(to=["a", "b"]),
                "a": call(to="j"),
                "b": call(to="j"),
                "j": call(join="any", to=choice("s", "end")),
            }
        ),
        {("warning", "/nodes/j/join")},
        graph(
            {
                "s": call(to=["a", "b"]),
                "a": call(to="j"),
                "b": call(to="j"),
                "j": call(join={"count": 1, "rest": "ignore"}, to=choice("s", "end")),
            }
        ),
    ),
    # ---------------------------------------------------------------- parallel writes
    Case(
        "write-conflict",
        graph({"s": call(to=["a", "b"]), "a": {"outputs": {"k": 1}}, "b": call(to="c"), "c": {"outputs": {"k": 2}}}),
        {("error", "/nodes/s/next")},
        graph(
            {"s": call(to=["a", "b"]), "a": {"outputs": {"k": 1}}, "b": call(to="c"), "c": {"outputs": {"k": 2}}},
            state={"reducers": {"k": "add"}},
        ),
    ),
    Case(
        "write-conflict",
        graph(
            {"s": call(to=["a", "b"]), "a": call("writes_x"), "b": call(to=choice("c", "end")), "c": call("writes_x")}
        ),
        {("warning", "/nodes/s/next")},
        graph({"s": call(to=["a", "j"]), "a": call("writes_x", "j"), "j": call("writes_x", join="all")}),
    ),
    Case(
        "write-conflict",
        graph(
            {"s": call(to=["a", "b"]), "a": {"outputs": {"k": {"$set": 1}}}, "b": {"outputs": {"k": {"$set": 1}}}},
            state={"reducers": {"k": "add"}},
        ),
        {("error", "/nodes/s/next")},
        graph({"s": call(to=choice("a", "b")), "a": {"outputs": {"k": 1}}, "b": {"outputs": {"k": 1}}}),
    ),
    # s -> [l, w -> (s | end)], l writes x at every turn
    Case(
        "write-conflict-turns",
        graph({"s": call(to=["l", "w"]), "l": call("writes_x"), "w": call(to=choice("s", "end"))}),
        {("warning", "/nodes/s/next")},
        graph(
            {"s": call(to=["l", "w"]), "l": call("writes_x"), "w": call(to=choice("s", "end"))},
            state={"reducers": {"x": "max"}},
        ),
    ),
    # E3: s -> [a, b, d]; a -> [j1, j2]; b -> j1; d -> j2
    Case(
        "append-reorders",
        graph(
            {
                "s": call(to=["a", "b", "d"]),
                "a": call(to=["j1", "j2"]),
                "b": call(to="j1"),
                "d": call(to="j2"),
                "j1": call(join="all"),
                "j2": call(join="all"),
            },
            state={"reducers": {"log": "append"}},
        ),
        {("info", "/nodes/j2/join")},
        graph(
            {"s": call(to=["a", "b"]), "a": call(to="j1"), "b": call(to="j1"), "j1": call(join="all")},
            state={"reducers": {"log": "append"}},
        ),
    ),
    # ---------------------------------------------------------------- maps
    Case(
        "secret-unmarked",
        graph({"a": asking_for_a_pin()}),
        {("error", "/nodes/a/human/form/properties/pin")},
        graph({"a": asking_for_a_pin()}, state={"schema": marking("pin")}),
    ),
    Case(
        "secret-unmarked",
        graph({"a": asking_for_a_pin(outputs={"code": "= result.answer.pin", "by": "= result.by"})}),
        {("error", "/nodes/a/outputs/code")},
        graph({"a": asking_for_a_pin(outputs={"code": "= result.answer.pin"})}, state={"schema": marking("code")}),
    ),
    Case(
        "secret-unmarked",
        graph({"a": asking_for_a_pin(outputs={"all": "= result.answer"})}, state={"schema": marking("pin")}),
        {("error", "/nodes/a/outputs/all")},
        graph({"a": asking_for_a_pin(outputs={"ok": "= result.answer.ok"})}, state={"schema": marking("pin")}),
    ),
    Case(
        "secret-unmarked",
        graph({"a": asking_for_a_pin(outputs={"ok": "= result.answer.ok"})}),
        {("error", "/nodes/a/human/form/properties/pin")},
        graph({"a": {"human": {"title": "?", "form": {"properties": {"ok": {"type": "boolean"}}}}}}),
    ),
    Case(
        "secret-unmarked",
        graph({"a": asking_for_a_pin()}, state={"schema": {"additionalProperties": {"type": "string"}}}),
        {("error", "/nodes/a/human/form/properties/pin")},
        graph({"a": asking_for_a_pin()}, state={"schema": {"additionalProperties": {"writeOnly": True}}}),
    ),
    Case(
        "secret-unmarked",
        graph(
            {"a": asking_for_a_pin()},
            state={
                "schema": {
                    "patternProperties": {"^p": {"type": "string"}},
                    "additionalProperties": {"writeOnly": True},
                }
            },
        ),
        {("error", "/nodes/a/human/form/properties/pin")},
        graph({"a": asking_for_a_pin()}, state={"schema": {"patternProperties": {"^p": {"writeOnly": True}}}}),
    ),
    Case(
        "secret-unmarked",
        graph(
            {"a": {"human": {"title": "?", "form": {"properties": {"pins": {"prefixItems": [{"writeOnly": True}]}}}}}}
        ),
        {("error", "/nodes/a/human/form/properties/pins")},
        graph({"a": asking_for_a_pin()}, state={"schema": {"writeOnly": True}}),
    ),
    Case(
        "map-no-join",
        graph({"m": {"next": {"map": [1], "to": "w"}}, "w": call(to="w")}),
        {("error", "/nodes/m/next")},
        graph({"m": {"next": {"map": [1], "to": "w"}}, "w": call()}),
    ),
    Case(
        "map-recursion",
        graph({"m": {"next": {"map": [1], "to": "w", "join": "e"}}, "w": call(to=choice("m", "e")), "e": call()}),
        {("error", "/nodes/m/next")},
        graph({"m": {"next": {"map": [1], "to": "w", "join": "e"}}, "w": call(to="e"), "e": call()}),
    ),
    Case(
        "map-body-shared",
        graph(
            {
                "s": call(to=["m", "w"]),
                "m": {"next": {"map": [1], "to": "w", "join": "e"}},
                "w": call(to="e"),
                "e": call(),
            }
        ),
        {("error", "/nodes/w")},
        graph(
            {
                "s": call(to=["m", "v"]),
                "m": {"next": {"map": [1], "to": "w", "join": "e"}},
                "w": call(to="e"),
                "v": {},
                "e": {},
            }
        ),
    ),
    Case(
        "map-body-shared",
        graph(
            {
                "m": {"next": {"map": [1], "to": "n", "join": "e"}},
                "n": {"next": {"map": [1], "to": "e", "join": "f"}},
                "e": call(),
                "f": call(),
            }
        ),
        {("error", "/nodes/e")},
        graph(
            {
                "m": {"next": {"map": [1], "to": "n", "join": "e"}},
                "n": {"next": {"map": [1], "to": "w", "join": "f"}},
                "w": call(),
                "f": call(to="e"),
                "e": call(),
            }
        ),
    ),
    Case(
        "map-private-write",
        graph({"m": {"next": {"map": [1], "to": "w", "collect": {"out": "= y"}}}, "w": call("writes_x")}),
        {("warning", "/nodes/m/next")},
        graph({"m": {"next": {"map": [1], "to": "w", "collect": {"out": "= x"}}}, "w": call("writes_x")}),
    ),
    Case(
        "map-private-write",
        graph({"m": {"next": {"map": [1], "to": "w"}}, "w": call("writes_x")}),
        {("warning", "/nodes/m/next")},
        graph({"m": {"next": {"map": [1], "to": "w"}}, "w": call("writes_x")}, state={"reducers": {"x": "add"}}),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_a_rule_finds_its_fault_and_nothing_else(case: Case) -> None:
    assert found(case.rule, case.bad) == case.finds
    assert found(case.rule, case.good) == set()


def test_a_document_in_a_string_is_not_secret_where_nothing_is_marked() -> None:
    schema = {"properties": {"pin": {"contentSchema": {"$ref": "#/$defs/plain"}}}, "$defs": {"plain": {}}}
    places = {("error", "/nodes/a/human/form/properties/pin")}
    assert found("secret-unmarked", graph({"a": asking_for_a_pin()}, state={"schema": schema})) == places


@pytest.mark.parametrize("schema", [{"patternProperties": {"(": {}}}, {"properties": []}, {"allOf": 5}])
def test_a_schema_that_cannot_be_used_is_not_asked_what_is_secret(schema: dict[str, Any]) -> None:
    assert found("secret-unmarked", graph({"a": asking_for_a_pin()}, state={"schema": schema})) == set()


def test_a_form_that_repeats_itself_is_compared_once_for_each_of_its_parts() -> None:
    branches = {name: {"$ref": "#/$defs/tree"} for name in "abcd"}
    tree = {"properties": {**branches, "pin": {"writeOnly": True}}}
    form = {"properties": {"tree": {"$ref": "#/$defs/tree"}}, "$defs": {"tree": tree}}
    asking = {"a": {"human": {"title": "?", "form": form}}}
    assert found("secret-unmarked", graph(asking, state={"schema": form})) == set()
    state = {"schema": {"properties": {"tree": {"properties": {"pin": {"writeOnly": True}}}}}}
    assert found("secret-unmarked", graph(asking, state=state)) == {("error", "/nodes/a/human/form/properties/tree")}


def test_every_rule_has_a_case() -> None:
    assert {case.rule for case in CASES} == RULES.keys() - {"lint-incomplete", "unknown-graph", "stop-in-subgraph"}, (
        "the last ones ask the database"
    )


def test_a_search_that_is_given_up_is_admitted(monkeypatch: pytest.MonkeyPatch) -> None:
    definition = graph({"s": call(to=["a", "b"]), "a": call(to="m"), "b": call(to="m"), "m": call()})
    assert found("lint-incomplete", definition) == set()
    monkeypatch.setattr("graphs.lint.graph.MAX_VISITS", 2)
    assert found("lint-incomplete", definition) == {("info", "")}


def test_no_finding_is_worse_than_its_rule_says() -> None:
    order = ["info", "warning", "error"]
    for case in CASES:
        for problem in problems(case.bad):
            assert order.index(problem.level) <= order.index(RULES[problem.code].level), problem


def test_the_published_example_has_no_errors_and_no_warnings() -> None:
    review = {name: Tool(result_schema={}) for name in ("check_complexity", "detect_issues", "suggest_improvements")}
    tools = {
        "extract_functions": Tool(parameters=(Parameter("code"),), result_schema={}),
        "evaluate_quality": writing("quality_score", "iteration"),
        **review,
    }
    assert {(problem.level, problem.code, problem.path) for problem in problems(PUBLISHED, tools)} == {
        ("info", "key-from-input", "/nodes/extract/tool")
    }


def test_findings_come_worst_first_and_each_place_once_for_a_rule() -> None:
    definition = graph(
        {
            "s": call("nope", to=["a", "b"]),
            "a": call(to="m"),
            "b": call(to=["m", "j"]),
            "m": call(to="j"),
            "j": call(join="any"),
        }
    )
    everything = problems(definition)
    assert [problem.level for problem in everything] == sorted(
        (problem.level for problem in everything), key=["error", "warning", "info"].index
    )
    places = [(problem.code, problem.path) for problem in everything]
    assert len(places) == len(set(places))


def test_the_keys_that_a_tool_writes_are_read_from_its_result_schema() -> None:
    """A parallel writer of x conflicts with each of these tools but the last."""
    either = {"anyOf": [{"$ref": "#/$defs/r"}, {"type": "null"}], "$defs": {"r": {"properties": {"x": {}}}}}
    for schema, level in [
        ({"properties": {"x": {}}, "required": ["x"]}, "error"),
        ({"properties": {"x": {}}}, "warning"),
        (either, "warning"),
        ({"properties": {"y": {}}}, None),
    ]:
        tools = {**TOOLS, "tool": Tool(result_schema=schema)}
        definition = graph({"s": call(to=["a", "b"]), "a": call("tool"), "b": call("writes_x")})
        levels = [problem.level for problem in problems(definition, tools) if problem.code == "write-conflict"]
        assert levels == ([level] if level else [])


@settings(max_examples=50)
@given(definitions())
def test_lint_takes_every_definition_that_keeps_the_grammar(definition: dict[str, Any]) -> None:
    for problem in problems(definition):
        assert problem.code in RULES
        assert problem.message.endswith((".", "?"))


@pytest.mark.parametrize("shape", ["counts", "crossing", "wide", "keys"])
def test_a_graph_of_thousands_of_nodes_is_linted_in_seconds(shape: str) -> None:
    n = 3_000
    nodes: dict[str, Any] = {
        "counts": lambda: {f"n{i}": call(to=f"n{i + 1}", join={"count": 3}) for i in range(n)} | {f"n{n}": {}},
        "crossing": lambda: {
            f"n{i}": call(to=[f"n{(i * 7 + 1) % n}", f"n{(i * 3 + 2) % n}"], **({"join": "all"} if i % 3 else {}))
            for i in range(n)
        },
        "wide": lambda: (
            {"s": call(to=[f"n{i}" for i in range(n)])}
            | {f"n{i}": {"outputs": {f"k{i % 9}": 1}, "next": "j"} for i in range(n)}
            | {"j": {"join": "all"}}
        ),
        "keys": lambda: (
            {f"n{i}": {"outputs": {f"k{i}": f"= z{i} + y{i}"}, "next": f"n{i + 1}"} for i in range(n)} | {f"n{n}": {}}
        ),
    }[shape]()
    started = time.process_time()
    problems(graph(nodes))
    assert time.process_time() - started < 10


DOCUMENTATION = Path(__file__).parents[3] / "docs" / "lint.md"


def test_the_documentation_lists_exactly_the_rules() -> None:
    text = DOCUMENTATION.read_text().partition("## Rules")[2]
    rows = re.findall(r"^\| `([a-z-]+)` \| (error|warning|info)(?:, (stops))? ", text, flags=re.MULTILINE)
    documented = {(name, level, bool(stops)) for name, level, stops in rows}
    assert documented == {(name, rule.level, rule.stops) for name, rule in RULES.items()}


def test_the_documentation_lists_every_code_that_a_definition_is_refused_with() -> None:
    documented = set(re.findall(r"^\| `([a-z-]+)` \|", DOCUMENTATION.read_text(), flags=re.MULTILINE))
    graphs = Path(__file__).parents[3] / "graphs"
    sources = [*graphs.glob("spec/*.py"), graphs / "rows.py", graphs / "schemas.py", graphs / "features.py"]
    written = re.compile(
        r"""(?:complaint\(|refuse\(|code=|CODE = |yield |: \(|Complaint\()\s*"([a-z]+(?:-[a-z]+)*)", """
    )
    codes = {code for source in sources for code in written.findall(source.read_text())}
    assert {"unknown-key", "expression-invalid", "not-available-yet", "schema-pattern"} <= documented
    assert codes <= documented


def test_thousands_of_misspelt_names_take_no_time_to_explain() -> None:
    schema = {"properties": {f"key_{number}": {} for number in range(3_000)}, "additionalProperties": False}
    nodes = {f"n{i}": {"tool": f"tol_{i}", "inputs": {"x": f"= kye_{i}"}, "next": f"n{i + 1}"} for i in range(2_999)}
    tools = {f"tool_{number}": Tool() for number in range(1_000)}
    started = time.process_time()
    problems(graph({**nodes, "n2999": {}}, state={"schema": schema}), tools)
    assert time.process_time() - started < 10
