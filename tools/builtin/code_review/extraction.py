"""Which functions a file has."""

from __future__ import annotations

import ast

from typing_extensions import TypedDict

from tools import tool
from tools.builtin.code_review.source import Definition, FunctionNode, definitions, parse_readable


class Function(TypedDict):
    """A function, method or closure. `line` is that of its `def`, counted from 1."""

    name: str
    """Qualified, as in `Class.method.closure`; a repeated name ends with its line. Unique within the file."""
    kind: str
    """function, method or closure"""
    line: int
    end_line: int
    is_async: bool
    parameters: list[str]
    decorators: list[str]
    documented: bool


class Extraction(TypedDict):
    functions: list[Function]


@tool(effect="pure")
def extract_functions(code: str) -> Extraction:
    """List the functions, methods and closures of Python code, in the order of their lines.

    Code that cannot be parsed has none; `detect_issues` says why.
    """
    return {"functions": functions_of(parse_readable(code))}


def functions_of(tree: ast.Module) -> list[Function]:
    """Return the functions of a parsed file."""
    return [_function(one, one.node) for one in definitions(tree) if isinstance(one.node, FunctionNode)]


def _function(definition: Definition, node: FunctionNode) -> Function:
    return Function(
        name=definition.name,
        kind=definition.kind,
        line=node.lineno,
        end_line=node.end_lineno or node.lineno,
        is_async=isinstance(node, ast.AsyncFunctionDef),
        parameters=_parameters(node.args),
        decorators=[_dotted(decorator) for decorator in node.decorator_list],
        documented=ast.get_docstring(node, clean=False) is not None,
    )


def _parameters(arguments: ast.arguments) -> list[str]:
    positional = [one.arg for one in (*arguments.posonlyargs, *arguments.args)]
    many = [f"*{arguments.vararg.arg}"] if arguments.vararg else []
    keywords = [f"**{arguments.kwarg.arg}"] if arguments.kwarg else []
    return positional + many + [one.arg for one in arguments.kwonlyargs] + keywords


def _dotted(decorator: ast.expr) -> str:
    """Return `a.b` for the decorators `@a.b` and `@a.b(…)`, `…` for what has no name."""
    parts: list[str] = []
    while True:
        match decorator:
            case ast.Call(func=inner):
                decorator = inner
            case ast.Attribute(value=inner, attr=attribute):
                parts.append(attribute)
                decorator = inner
            case ast.Name(id=name):
                return ".".join([name, *reversed(parts)])
            case _:
                return ".".join(["…", *reversed(parts)])
