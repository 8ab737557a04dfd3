"""How complex the functions are, by radon's rules (`radon cc -s --show-closures`)."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

from radon.visitors import ComplexityVisitor, Function
from typing_extensions import TypedDict

from tools import Context, tool
from tools.builtin.code_review.source import definitions, parse_readable

Block = Any
"""One of radon's `Function` and `Class`."""

COMPLEXITY_LIMIT = 10
"""McCabe's limit: a function past it is better split."""


class Complexity(TypedDict):
    complexity_scores: dict[str, int]


@tool(effect="pure")
def check_complexity(ctx: Context, code: str) -> Complexity:
    """Measure the cyclomatic complexity of every function, method, closure and class that radon reports.

    The names are those of `extract_functions`. A class has the average of its methods plus one, as in radon.
    """
    return {"complexity_scores": complexity_of(parse_readable(code), warn=ctx.log)}


def complexity_of(tree: ast.Module, *, warn: Callable[[str], None]) -> dict[str, int]:
    """Return the complexity of each block by name. Says with `warn` which lines radon cannot measure."""
    names = {(one.node.lineno, one.node.col_offset): one.name for one in definitions(tree)}
    return {
        names[block.lineno, block.col_offset]: block.complexity
        for top in _top_blocks(tree, warn)
        for block in _with_inner(top)
    }


def _top_blocks(tree: ast.Module, warn: Callable[[str], None]) -> Iterator[Block]:
    # Statement by statement, so that one that is nested deeper than radon can follow costs only itself.
    for statement in tree.body:
        visitor = ComplexityVisitor()
        try:
            visitor.visit(statement)
        except RecursionError:
            warn(f"radon cannot measure the statement at line {statement.lineno}: it is nested too deeply.")
        else:
            yield from (*visitor.functions, *visitor.classes)


def _with_inner(block: Block) -> Iterator[Block]:
    yield block
    inner = block.closures if isinstance(block, Function) else (*block.methods, *block.inner_classes)
    for one in inner:
        yield from _with_inner(one)
