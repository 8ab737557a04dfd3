"""JSON values with expressions inside: what stands in `inputs`, `outputs` and `collect`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, final

from graphs.expressions.compiler import Names, compile_expression

Json = Any
Fill = Callable[[Names], Json]


@final
class ValueTemplate:
    """A JSON value to fill in. Literal parts are shared between the results: do not change them in place."""

    __slots__ = ("_fill", "is_literal", "names", "optional_names", "value")

    def __init__(self, value: Json, fill: Fill | None, names: frozenset[str], optional: frozenset[str]) -> None:
        self.value = value
        """As it was written; if `is_literal`, what every call gives."""
        self.names = names
        self.optional_names = optional
        self.is_literal = fill is None
        self._fill = fill

    def __call__(self, names: Names) -> Json:
        return self.value if self._fill is None else self._fill(names)


def compile_value(value: Json) -> ValueTemplate:
    """Compile every string that begins with `=`, at any depth; `==x` is the literal `=x`. Raises ExpressionInvalid."""
    compiled = [compile_expression(source) for _, source in expressions_in(value)]
    names = frozenset[str]().union(*(expression.names for expression in compiled))
    required = frozenset[str]().union(*(expression.names - expression.optional_names for expression in compiled))
    literal, fill = _compile(value)
    return ValueTemplate(literal, fill, names, names - required)


def expressions_in(value: Json, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every expression in a value, with the path that leads to it."""
    match value:
        case str() if is_expression(value):
            yield path, value
        case list():
            for index, item in enumerate(value):
                yield from expressions_in(item, (*path, index))
        case dict():
            for key, item in value.items():
                yield from expressions_in(item, (*path, key))


def is_expression(value: Json) -> bool:
    """Whether a value is written as an expression: a string that begins with `=`, and not with `==`."""
    return isinstance(value, str) and value.startswith("=") and not value.startswith("==")


def _compile(value: Json) -> tuple[Json, Fill | None]:
    """The value with `==` unescaped, and how to fill it in; None if there is nothing to fill in."""
    match value:
        case str():
            if is_expression(value):
                return value, compile_expression(value)
            return value.removeprefix("=") if value.startswith("==") else value, None
        case list():
            parts = [_compile(item) for item in value]
            literal = [literal for literal, _ in parts]
            holes = [(index, fill) for index, (_, fill) in enumerate(parts) if fill]
            return literal, _filler(literal, holes) if holes else None
        case dict():
            named = {key: _compile(item) for key, item in value.items()}
            literal_object = {key: literal for key, (literal, _) in named.items()}
            gaps = [(key, fill) for key, (_, fill) in named.items() if fill]
            return literal_object, _filler(literal_object, gaps) if gaps else None
        case _:
            return value, None


def _filler(literal: Any, holes: list[tuple[Any, Fill]]) -> Fill:
    def fill(names: Names) -> Json:
        filled = literal.copy()
        for key, part in holes:
            filled[key] = part(names)
        return filled

    return fill
