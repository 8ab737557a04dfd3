"""Which operators there are, by the name of their syntax, and the functions that work them out."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

from graphs.expressions.values import add, arithmetic, contains, ordered, same

Json = Any
Test = Callable[[Json, Json], bool]

_ORDERINGS: dict[type[ast.cmpop], tuple[str, Test]] = {
    ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le),
    ast.Gt: (">", operator.gt),
    ast.GtE: (">=", operator.ge),
}
_TESTS: dict[type[ast.cmpop], Test] = {
    ast.Eq: same,
    ast.NotEq: lambda left, right: not same(left, right),
    ast.In: lambda left, right: contains(right, left),
    ast.NotIn: lambda left, right: not contains(right, left),
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}
OPERATORS: dict[type[ast.operator], Callable[[Json, Json], Json]] = {
    ast.Add: add,
    ast.Sub: arithmetic("-"),
    ast.Mult: arithmetic("*"),
    ast.Div: arithmetic("/"),
    ast.FloorDiv: arithmetic("//"),
    ast.Mod: arithmetic("%"),
}


def comparison(operator_: ast.cmpop) -> Test:
    """The function of a comparison operator."""
    kind = type(operator_)
    if kind not in _ORDERINGS:
        return _TESTS[kind]
    symbol, compare = _ORDERINGS[kind]

    def test(left: Json, right: Json) -> bool:
        if not (type(left) is type(right) is int):
            ordered(symbol, left, right)
        return compare(left, right)

    return test
