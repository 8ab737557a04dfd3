"""What expressions mean."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.expressions import (
    FUNCTIONS,
    ExpressionError,
    ExpressionInvalid,
    compile_condition,
    compile_expression,
    compile_value,
    expressions_in,
)

NAMES: dict[str, Any] = {
    "quality_score": 6.5,
    "iteration": 5,
    "user": {"name": "Ada", "role": "admin", "tags": ["x", "y"], "nothing": None, "class": 7},
    "items": [3, 1, 2],
    "words": ["b", "a"],
    "empty": [],
    "done": False,
    "none": None,
}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("quality_score >= 7 or iteration >= 5", True),
        ("= iteration + 1", 6),
        ("1 + 2 * 3 - 4", 3),
        ("7 / 2", 3.5),
        ("7 // 2", 3),
        ("-7 % 3", 2),
        ("-iteration", -5),
        ("'a' + \"b\"", "ab"),
        ("user.name", "Ada"),
        ("user['class']", 7),
        ("user.tags[0] + user.tags[-1]", "xy"),
        ("items[iteration - 4]", 1),
        ("1 == 1.0", True),
        ("1 == true", False),
        ("[1, [true]] == [1, [1]]", False),
        ("user == user", True),
        ("'1' == 1", False),
        ("'1' != 1", True),
        ("none == null and none is null and none is not true", True),
        ("done is false", True),
        ("1 < 2 <= 2 < 3", True),
        ("3 > 2 > 2", False),
        ("'a' < 'b'", True),
        ("3 in items and 4 not in items", True),
        ("true in [1]", False),
        ("'name' in user", True),
        ("'d' in 'Ada'", True),
        ("not empty and not done and not none", True),
        ("empty or 'nothing yet'", "nothing yet"),
        ("iteration if done else (1, 2)", [1, 2]),
        ("True and False or None", None),
        ("len(items) + len('abc') + len(user)", 11),
        ("abs(-2.5)", 2.5),
        ("[min(items), max(items), min(4, 2.5), max(words)]", [1, 3, 2.5, "b"]),
        ("sum(items)", 6),
        ("sum(empty)", 0),
        ("[round(2.5), round(2.567, 2), round(1234, -2)]", [2, 2.57, 1200]),
        ("lower('ÄB') + upper('c')", "äbC"),
        ("type(none) == 'null' and type(done) == 'boolean'", True),
        ("type(items) == 'array' and type(user) == 'object' and type(user.name) == 'string'", True),
        ("type(1) == type(1.5) == 'number'", True),
        ("startswith(user.name, 'A') and endswith(user.name, 'a')", True),
        ("contains(items, 3) and contains('abc', 'bc') and contains(user, 'role')", True),
        ("matches('log-a.txt', 'log-*.txt') and matches('a*c', 'a\\\\*c') and matches('', '*')", True),
        (
            "matches('l-.tx', 'l-*.txt') or matches('ab', 'a*b*b') or matches('ac', 'a\\\\*c') or matches('aa', 'a')",
            False,
        ),
        ("matches('foobar.zebra', 'f*b*.*a') and matches('aXbXc', 'a*X*c') and matches('abab', 'ab*ab')", True),
        ("str(user.name) + str(3) + str(2.5) + str(-0.0) + str(true) + str(none)", "Ada32.5-0.0truenull"),
        ("timestamp('2026-01-01T00:00:00Z') == timestamp('2026-01-01T02:30:00+02:30')", True),
        ("[timestamp('1970-01-02T00:00:00Z'), timestamp('1969-12-31T23:59:59.5Z')]", [86400, -0.5]),
        ("[timestamp('2026-01-01'), timestamp('soon'), timestamp(3), timestamp(none)]", [None] * 4),
        ("[range(3), range(2, 4), range(0), range(4, 2)]", [[0, 1, 2], [2, 3], [], []]),
        ("keys(user)", ["class", "name", "nothing", "role", "tags"]),
        ("any([false, items]) and all([1, 'x']) and all(empty)", True),
        ("exists(user.name)", True),
        ("exists(user.age) or exists(missing) or exists(items[3]) or exists(missing.a.b)", False),
        ("exists(user.nothing.deeper)", False),
        ("default(user.age, 30)", 30),
        ("default(missing, default(iteration, 0))", 5),
        ("default(user.nothing, 1)", None),
        ("  (\n iteration\n)  ", 5),
    ],
)
def test_an_expression_has_the_value_that_python_would_give_it_for_json(source: str, value: Any) -> None:
    result = compile_expression(source)(NAMES)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("source", "kind", "words"),
    [
        ("missing > 3", "missing", 'no "missing" in the state'),
        ("user.age", "missing", 'no key "age"'),
        ("items[3]", "missing", "no position 3 in a list of 3"),
        ("items[-4]", "missing", "no position -4"),
        ("none.a", "missing", "null has no keys"),
        ("'abc'[0]", "type-mismatch", "a string has no keys"),
        ("items['a']", "type-mismatch", "positions of a list are whole numbers"),
        ("items[true]", "type-mismatch", "positions of a list are whole numbers"),
        ("user[0]", "type-mismatch", "keys of an object are strings"),
        ("1 < 'a'", "type-mismatch", "a number and a string"),
        ("1 < true", "type-mismatch", "a number and a boolean"),
        ("items < items", "type-mismatch", "< does not work with a list"),
        ("none >= 1", "type-mismatch", "null and a number"),
        ("1 + 'a'", "type-mismatch", "+ does not work"),
        ("true + 1", "type-mismatch", "a boolean and a number"),
        ("items + items", "type-mismatch", "+ does not work with a list"),
        ("'a' * 3", "type-mismatch", "* does not work"),
        ("'%d' % 3", "type-mismatch", "% does not work"),
        ("-'a'", "type-mismatch", "- needs a number"),
        ("1 in 'a'", "type-mismatch", "only a string can be in a string"),
        ("1 in 1", "type-mismatch", "nothing can be in a number"),
        ("len(1)", "type-mismatch", "len takes"),
        ("abs('a')", "type-mismatch", "abs takes a number"),
        ("min(1, 'a')", "type-mismatch", "all numbers or all strings"),
        ("max(empty)", "empty", "nothing to choose from"),
        ("min(1)", "type-mismatch", "min takes a list"),
        ("sum(words)", "type-mismatch", "a list of numbers"),
        ("sum(1)", "type-mismatch", "sum takes a list"),
        ("round(1.5, 99)", "type-mismatch", "-15 to 15"),
        ("round(1.5, true)", "type-mismatch", "-15 to 15"),
        ("lower(1)", "type-mismatch", "lower takes a string"),
        ("any(1)", "type-mismatch", "any takes a list"),
        ("matches(1, '*')", "type-mismatch", "matches takes a string"),
        ("matches('a', 1)", "type-mismatch", "matches takes a string"),
        ("str(items)", "type-mismatch", "str takes a string, a number, true, false or null, not a list"),
        ("timestamp('2026-01-01') < 5", "type-mismatch", "null and a number"),
        ("range(1.5)", "type-mismatch", "range takes whole numbers"),
        ("range(0, true)", "type-mismatch", "range takes whole numbers"),
        ("range(500001)", "too-much-work", "500,000 elements"),
        ("keys(items)", "type-mismatch", "keys takes an object, not a list"),
        ("1 / 0", "division-by-zero", "1 / 0 divides by zero"),
        ("1.5 % 0", "division-by-zero", "divides by zero"),
        ("1e308 * 10", "too-large", "too large"),
        ("1e308 + 1e308", "too-large", "too large"),
        ("default(user.name.first, 1)", "type-mismatch", "a string has no keys"),
    ],
)
def test_an_expression_without_a_value_says_why(source: str, kind: str, words: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(source)(NAMES)
    assert caught.value.kind == kind
    assert words in caught.value.reason
    assert source in str(caught.value)


def test_a_condition_is_true_or_false_and_nothing_else() -> None:
    assert compile_condition("iteration >= 5")(NAMES) is True
    assert compile_condition("= not items")(NAMES) is False
    with pytest.raises(ExpressionError, match="must be true or false, not a number"):
        compile_condition("iteration")(NAMES)


def test_a_comparison_chain_evaluates_no_more_than_it_needs() -> None:
    assert compile_condition("2 < 1 < missing")({}) is False
    assert compile_condition("false and missing")({}) is False
    assert compile_condition("true or missing")({}) is True


def test_every_integer_stays_below_1024_bits() -> None:
    largest = 2**1024 - 1
    assert compile_expression("a + 0")({"a": largest}) == largest
    with pytest.raises(ExpressionError, match="1,024 bits"):
        compile_expression("a + 1")({"a": largest})
    with pytest.raises(ExpressionError, match="too large"):
        compile_expression("a / 1")({"a": largest})


def test_a_joined_string_has_at_most_10000_characters() -> None:
    assert len(compile_expression("a + 'x'")({"a": "y" * 9_999})) == 10_000
    with pytest.raises(ExpressionError, match="10,000 characters"):
        compile_expression("a + 'x'")({"a": "y" * 10_000})


def test_names_are_the_free_names_and_optional_those_that_are_only_looked_for() -> None:
    expression = compile_expression("a.b + default(c, d) > 0 and exists(a) and exists(e.f) and true")
    assert expression.names == {"a", "c", "d", "e"}
    assert expression.optional_names == {"c", "e"}


def test_names_may_come_from_any_mapping() -> None:
    names = MappingProxyType({"state": MappingProxyType({"odd key": [1]}), "a": 2})
    assert compile_expression("state['odd key'][0] + a + len(state)")(names) == 4
    assert compile_expression("exists(state.other)")(names) is False


def test_values_nested_too_deeply_to_compare_are_an_error() -> None:
    one: list[Any] = []
    other: list[Any] = []
    for _ in range(100_000):
        one, other = [one], [other]
    with pytest.raises(ExpressionError, match="nested too deeply"):
        compile_expression("one == other")({"one": one, "other": other})


def test_a_template_fills_in_expressions_at_any_depth() -> None:
    template = compile_value({"n": "= iteration", "deep": [{"x": ["= user.name", "==raw", 1]}], "plain": {"a": None}})
    assert template(NAMES) == {"n": 5, "deep": [{"x": ["Ada", "=raw", 1]}], "plain": {"a": None}}
    assert template.names == {"iteration", "user"}
    assert not template.is_literal


def test_a_template_gives_a_fresh_value_each_time() -> None:
    template = compile_value([["= a"]])
    first = template({"a": 1})
    first[0].append(2)
    assert template({"a": 1}) == [[1]]


def test_a_template_without_expressions_is_literal() -> None:
    template = compile_value({"a": ["==x", 1]})
    assert template.is_literal
    assert template({}) == template.value == {"a": ["=x", 1]}


def test_optional_names_of_a_template_are_optional_in_all_its_expressions() -> None:
    assert compile_value(["= exists(a)", "= default(b, 1)"]).optional_names == {"a", "b"}
    assert compile_value(["= exists(a)", "= a"]).optional_names == frozenset()


def test_expressions_in_a_value_come_with_their_paths() -> None:
    assert list(expressions_in({"a": ["= x", "==y"], "b": "= z"})) == [(("a", 0), "= x"), (("b",), "= z")]


@pytest.mark.parametrize(
    ("source", "advice"),
    [
        ("done && none", "write and for &&"),
        ("done || !none", "write or for ||, write not for !"),
        ("iteration === 5", "write == for ==="),
        ("iteration !== 5", "write != for !=="),
        ("iteration = 5", "write == for ="),
        ("done ? 1 : 2", "write x if condition else y for ? :"),
        ("iteration == '&&' 5", "invalid syntax"),
        ("iteration >= 5 5", "invalid syntax"),
    ],
)
def test_operators_of_other_languages_are_refused_with_ours(source: str, advice: str) -> None:
    with pytest.raises(ExpressionInvalid) as refusal:
        compile_expression(source)
    assert str(refusal.value).endswith(f": {advice}.")


def test_a_template_that_does_not_compile_is_refused() -> None:
    with pytest.raises(ExpressionInvalid):
        compile_value({"a": "= 1 +"})


def test_usage_of_every_function_names_it() -> None:
    assert all(function.usage.startswith(f"{name}(") for name, function in FUNCTIONS.items())


json_scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=4)
)
json_values = st.recursive(
    json_scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
)
sources = st.recursive(
    st.sampled_from(["a", "b", "1", "2.5", "'x'", "true", "null", "[a, 1]", "a.b", "b['x']", "a[0]"]),
    lambda inner: st.one_of(
        st.builds(
            "({} {} {})".format,
            inner,
            st.sampled_from(["+", "-", "*", "/", "//", "%", "<", "<=", "==", "!=", "in", "not in", "and", "or"]),
            inner,
        ),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("{}({})".format, st.sampled_from([*FUNCTIONS, "not ", "-", "exists"]), inner),
        st.builds("{}({}, {})".format, st.sampled_from(["min", "default", "contains", "round"]), inner, inner),
    ),
    max_leaves=8,
)


@given(source=sources, a=json_values, b=json_values)
def test_whatever_the_values_the_result_is_json_or_a_named_error(source: str, a: Any, b: Any) -> None:
    before = repr((a, b))
    try:
        result = compile_expression(source)({"a": a, "b": b})
    except (ExpressionInvalid, ExpressionError):
        pass
    else:
        assert isinstance(result, None.__class__ | bool | int | float | str | list | dict)
        if isinstance(result, float) and not any(map(math.isinf, _floats([a, b]))):
            assert math.isfinite(result)
    assert repr((a, b)) == before


def _floats(value: Any) -> list[float]:
    match value:
        case float():
            return [value]
        case list():
            return [number for item in value for number in _floats(item)]
        case dict():
            return _floats(list(value.values()))
        case _:
            return []


@given(st.text(alphabet="ab1. ()[]{}'\"=<>!+-*/%,:@&|^~\\\n\0_lambdaifornotexists", max_size=60))
def test_any_text_compiles_or_is_refused_with_a_reason(text: str) -> None:
    try:
        compile_expression(text)
    except ExpressionInvalid as error:
        assert error.reason
