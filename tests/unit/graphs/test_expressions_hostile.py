"""Expressions written to break out, to hang, or to eat memory: each is refused or gives a small value quickly."""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest

from graphs.expressions import ExpressionError, ExpressionInvalid, compile_expression

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
    "type(a)",
    "print(1)",
    "input()",
    "breakpoint()",
    "help()",
    "str(a)",
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
    "range(10)",
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


@pytest.mark.parametrize("source", REFUSED)
def test_what_is_not_on_the_whitelist_does_not_compile(source: str) -> None:
    with pytest.raises(ExpressionInvalid) as caught:
        compile_expression(source)
    assert caught.value.reason.endswith(".")


@pytest.mark.parametrize("source", BOUNDED)
def test_what_compiles_is_quick_small_and_changes_nothing(source: str) -> None:
    expression = compile_expression(source)
    before = copy.deepcopy(NAMES)
    started = time.perf_counter()
    try:
        value = expression(NAMES)
    except ExpressionError:
        value = None
    assert time.perf_counter() - started < 0.1
    assert len(repr(value)) < 50_000
    assert before == NAMES


def test_the_message_of_a_long_expression_is_short() -> None:
    with pytest.raises(ExpressionInvalid) as caught:
        compile_expression("1 + " * 1_000)
    assert len(str(caught.value)) < 500
