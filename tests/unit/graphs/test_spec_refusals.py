"""What the grammar refuses: everything at once, each with its path, code and a sentence."""

from __future__ import annotations

import time
from typing import Any

import pytest

from accounts.models import Role
from graphs.spec import DefinitionInvalid, Problem, parse_definition
from graphs.spec.waits import ROLES
from tests.unit.graphs.definitions import PUBLISHED, graph

WHOLE = {"name": "n", "start_node": "a", "nodes": {"a": {}}}


def problems(definition: Any) -> list[Problem]:
    with pytest.raises(DefinitionInvalid) as caught:
        parse_definition(definition)
    return list(caught.value.problems)


def found(definition: Any) -> set[tuple[str, str]]:
    return {(problem.path, problem.code) for problem in problems(definition)}


NODE_ROWS: list[tuple[dict[str, Any], str, str]] = [
    ({"tool": ""}, "/tool", "empty"),
    ({"tool": 3}, "/tool", "wrong-type"),
    ({"tool": "t" * 256}, "/tool", "too-long"),
    ({"tool": "t", "graph": "g"}, "/graph", "several-kinds"),
    ({"tool": "t", "human": {"title": "x"}, "wait": {"seconds": 1}}, "/human", "several-kinds"),
    ({"tol": "t"}, "/tol", "unknown-key"),
    ({"label": 1}, "/label", "wrong-type"),
    ({"metadata": []}, "/metadata", "wrong-type"),
    ({"position": {"x": 1}}, "/position/y", "missing-key"),
    ({"position": {"x": "1", "y": 1}}, "/position/x", "wrong-type"),
    ({"next": "nowhere"}, "/next", "unknown-target"),
    ({"next": ["b", "nowhere"]}, "/next/1", "unknown-target"),
    ({"next": []}, "/next", "empty"),
    ({"next": 3}, "/next", "wrong-type"),
    ({"next": [["b"]]}, "/next/0", "wrong-type"),
    ({"next": {}}, "/next", "unknown-route"),
    ({"next": {"goto": "b"}}, "/next", "unknown-route"),
    ({"next": {"condition": "x", "switch": []}}, "/next", "several-routes"),
    ({"next": {"condition": "x", "if_true": "b"}}, "/next/if_false", "missing-key"),
    ({"next": {"if_true": "b", "if_false": "b"}}, "/next/condition", "missing-key"),
    ({"next": {"condition": "x +", "if_true": "b", "if_false": "b"}}, "/next/condition", "expression-invalid"),
    ({"next": {"condition": "", "if_true": "b", "if_false": "b"}}, "/next/condition", "expression-invalid"),
    ({"next": {"condition": True, "if_true": "b", "if_false": "b"}}, "/next/condition", "wrong-type"),
    (
        {"next": {"condition": "x", "if_true": {"condition": "y", "if_true": "b", "if_false": "b"}, "if_false": "b"}},
        "/next/if_true",
        "nested-choice",
    ),
    ({"next": {"condition": "x", "if_true": "b", "if_false": "b", "else": "b"}}, "/next/else", "unknown-key"),
    ({"next": {"switch": []}}, "/next/switch", "empty"),
    ({"next": {"switch": {}}}, "/next/switch", "wrong-type"),
    ({"next": {"switch": [{"when": "x"}]}}, "/next/switch/0/to", "missing-key"),
    ({"next": {"switch": [{"when": "x", "to": "b"}], "default": "no"}}, "/next/default", "unknown-target"),
    ({"next": {"each": [{"to": "b"}]}}, "/next/each/0/when", "missing-key"),
    ({"next": {"each": [{"when": "x", "to": {"switch": []}}]}}, "/next/each/0/to", "nested-choice"),
    ({"next": {"map": "items", "to": "b"}}, "/next/map", "not-an-expression"),
    ({"next": {"map": {}, "to": "b"}}, "/next/map", "wrong-type"),
    ({"next": {"map": ["= 1 +"], "to": "b"}}, "/next/map/0", "expression-invalid"),
    ({"next": {"map": "= x"}}, "/next/to", "missing-key"),
    ({"next": {"map": "= x", "to": "b", "as": "state"}}, "/next/as", "invalid-name"),
    ({"next": {"map": "= x", "to": "b", "as": "a-b"}}, "/next/as", "invalid-name"),
    ({"next": {"map": "= x", "to": "b", "join": ["b"]}}, "/next/join", "list-not-allowed"),
    ({"next": {"map": "= x", "to": "b", "join": "no"}}, "/next/join", "unknown-target"),
    ({"next": {"map": "= x", "to": "b", "collect": {"k": ["= )"]}}}, "/next/collect/k/0", "expression-invalid"),
    ({"next": {"map": "= x", "to": "b", "max_parallel": 0}}, "/next/max_parallel", "out-of-range"),
    ({"next": {"map": "= x", "to": "b", "max_parallel": "3"}}, "/next/max_parallel", "wrong-type"),
    ({"next": {"map": "= x", "to": "b", "max_parallel": "= 3 +"}}, "/next/max_parallel", "expression-invalid"),
    (
        {"next": {"map": "= x", "to": "b", "tolerated_failures": "= 3 +"}},
        "/next/tolerated_failures",
        "expression-invalid",
    ),
    ({"next": {"map": "= x", "to": "b", "tolerated_failures": -1}}, "/next/tolerated_failures", "out-of-range"),
    ({"next": {"map": "= x", "to": "b", "tolerated_failures": 0.5}}, "/next/tolerated_failures", "wrong-type"),
    (
        {"next": {"map": "= x", "to": "b", "tolerated_failures": "101%"}},
        "/next/tolerated_failures",
        "invalid-percentage",
    ),
    (
        {"next": {"map": "= x", "to": "b", "tolerated_failures": "-1%"}},
        "/next/tolerated_failures",
        "invalid-percentage",
    ),
    ({"next": {"map": "= x", "to": "b", "tolerated_failures": "10"}}, "/next/tolerated_failures", "invalid-percentage"),
    (
        {"next": {"map": "= x", "to": "b", "tolerated_failures": "1\u0660%"}},
        "/next/tolerated_failures",
        "invalid-percentage",
    ),
    (
        {"next": {"map": "= x", "to": "b", "tolerated_failures": "10%\n"}},
        "/next/tolerated_failures",
        "invalid-percentage",
    ),
    ({"tool": "t", "next": {"dynamic": []}}, "/next/dynamic", "route-undeclared"),
    ({"tool": "t", "next": {"dynamic": "b"}}, "/next/dynamic", "wrong-type"),
    ({"tool": "t", "next": {"dynamic": ["no"]}}, "/next/dynamic/0", "unknown-target"),
    ({"next": {"dynamic": ["b"]}}, "/next/dynamic", "option-without-effect"),
    ({"join": "some"}, "/join", "unknown-word"),
    ({"join": {"count": 0}}, "/join/count", "out-of-range"),
    ({"join": {"count": True}}, "/join/count", "wrong-type"),
    ({"join": {"count": 2, "rest": "kill"}}, "/join/rest", "unknown-word"),
    ({"join": {"kind": "all"}}, "/join/kind", "unknown-key"),
    ({"inputs": {"x": 1}}, "/inputs", "option-without-effect"),
    ({"tool": "t", "inputs": []}, "/inputs", "wrong-type"),
    ({"tool": "t", "inputs": {"": 1}}, "/inputs/", "invalid-name"),
    ({"tool": "t", "inputs": {"x": {"y/~": "= a b"}}}, "/inputs/x/y~1~0", "expression-invalid"),
    ({"outputs": {"x": "= 1 ** 2"}}, "/outputs/x", "expression-invalid"),
    ({"tool": "t", "retry": {"max_attempts": 0}}, "/retry/max_attempts", "out-of-range"),
    ({"tool": "t", "retry": {"max_attempts": 1.5}}, "/retry/max_attempts", "wrong-type"),
    ({"tool": "t", "retry": {"max_attempts": "3"}}, "/retry/max_attempts", "wrong-type"),
    ({"tool": "t", "retry": {"backoff_factor": 0.5}}, "/retry/backoff_factor", "out-of-range"),
    ({"tool": "t", "retry": {"jitter": 1}}, "/retry/jitter", "wrong-type"),
    ({"tool": "t", "retry": {"on": "ValueError"}}, "/retry/on", "wrong-type"),
    ({"tool": "t", "retry": {"on_exhausted": "stop"}}, "/retry/on_exhausted", "unknown-word"),
    ({"retry": {}}, "/retry", "option-without-effect"),
    ({"tool": "t", "retry": []}, "/retry", "empty"),
    ({"tool": "t", "retry": [{"on": ["A"]}, {"jitter": 1}]}, "/retry/1/jitter", "wrong-type"),
    ({"tool": "t", "retry": [{"max_attempts": 3}, {"on": ["A"]}]}, "/retry", "unreachable-case"),
    ({"on_error": [{"match": [], "to": "b"}]}, "/on_error/0/match", "empty"),
    ({"on_error": [{"match": ["A", 1], "to": "b"}]}, "/on_error/0/match/1", "wrong-type"),
    ({"tool": "t", "timeout_s": 0}, "/timeout_s", "out-of-range"),
    ({"tool": "t", "timeout_s": float("inf")}, "/timeout_s", "out-of-range"),
    ({"tool": "t", "timeout_s": "5"}, "/timeout_s", "wrong-type"),
    ({"timeout_s": 5}, "/timeout_s", "option-without-effect"),
    ({"on_error": "nowhere"}, "/on_error", "unknown-target"),
    ({"on_error": ["b", "nowhere"]}, "/on_error/1", "unknown-target"),
    ({"on_error": []}, "/on_error", "empty"),
    ({"on_error": [{"match": "x"}]}, "/on_error/0/to", "missing-key"),
    ({"on_error": [{"to": "b"}, {"match": "X", "to": "b"}]}, "/on_error", "unreachable-case"),
    ({"tool": "t", "cache": {}}, "/cache/ttl_s", "missing-key"),
    ({"tool": "t", "cache": {"ttl_s": 5, "key": "code"}}, "/cache/key", "not-an-expression"),
    ({"graph": "g", "cache": {"ttl_s": 5}}, "/cache", "option-without-effect"),
    ({"tool": "t", "lock": ""}, "/lock", "empty"),
    ({"tool": "t", "lock": "= )"}, "/lock", "expression-invalid"),
    ({"tool": "t", "executor": "gpu"}, "/executor", "unknown-word"),
    ({"graph": "= )"}, "/graph", "expression-invalid"),
    ({"tool": "t", "compensate": ""}, "/compensate", "empty"),
    ({"tool": "t", "compensate": {}}, "/compensate/tool", "missing-key"),
    ({"wait": {"signal": "= 1 +"}}, "/wait/signal", "expression-invalid"),
    ({"human": {}}, "/human/title", "missing-key"),
    ({"human": {"title": " "}}, "/human/title", "empty"),
    ({"human": {"title": "a\nb"}}, "/human/title", "control-character"),
    ({"human": {"title": "x", "quorum": 0}}, "/human/quorum", "out-of-range"),
    ({"human": {"title": "x", "on_due": "b"}}, "/human/on_due", "option-without-effect"),
    ({"human": {"title": "x", "due_s": 1, "on_due": ["b"]}}, "/human/on_due", "list-not-allowed"),
    ({"human": {"title": "x", "due_s": 1, "on_due": {"reply": 1}}}, "/human/on_due/reply", "unknown-key"),
    ({"human": {"title": "x", "assignees": {"user": []}}}, "/human/assignees/user", "unknown-key"),
    ({"human": {"title": "x", "assignees": {"users": ["= x"]}}}, "/human/assignees/users/0", "expression-not-allowed"),
    ({"human": {"title": "x", "assignees": {"roles": ["admin", "boss"]}}}, "/human/assignees/roles/1", "unknown-word"),
    ({"wait": {}}, "/wait", "missing-key"),
    ({"wait": {"seconds": -1}}, "/wait/seconds", "out-of-range"),
    ({"wait": {"seconds": "5"}}, "/wait/seconds", "not-an-expression"),
    ({"wait": {"until": "tomorrow"}}, "/wait/until", "wrong-type"),
    ({"wait": {"until": "2026-12-24T18:00:00"}}, "/wait/until", "wrong-type"),
    ({"wait": {"until": 5}}, "/wait/until", "wrong-type"),
    ({"wait": {"seconds": 1, "signal": "s"}}, "/wait/signal", "several-waits"),
    ({"wait": {"seconds": 1, "timeout_s": 3}}, "/wait/timeout_s", "option-without-effect"),
    ({"wait": {"signal": "s", "on_timeout": "b"}}, "/wait/on_timeout", "option-without-effect"),
    ({"wait": {"any": []}}, "/wait/any", "empty"),
    ({"wait": {"any": [{"any": []}]}}, "/wait/any/0/any", "unknown-key"),
    ({"wait": {"any": [{"seconds": 1, "next": "no"}]}}, "/wait/any/0/next", "unknown-target"),
]


@pytest.mark.parametrize(("given", "path", "code"), NODE_ROWS)
def test_a_node_that_breaks_the_grammar_is_refused_at_the_bad_value(
    given: dict[str, Any], path: str, code: str
) -> None:
    everything = problems(graph({"a": given, "b": {}}))
    assert (f"/nodes/a{path}", code) in {(problem.path, problem.code) for problem in everything}
    assert {problem.node for problem in everything} == {"a"}
    assert all(problem.message.endswith((".", "?")) for problem in everything)
    assert all(problem.level == "error" for problem in everything)


@pytest.mark.parametrize(
    ("change", "path", "code"),
    [
        ({"name": ""}, "/name", "empty"),
        ({"name": "  "}, "/name", "empty"),
        ({"name": "x" * 101}, "/name", "too-long"),
        ({"name": 5}, "/name", "wrong-type"),
        ({"name": None}, "/name", "wrong-type"),
        ({"start_node": "nowhere"}, "/start_node", "unknown-target"),
        ({"start_node": "end"}, "/start_node", "unknown-target"),
        ({"start_node": ["a"]}, "/start_node", "list-not-allowed"),
        ({"nodes": {}}, "/nodes", "empty"),
        ({"nodes": []}, "/nodes", "wrong-type"),
        ({"nodes": {"a": "tool"}}, "/nodes/a", "wrong-type"),
        ({"nodes": {"a": {}, "end": {}}}, "/nodes/end", "reserved-name"),
        ({"nodes": {"a": {}, "": {}}}, "/nodes/", "invalid-name"),
        ({"nodes": {"a": {}, "1a": {}}}, "/nodes/1a", "invalid-name"),
        ({"nodes": {"a": {}, "a" * 65: {}}}, f"/nodes/{'a' * 65}", "invalid-name"),
        ({"nodes": {"a": {}, "a/b": {}}}, "/nodes/a~1b", "invalid-name"),
        ({"nodes": {"a": {}, "ä": {}}}, "/nodes/ä", "invalid-name"),
        ({"nodes": {"a": {}, "a\n": {}}}, "/nodes/a\n", "invalid-name"),
        ({"state": {"default": {}}}, "/state/default", "unknown-key"),
        ({"state": {"schema": True}}, "/state/schema", "wrong-type"),
        ({"state": {"reducers": {"a": 1}}}, "/state/reducers/a", "wrong-type"),
        ({"on_failure": "panic"}, "/on_failure", "unknown-word"),
        ({"limits": {"max_steps": 0}}, "/limits/max_steps", "out-of-range"),
        ({"limits": {"max_steps": 2**40}}, "/limits/max_steps", "out-of-range"),
        ({"durability": True}, "/durability", "unknown-word"),
        ({"retention": 5}, "/retention", "wrong-type"),
        ({"retention": {}}, "/retention", "missing-key"),
        ({"retention": {"statuses": ["failed"]}}, "/retention", "missing-key"),
        ({"retention": {"days": 0}}, "/retention/days", "out-of-range"),
        ({"retention": {"days": 36_501}}, "/retention/days", "out-of-range"),
        ({"retention": {"days": 1.5}}, "/retention/days", "wrong-type"),
        ({"retention": {"keep_last": 0}}, "/retention/keep_last", "out-of-range"),
        ({"retention": {"days": 1, "statuses": []}}, "/retention/statuses", "empty"),
        ({"retention": {"days": 1, "statuses": ["running"]}}, "/retention/statuses/0", "unknown-word"),
        ({"retention": {"days": 1, "keep": 5}}, "/retention/keep", "unknown-key"),
        ({"concurrency": {"limit": 0}}, "/concurrency/limit", "out-of-range"),
        ({"concurrency": {"limit": 1, "per": "user"}}, "/concurrency/per", "unknown-word"),
        ({"concurrency": {"limit": 1, "on_conflict": "allow"}}, "/concurrency/on_conflict", "unknown-word"),
        ({"concurrency": {"limit": 1, "key": "= k"}}, "/concurrency/key", "unknown-key"),
        ({"edges": []}, "/edges", "unknown-key"),
    ],
)
def test_a_definition_that_breaks_the_grammar_is_refused_at_the_bad_value(
    change: dict[str, Any], path: str, code: str
) -> None:
    assert (path, code) in found({**WHOLE, **change})


@pytest.mark.parametrize("key", ["name", "start_node", "nodes"])
def test_a_definition_without_a_required_key_is_refused(key: str) -> None:
    incomplete = {name: value for name, value in WHOLE.items() if name != key}
    assert (f"/{key}", "missing-key") in found(incomplete)


@pytest.mark.parametrize("value", [None, [], "graph", 3, True])
def test_what_is_no_object_is_no_definition(value: Any) -> None:
    assert found(value) == {("", "wrong-type")}


def test_everything_that_is_wrong_is_said_at_once() -> None:
    definition = graph(
        {
            "a": {"tool": "t", "nxt": "b", "next": {"condition": "x >", "if_true": "zz", "if_false": "b"}},
            "b": {"tool": "t", "graph": "g", "retry": {"max_attempts": 0, "jiter": True}},
            "end": {},
        },
        durabilty="sync",
        limits={"max_steps": -1},
    )
    assert found(definition) == {
        ("/nodes/a/nxt", "unknown-key"),
        ("/nodes/a/next/condition", "expression-invalid"),
        ("/nodes/a/next/if_true", "unknown-target"),
        ("/nodes/b/graph", "several-kinds"),
        ("/nodes/b/retry/max_attempts", "out-of-range"),
        ("/nodes/b/retry/jiter", "unknown-key"),
        ("/nodes/end", "reserved-name"),
        ("/durabilty", "unknown-key"),
        ("/limits/max_steps", "out-of-range"),
    }


def test_an_item_that_is_wrong_does_not_count_as_missing_besides() -> None:
    assert found(graph({"a": {"next": ["nowhere"]}})) == {("/nodes/a/next/0", "unknown-target")}


def test_a_misspelt_word_gets_a_hint() -> None:
    (key,) = problems(graph({"a": {"lable": "x"}}))
    (target,) = problems(graph({"extract": {"next": "extrct"}}))
    assert 'Did you mean "label"?' in key.message
    assert 'Did you mean "extract"?' in target.message


def test_a_graph_of_5000_nodes_is_accepted_and_one_of_5001_refused() -> None:
    nodes = {f"n{number}": {} for number in range(5_000)}
    assert len(parse_definition(graph(nodes)).nodes) == 5_000
    assert found(graph({**nodes, "one_more": {}})) == {("/nodes", "too-many")}


def test_the_exception_says_the_first_problem_and_how_many_more() -> None:
    with pytest.raises(DefinitionInvalid, match=r"no node \"x\".*And 1 more\.$"):
        parse_definition({**PUBLISHED, "start_node": "x", "colour": 1})


@pytest.mark.parametrize(
    "nodes",
    [
        {f"node_{number}": {"next": f"nod_{number}"} for number in range(5_000)},
        {f"node_{number}": {"tol": 1, "nxt": 1} for number in range(5_000)},
        {"a": {"next": "x" * 1_000_000, "tool": "y" * 1_000_000, "z" * 1_000_000: 1, "lock": "= " + "w" * 1_000_000}},
    ],
)
def test_thousands_of_mistakes_and_long_names_take_no_time_to_explain(nodes: dict[str, Any]) -> None:
    started = time.process_time()
    everything = problems(graph(nodes))
    assert time.process_time() - started < 10
    assert all(len(problem.message) < 1_000 for problem in everything)


def test_a_role_that_is_none_is_refused_with_the_one_that_was_meant() -> None:
    human = {"title": "x", "assignees": {"roles": ["editors"]}}
    (problem,) = problems(graph({"a": {"human": human}}))
    assert problem.message.startswith('There is no role "editors". Did you mean "editor"? Roles are viewer, operator')


def test_the_roles_of_the_grammar_are_those_of_members() -> None:
    assert list(ROLES) == Role.values
