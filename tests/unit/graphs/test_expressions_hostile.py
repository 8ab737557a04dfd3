"""Expressions written to break out, to hang, or to eat memory: each is refused or gives a small value quickly."""

from __future__ import annotations

import copy
import time
from contextlib import suppress
from functools import lru_cache
from typing import Any

import pytest

from graphs.expressions import ExpressionError, ExpressionInvalid, compile_expression
from graphs.expressions.work import CHARACTERS_PER_ELEMENT, MAX_ELEMENTS

NAMES: dict[str, Any] = {
    "a": {"b": {"c": 1}},
    "items": list(range(1_000)),
    "user": {"name": "Ada", "role": "admin"},
    "text": "x" * 5_000,
    "big": 2**1000,
    "f": 1.5,
}

REFUSED = [
    # a way to Python's objects
    "__import__('os').system('true')",
    "().__class__.__bases__[0].__subclasses__()",
    "a.__class__",
    "a.b.__dict__",
    "''.__class__.__mro__",
    "_private",
    "(1).real.__class__",
    "[].__len__()",
    "eval('1')",
    "exec('1')",
    "compile('1', '', 'eval')",
    "open('/etc/passwd')",
    "globals()",
    "locals()",
    "vars()",
    "dir(a)",
    "getattr(a, 'b')",
    "setattr(a, 'b', 1)",
    "vars(a)",
    "print(1)",
    "input()",
    "breakpoint()",
    "help()",
    "repr(a)",
    "'{0.__class__}'.format(a)",
    "f'{a}'",
    "f'{1:>2000000000}'",
    "items.append(1)",
    "user.pop('name')",
    "user.update(a)",
    "items.sort()",
    "(lambda: 1)()",
    "lambda: 1",
    "(x := 1)",
    "len(*items)",
    "len(items=1)",
    "min(**user)",
    "default(1 + 1, 2)",
    "exists('a')",
    "a if a",
    "import os",
    "a = 1",
    "del a",
    "a; 1",
    "await a",
    "(yield 1)",
    "yield",
    "async def f(): pass",
    "...",
    "b'bytes'",
    "1j",
    "a is a",
    "a is 1",
    "+1",
    "~1",
    # a way to make it slow or large
    "9 ** 9 ** 9",
    "2 ** 1000000",
    "1 << 1000000000",
    "1 >> 1",
    "1 | 2",
    "1 & 2",
    "1 ^ 2",
    "[1] @ [2]",
    "[x for x in items]",
    "{x for x in items}",
    "{x: x for x in items}",
    "(x for x in items)",
    "sum(x for x in items)",
    "[*items, *items]",
    "items[0:10]",
    "items[::2]",
    "{'a': 1}",
    "{1, 2}",
    "bytes(10)",
    "sorted(items)",
    "pow(9, 9)",
    "1e999",
    "9" * 400,
    "9" * 1_999,
    "(" * 33 + "1" + ")" * 33,
    "(" * 900 + "1" + ")" * 900,
    "[" * 900 + "]" * 900,
    "[" * 1_999,
    "not " * 490 + "1",
    "not " * 33 + "1",
    "-" * 1_500 + "1",
    "1" + " + 1" * 450,
    "1" + " < 1" * 9,
    "1" + " or 1" * 250,
    "a" + ".b" * 40,
    "a" + "[0]" * 40,
    "1 if 1 else " * 40 + "1",
    "1" + " " * 2_000,
    "max(" * 33 + "items" + ")" * 33,
    # text that no database or parser should have to see
    "'a\0b'",
    "'\\0'",
    "'\\ud800'",
    "'\ud800'",
    "",
    "   ",
    "=",
    "==1",
    "# only a comment",
    "'unfinished",
    '"""',
    "\\",
    "a b",
    "ａ(1)",
]

BOUNDED = [
    "'%2000000000d' % 1",
    "'x' * 1000000000",
    "[0] * 1000000000",
    "text + text + text",
    "big * big",
    "big * f",
    "big / 3",
    "round(f, 1000000000)",
    "round(f, -1000000000)",
    "1 // 0",
    "items[items[items[items[999]]]]",
    "a.b.c.d",
    "user.items",
    "user['__class__']",
    "items['__len__']",
    "items == [items, items]",
    "[[items, items], [items, items]] == [[items, items], [items, items]]",
    "contains(items, items)",
    "upper(text) == lower(text)",
    "min(items) + max(items) + sum(items)",
]

PATIENCE_S = 10.0
"""Of CPU: tells what would take minutes from what is quick, also on a machine that is slow and traced."""


LOOKING = {
    "contains(items, -1)": 1,
    "-1 in items": 1,
    "-1 not in items": 1,
    "items == same": 1,
    "items != same": 1,
    "1 != items == same": 1,
    "[items] == [same]": 1,
    "keyed == also_keyed": 1,
    "sum(items)": 1,
    "min(items)": 1,
    "max(items)": 1,
    "any(items)": 1,
    "all(items)": 1,
    "'b' in text": CHARACTERS_PER_ELEMENT,
    "lower(text)": CHARACTERS_PER_ELEMENT,
    "upper(text)": CHARACTERS_PER_ELEMENT,
    "matches(text, 'y*')": CHARACTERS_PER_ELEMENT,
    "keys(keyed)": 1,
}
"""Expressions that look at a value as a whole, and how many parts of it are counted as one element."""


@lru_cache
def names_with(elements: int) -> dict[str, Any]:
    """Values of which each has so many elements."""
    items = [0] * elements
    keyed = {str(number): 0 for number in range(elements)}
    text = "x" * (elements * CHARACTERS_PER_ELEMENT)
    return {"items": items, "same": list(items), "keyed": keyed, "also_keyed": dict(keyed), "text": text}


@pytest.mark.parametrize("source", REFUSED)
def test_what_is_not_on_the_whitelist_does_not_compile(source: str) -> None:
    with pytest.raises(ExpressionInvalid) as caught:
        compile_expression(source)
    assert caught.value.reason.endswith(".")


@pytest.mark.parametrize("source", BOUNDED)
def test_what_compiles_is_quick_small_and_changes_nothing(source: str) -> None:
    expression = compile_expression(source)
    before = copy.deepcopy(NAMES)
    started = time.process_time()
    try:
        value = expression(NAMES)
    except ExpressionError:
        value = None
    assert time.process_time() - started < PATIENCE_S
    assert len(repr(value)) < 50_000
    assert before == NAMES


@pytest.mark.parametrize("source", LOOKING)
def test_an_expression_may_look_at_so_many_elements_and_at_no_more(source: str) -> None:
    expression = compile_expression(source)
    more_than_once = MAX_ELEMENTS - (1 if source.startswith("[items]") else 0)  # the outer list has an element, too
    within, beyond = names_with(more_than_once), names_with(MAX_ELEMENTS + 1)
    for _ in range(2):  # each evaluation begins anew
        expression(within)
        with pytest.raises(ExpressionError, match="500,000 elements") as caught:
            expression(beyond)
        assert caught.value.kind == "too-much-work"


def test_all_that_an_expression_looks_at_counts_together() -> None:
    half = MAX_ELEMENTS // 2
    twice, thrice = (compile_expression(" or ".join(["contains(items, -1)"] * times)) for times in (2, 3))
    assert twice(names_with(half)) is False
    with pytest.raises(ExpressionError, match="500,000 elements"):
        thrice(names_with(half))


@pytest.mark.parametrize(
    "source",
    [
        " or ".join(["contains(items, -1)"] * 40),
        " and ".join(["items == same"] * 40),
        " and ".join(["keyed == also_keyed"] * 40),
        " or ".join(["sum(items) > 1"] * 40),
        " or ".join(["max(items) > 1"] * 40),
        " or ".join(["not all(same)"] * 40),
        "upper(" * 30 + "text" + ")" * 30,
        " or ".join(["contains(text, 'b')"] * 40),
        " or ".join(["matches(text, '*xy*xy*')"] * 40),
        " or ".join(["not keys(keyed)"] * 40),
        " or ".join(["not range(250000)"] * 40),
    ],
)
def test_the_worst_expression_over_the_largest_values_ends_soon(source: str) -> None:
    names = {**names_with(MAX_ELEMENTS // 4), "same": [0.0] * (MAX_ELEMENTS // 4)}
    expression = compile_expression(source)
    started = time.process_time()
    with suppress(ExpressionError):
        expression(names)
    assert time.process_time() - started < PATIENCE_S


@pytest.mark.parametrize("of_nothing", ["kind == 'a'", "null != items", "len(items) > 0", "exists(items) and n < 3"])
def test_what_looks_at_no_elements_is_not_counted(of_nothing: str) -> None:
    names = {**names_with(MAX_ELEMENTS + 1), "kind": "a", "n": 1}
    assert compile_expression(of_nothing)(names) is True


def test_values_nested_deeply_are_compared_in_one_walk() -> None:
    nested, other = [1], [1]
    for _ in range(60):
        nested, other = [nested], [other]
    names = {"a": [nested] * 2_000, "b": [other] * 2_000}
    assert compile_expression("a == b")(names) is True


def test_the_message_of_a_long_expression_is_short() -> None:
    with pytest.raises(ExpressionInvalid) as caught:
        compile_expression("1 + " * 1_000)
    assert len(str(caught.value)) < 500
