"""A Python file as a syntax tree, and what is defined in it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tools import ToolError

MAX_CODE_BYTES = 1024 * 1024

Kind = Literal["function", "method", "closure", "class"]
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
DefinitionNode = FunctionNode | ast.ClassDef

_BLOCKS = ("body", "handlers", "cases", "orelse", "finalbody")
"""Where statements have statements inside, in the order of their lines."""


class Unreadable(Exception):
    """This Python cannot parse the code. `line` and `column` count from 1."""

    def __init__(self, message: str, *, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A function or class of the file."""

    name: str
    """Qualified by what it is defined in, as in `Class.method.closure`; a repeated name ends with its line."""
    kind: Kind
    public: bool
    """Reachable from outside by names without a leading underscore."""
    node: DefinitionNode


def parse(code: str) -> ast.Module:
    """Return the syntax tree; raises Unreadable, and ToolError for a file past the size limit."""
    size_bytes = len(code.encode())
    if size_bytes > MAX_CODE_BYTES:
        raise ToolError(f"The code has {size_bytes:,} bytes; a review takes at most {MAX_CODE_BYTES:,}.")
    try:
        return ast.parse(code.removeprefix("\ufeff"))
    except SyntaxError as error:
        raise Unreadable(error.msg, line=error.lineno or 1, column=error.offset or 1) from None
    except (RecursionError, MemoryError):
        raise Unreadable("The code is nested too deeply for Python to parse.") from None


def parse_readable(code: str) -> ast.Module:
    """Return the syntax tree, an empty one if the code is unreadable: `detect_issues` is who says so."""
    try:
        return parse(code)
    except Unreadable:
        return ast.Module(body=[], type_ignores=[])


def statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield every statement of the file, at any depth, in the order of their lines."""
    return (node for node, _, _ in _walk(tree))


def definitions(tree: ast.Module) -> list[Definition]:
    """Return every function and class of the file, at any depth, in the order of their lines."""
    found: list[Definition] = []
    names: set[str] = set()
    for node, scope, parent in _walk(tree):
        if not isinstance(node, DefinitionNode):
            continue
        path = (*scope, node.name)
        name = ".".join(path)
        if name in names:
            name = f"{name}:{node.lineno}"
        names.add(name)
        public = not isinstance(parent, FunctionNode) and not any(part.startswith("_") for part in path)
        found.append(Definition(name=name, kind=_kind(node, parent), public=public, node=node))
    return found


def _kind(node: DefinitionNode, parent: DefinitionNode | None) -> Kind:
    if isinstance(node, ast.ClassDef):
        return "class"
    if isinstance(parent, ast.ClassDef):
        return "method"
    return "closure" if parent else "function"


def _walk(tree: ast.Module) -> Iterator[tuple[ast.stmt, tuple[str, ...], DefinitionNode | None]]:
    """Yield each statement with the names of the definitions around it, and the innermost of these."""
    # With a stack of its own: a long chain of `elif` nests deeper than Python functions may.
    stack: list[tuple[ast.AST, tuple[str, ...], DefinitionNode | None]] = [(tree, (), None)]
    while stack:
        node, scope, parent = stack.pop()
        if isinstance(node, ast.stmt):
            yield node, scope, parent
        if isinstance(node, DefinitionNode):
            scope, parent = (*scope, node.name), node
        inner = [child for block in _BLOCKS for child in getattr(node, block, ())]
        stack += [(child, scope, parent) for child in reversed(inner)]
