"""From text to a closure: walk a whitelist of Python's syntax and build a function for each part."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, final

from graphs.expressions.errors import ExpressionError, ExpressionInvalid, Failed, Missing
from graphs.expressions.functions import FUNCTIONS
from graphs.expressions.operators import OPERATORS, Test, comparison
from graphs.expressions.parser import MAX_DEPTH, parse
from graphs.expressions.values import MAX_INT_BITS, MAX_TEXT, look_up, negate, type_of
from graphs.expressions.work import counted

Json = Any
Names = Mapping[str, Json]
Evaluate = Callable[[Names], Json]

MAX_OPERATIONS = 200
MAX_CHAIN = 8

_WORDS = {"true": True, "false": False, "null": None}
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@final
class Expression:
    """A compiled expression. Call it with the names it may see; raises ExpressionError if it has no value."""

    __slots__ = ("_evaluate", "names", "optional_names", "source")

    def __init__(self, source: str, evaluate: Evaluate, names: frozenset[str], optional: frozenset[str]) -> None:
        self.source = source
        self.names = names
        """Every free name."""
        self.optional_names = optional
        """Those that stand only in `exists` and `default`, so that they may be missing."""
        self._evaluate = evaluate

    def __call__(self, names: Names) -> Json:
        try:
            return self._evaluate(names)
        except Failed as failed:
            raise ExpressionError(self.source, failed.kind, failed.reason) from None
        except RecursionError:
            raise ExpressionError(self.source, "too-deep", "the values are nested too deeply.") from None

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"


@lru_cache(maxsize=8_192)
def compile_expression(source: str) -> Expression:
    """Compile the text (one `=` in front is allowed). Raises ExpressionInvalid."""
    return _compile(source)


@lru_cache(maxsize=8_192)
def compile_condition(source: str) -> Expression:
    """Compile an expression whose value must be true or false; another is an ExpressionError."""
    expression = _compile(source)
    evaluate = partial(_truth, expression._evaluate)
    return Expression(source, evaluate, expression.names, expression.optional_names)


def _truth(evaluate: Evaluate, names: Names) -> bool:
    value = evaluate(names)
    if value is True or value is False:
        return value
    raise Failed(
        "not-boolean", f"a condition must be true or false, not {type_of(value)}; compare the value with something."
    )


def _compile(source: str) -> Expression:
    tree = parse(source)
    compiler = _Compiler(source)
    evaluate = compiler.build(tree, depth=1)
    if compiler.looks_inside:
        evaluate = counted(evaluate)
    names = frozenset(compiler.required | compiler.looked_for)
    return Expression(source, evaluate, names, names - compiler.required)


class _Compiler:
    """Builds the closure of one expression, and collects its names on the way."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.required: set[str] = set()
        self.looked_for: set[str] = set()
        self.looks_inside = False
        """Whether anything in it takes a time that depends on how large a value is."""
        self.guarded = 0
        self.operations = 0

    def refuse(self, reason: str) -> ExpressionInvalid:
        return ExpressionInvalid(self.source, reason)

    def build(self, node: ast.expr, depth: int) -> Evaluate:
        self.operations += 1
        if depth > MAX_DEPTH:
            raise self.refuse(f"it is nested more than {MAX_DEPTH} deep.")
        if self.operations > MAX_OPERATIONS:
            raise self.refuse(f"it has more than {MAX_OPERATIONS} operations; let a tool do this.")
        match node:
            case ast.Constant():
                return self._constant(node.value)
            case ast.Name():
                return self._name(node.id)
            case ast.Attribute():
                return self._attribute(node, depth)
            case ast.Subscript():
                return self._subscript(node, depth)
            case ast.Compare():
                return self._comparison(node, depth)
            case ast.BoolOp():
                return self._logic(node, depth)
            case ast.UnaryOp():
                return self._unary(node, depth)
            case ast.BinOp():
                return self._binary(node, depth)
            case ast.IfExp():
                return self._conditional(node, depth)
            case ast.List() | ast.Tuple():
                return self._list(node, depth)
            case ast.Call():
                return self._call(node, depth)
            case _:
                raise self.refuse(_REFUSALS.get(type(node), "it uses something that is not part of the language."))

    def _constant(self, value: object) -> Evaluate:
        if isinstance(value, str):
            if len(value) > MAX_TEXT or _UNSTORABLE.search(value):
                raise self.refuse("a string in it holds a NUL character or half of a surrogate pair.")
        elif isinstance(value, float):
            if value in (float("inf"), float("-inf")):
                raise self.refuse("a number in it is too large.")
        elif isinstance(value, int):
            if value.bit_length() > MAX_INT_BITS:
                raise self.refuse(f"a number in it has more than {MAX_INT_BITS:,} bits.")
        elif value is not None:
            raise self.refuse("only numbers, strings, true, false and null can be written in it.")
        return lambda names: value

    def _name(self, name: str) -> Evaluate:
        if name in _WORDS:
            return self._constant(_WORDS[name])
        if name.startswith("_"):
            raise self.refuse(f'a name cannot start with _; write state["{name}"] for such a key.')
        (self.looked_for if self.guarded else self.required).add(name)

        def load(names: Names) -> Json:
            try:
                return names[name]
            except KeyError:
                raise Missing(
                    f'there is no "{name}" in the state; give it a default, or use exists({name}) '
                    f"or default({name}, value)."
                ) from None

        return load

    def _attribute(self, node: ast.Attribute, depth: int) -> Evaluate:
        key = node.attr
        if key.startswith("_"):
            raise self.refuse(f'a key after a point cannot start with _; write ["{key}"].')
        container = self.build(node.value, depth + 1)

        def get(names: Names) -> Json:
            value = container(names)
            return value[key] if type(value) is dict and key in value else look_up(value, key)

        return get

    def _subscript(self, node: ast.Subscript, depth: int) -> Evaluate:
        container, key = self.build(node.value, depth + 1), self.build(node.slice, depth + 1)
        return lambda names: look_up(container(names), key(names))

    def _comparison(self, node: ast.Compare, depth: int) -> Evaluate:
        if len(node.ops) > MAX_CHAIN:
            raise self.refuse(f"it compares more than {MAX_CHAIN} times in one chain; join comparisons with and.")
        for operator_, right in zip(node.ops, node.comparators, strict=True):
            if isinstance(operator_, ast.Is | ast.IsNot) and not _is_singleton(right):
                raise self.refuse("is works with null, true and false only; use == instead.")
        operands = [self.build(operand, depth + 1) for operand in [node.left, *node.comparators]]
        self.looks_inside |= _compares_values(node)
        if len(node.ops) == 1:
            test, (first, second) = comparison(node.ops[0]), operands
            return lambda names: test(first(names), second(names))
        return _chain([comparison(operator_) for operator_ in node.ops], operands)

    def _logic(self, node: ast.BoolOp, depth: int) -> Evaluate:
        parts = [self.build(part, depth + 1) for part in node.values]
        joined = _either if isinstance(node.op, ast.Or) else _both
        evaluate = parts[-1]
        for part in reversed(parts[:-1]):
            evaluate = joined(part, evaluate)
        return evaluate

    def _unary(self, node: ast.UnaryOp, depth: int) -> Evaluate:
        operand = self.build(node.operand, depth + 1)
        if isinstance(node.op, ast.Not):
            return lambda names: not operand(names)
        if isinstance(node.op, ast.USub):
            return lambda names: negate(operand(names))
        raise self.refuse("of the signs only - can stand before a value.")

    def _binary(self, node: ast.BinOp, depth: int) -> Evaluate:
        function = OPERATORS.get(type(node.op))
        if function is None:
            raise self.refuse("of the operators it may use + - * / // % only.")
        left, right = self.build(node.left, depth + 1), self.build(node.right, depth + 1)
        return lambda names: function(left(names), right(names))

    def _conditional(self, node: ast.IfExp, depth: int) -> Evaluate:
        test = self.build(node.test, depth + 1)
        then, otherwise = self.build(node.body, depth + 1), self.build(node.orelse, depth + 1)
        return lambda names: then(names) if test(names) else otherwise(names)

    def _list(self, node: ast.List | ast.Tuple, depth: int) -> Evaluate:
        elements = [self.build(element, depth + 1) for element in node.elts]
        return lambda names: [element(names) for element in elements]

    def _call(self, node: ast.Call, depth: int) -> Evaluate:
        if isinstance(node.func, ast.Attribute):
            raise self.refuse(f"values have no methods; write {node.func.attr}(value, …) if there is such a function.")
        if not isinstance(node.func, ast.Name):
            raise self.refuse("only functions of the language can be called.")
        name, arguments = node.func.id, node.args
        if node.keywords or any(isinstance(argument, ast.Starred) for argument in arguments):
            raise self.refuse(f"{name} takes plain arguments only, no names and no stars.")
        if name in ("exists", "default"):
            return self._lookout(name, arguments, depth)
        function = FUNCTIONS.get(name)
        if function is None:
            known = ", ".join(sorted([*FUNCTIONS, "exists", "default"]))
            raise self.refuse(f"there is no function {name}; there are {known}.")
        if len(arguments) < function.least or (function.most is not None and len(arguments) > function.most):
            raise self.refuse(f"{name} is written {function.usage}.")
        self.looks_inside |= function.looks_inside
        return _applied(function.call, [self.build(argument, depth + 1) for argument in arguments])

    def _lookout(self, name: str, arguments: list[ast.expr], depth: int) -> Evaluate:
        """`exists(path)` and `default(path, value)`, which do not mind if the path leads nowhere."""
        if len(arguments) != (1 if name == "exists" else 2):
            raise self.refuse("write exists(path) or default(path, value).")
        if not isinstance(arguments[0], ast.Name | ast.Attribute | ast.Subscript):
            raise self.refuse(f"{name} looks for a name or a path such as user.address, not for a value.")
        self.guarded += 1
        path = self.build(arguments[0], depth + 1)
        self.guarded -= 1
        if name == "exists":
            return partial(_exists, path)
        return partial(_default, path, self.build(arguments[1], depth + 1))


def _exists(path: Evaluate, names: Names) -> bool:
    try:
        path(names)
    except Missing:
        return False
    return True


def _default(path: Evaluate, fallback: Evaluate, names: Names) -> Json:
    try:
        return path(names)
    except Missing:
        return fallback(names)


def _compares_values(node: ast.Compare) -> bool:
    """Whether a comparison may look inside values. That with a constant, by far the most frequent, does not."""
    lefts = [node.left, *node.comparators]
    for operator_, left, right in zip(node.ops, lefts, node.comparators, strict=False):
        if isinstance(operator_, ast.In | ast.NotIn):
            return True
        if isinstance(operator_, ast.Eq | ast.NotEq) and not (_is_constant(left) or _is_constant(right)):
            return True
    return False


def _is_constant(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) or _is_singleton(node)


def _is_singleton(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=None | True | False):
            return True
        case ast.Name(id=name):
            return name in _WORDS
        case _:
            return False


def _either(left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda names: left(names) or right(names)


def _both(left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda names: left(names) and right(names)


def _chain(tests: list[Test], operands: list[Evaluate]) -> Evaluate:
    def evaluate(names: Names) -> bool:
        left = operands[0](names)
        for test, operand in zip(tests, operands[1:], strict=True):
            right = operand(names)
            if not test(left, right):
                return False
            left = right
        return True

    return evaluate


def _applied(function: Callable[..., Json], arguments: list[Evaluate]) -> Evaluate:
    if len(arguments) == 1:
        only = arguments[0]
        return lambda names: function(only(names))
    return lambda names: function(*[argument(names) for argument in arguments])


_REFUSALS: dict[type[ast.expr], str] = {
    ast.Lambda: "functions cannot be written in it.",
    ast.ListComp: "it cannot loop; use a map, or let a tool do this.",
    ast.SetComp: "it cannot loop; use a map, or let a tool do this.",
    ast.DictComp: "it cannot loop; use a map, or let a tool do this.",
    ast.GeneratorExp: "it cannot loop; use a map, or let a tool do this.",
    ast.JoinedStr: "f-strings are not part of the language; add strings with +.",
    ast.Dict: "objects cannot be written in it; write the object in JSON with expressions inside.",
    ast.Set: "sets cannot be written in it; use a list.",
    ast.NamedExpr: "names cannot be assigned in it.",
    ast.Slice: "parts of a list cannot be taken with a colon; let a tool do this.",
    ast.Starred: "stars are not part of the language.",
}
