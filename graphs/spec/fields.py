"""The scalar fields of a definition: names, targets, numbers, expressions."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    Strict,
    TypeAdapter,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import InitErrorDetails, ValidationError

from graphs.expressions import ExpressionInvalid, compile_expression, expressions_in, is_expression
from graphs.moments import with_zone
from graphs.spec.part import Hints, Json, complaint, describe, quoted, relocated

END = "end"
"""The target that ends a branch. No node may have this name."""

KEY_CODES = frozenset({"invalid-name", "reserved-name"})
"""What can be wrong with the key of an object, rather than with its value."""

LOCAL_NAMES = frozenset({"state", "result", "error", "index"})
"""Names that expressions give a meaning of their own."""

_NODE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_CONSTANTS = frozenset({"true", "false", "null", "True", "False", "None", "and", "or", "not", "in", "is", "if", "else"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a field must know of the rest of the definition: the names of all nodes, and of all tools if they count."""

    nodes: Collection[str]
    tools: Collection[str] | None = None
    hints: Hints = field(default_factory=Hints)


def _printable(text: str) -> str:
    if not text.strip():
        raise complaint("empty", "Write something here; it must not be blank.")
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        raise complaint("control-character", "Remove the line breaks and control characters.")
    return text


def _node_name(name: str) -> str:
    if name == END:
        raise complaint("reserved-name", 'Rename this node: "end" is the target that ends a branch.')
    if not _NODE_NAME.fullmatch(name):
        raise complaint(
            "invalid-name",
            "Rename this node: a name starts with a letter or _, goes on with letters, digits, _ . or -, "
            "and has at most 64 characters. Free text belongs into its label.",
        )
    return name


def _variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name) or name in LOCAL_NAMES | _CONSTANTS:
        raise complaint(
            "invalid-name",
            "Choose another name: a letter, then letters, digits or _, at most 64 characters, and not "
            f"{', '.join(sorted(LOCAL_NAMES))} or a word of the expression language.",
        )
    return name


def _key(name: str) -> str:
    if not 1 <= len(name) <= 255:
        raise complaint("invalid-name", "Rename this key: it needs 1 to 255 characters.")
    return name


def _existing(name: str, info: ValidationInfo) -> str:
    context = info.context
    if name != END and isinstance(context, Context) and name not in context.nodes:
        hint = context.hints.did_you_mean(name, [*context.nodes, END]) or ' Name a node of this graph, or "end".'
        raise complaint("unknown-target", f"There is no node {quoted(name)}.{hint}")
    return name


def _start(name: str, info: ValidationInfo) -> str:
    context = info.context
    if name == END:
        raise complaint("unknown-target", 'A run cannot start at "end"; name the node that runs first.')
    if isinstance(context, Context) and name not in context.nodes:
        hint = context.hints.did_you_mean(name, context.nodes) or " Name the node that runs first."
        raise complaint("unknown-target", f"There is no node {quoted(name)}.{hint}")
    return name


def no_such_tool(name: str, tools: Iterable[str], hints: Hints) -> str:
    """The sentence about a tool that is not registered."""
    hint = hints.did_you_mean(name, tools) or " Register it, or name one that is."
    return f"There is no tool {quoted(name)}.{hint}"


def _registered(name: str, info: ValidationInfo) -> str:
    context = info.context
    if isinstance(context, Context) and context.tools is not None and name not in context.tools:
        raise complaint("unknown-tool", no_such_tool(name, context.tools, context.hints))
    return name


def _single(value: Json) -> Json:
    if isinstance(value, list):
        raise complaint("list-not-allowed", "Name one node here; a list (a fork) is not possible at this place.")
    return value


def _as_targets(value: Json, handler: ValidatorFunctionWrapHandler) -> tuple[str, ...]:
    if isinstance(value, dict):
        raise complaint(
            "nested-choice",
            "Choices do not nest: name a node or a list of nodes here. For a second choice add a node without "
            "a tool and put the choice into its next.",
        )
    if not isinstance(value, str | list):
        raise complaint("wrong-type", "Name a node or a list of nodes here.")
    if isinstance(value, list):
        return handler(value)  # type: ignore[no-any-return]
    try:
        return handler([value])  # type: ignore[no-any-return]
    except ValidationError as error:
        raise relocated(error, strip=1) from None


def _filled(items: Json) -> Json:
    if isinstance(items, list) and not items:
        raise complaint("empty", "Name at least one here; the list must not be empty.")
    return items


def _whole_as_int(number: float) -> float:
    """5.0 and 5 are one number; the canonical form writes it as 5."""
    return int(number) if number == int(number) else number


def _compiles(source: str) -> str:
    try:
        compile_expression(source)
    except ExpressionInvalid as error:
        raise complaint(error.code, str(error)) from None
    return source


def _expression(text: str) -> str:
    if not is_expression(text):
        written = f"= {text.lstrip('= ')}"
        raise complaint("not-an-expression", f'Start the expression with "=": write {quoted(written)}.')
    return _compiles(text)


def _name_or_expression(text: str) -> str:
    return _compiles(text) if is_expression(text) else text


def _literal(text: str) -> str:
    if text.startswith("="):  # nothing would ever match it, and a run would wait for ever
        raise complaint("expression-not-allowed", "Write the name itself; an expression is not possible here.")
    return text


def _template(value: Json) -> Json:
    """Check every expression in a value, and complain at each that does not compile."""
    lines: list[InitErrorDetails] = []
    for path, source in expressions_in(value):
        try:
            compile_expression(source)
        except ExpressionInvalid as error:
            lines.append({"type": complaint(error.code, str(error)), "loc": path, "input": source})
    if lines:
        raise ValidationError.from_exception_data("value", lines)
    return value


def _items(value: Json) -> Json:
    if isinstance(value, list):
        return _template(value)
    if isinstance(value, str):
        return _expression(value)
    raise complaint("wrong-type", f'Write a list or an expression such as "= items" here, not {describe(value)}.')


def _computed_or(plain: Any) -> PlainValidator:
    """An expression, or what the type `plain` takes."""
    adapter: TypeAdapter[Any] = TypeAdapter(plain)

    def check(value: Json) -> Json:
        return _expression(value) if isinstance(value, str) else adapter.validate_python(value)

    return PlainValidator(check)


def _moment(value: Json) -> str:
    if is_expression(value):
        return _expression(value)
    if with_zone(value) is None:
        raise complaint(
            "wrong-type",
            'Write a time with its zone, such as "2026-12-24T18:00:00+01:00", or an expression such as '
            f'"= due_at" here, not {describe(value)}.',
        )
    return str(value)


Text = Annotated[str, Strict()]
Word = Annotated[str, Strict(), Field(min_length=1, max_length=255)]
Line = Annotated[str, Strict(), Field(min_length=1, max_length=100), AfterValidator(_printable)]
LiteralWord = Annotated[Word, AfterValidator(_literal)]
"""A word of which one could think that it may be an expression."""
ToolName = Annotated[Word, AfterValidator(_registered)]
NodeName = Annotated[str, Strict(), AfterValidator(_node_name)]
Variable = Annotated[str, Strict(), AfterValidator(_variable)]
NameOrExpression = Annotated[str, Strict(), Field(min_length=1), AfterValidator(_name_or_expression)]
SignalName = Annotated[Word, AfterValidator(_name_or_expression)]
Condition = Annotated[str, Strict(), AfterValidator(_compiles)]
"""An expression where nothing else may stand; it needs no `=` in front."""
ExpressionText = Annotated[str, Strict(), AfterValidator(_expression)]
"""An expression with its `=`."""
Target = Annotated[str, Strict(), AfterValidator(_existing)]
SINGLE = BeforeValidator(_single)
SingleTarget = Annotated[Target, SINGLE]
StartNode = Annotated[str, Strict(), SINGLE, AfterValidator(_start)]
FILLED = BeforeValidator(_filled)
"""On the list as it was given, so that an item that is wrong does not count as missing besides."""
Targets = Annotated[tuple[Target, ...], FILLED, WrapValidator(_as_targets)]
"""One name: go there. Several: a fork, in this order. `end` is allowed."""

Whole = Annotated[int, Strict()]
Count = Annotated[Whole, Field(ge=1, le=2**31 - 1)]
Seconds = Annotated[
    float, Strict(), Field(gt=0, le=10 * 366 * 86_400, allow_inf_nan=False), AfterValidator(_whole_as_int)
]
Pause = Annotated[
    float, Strict(), Field(ge=0, le=10 * 366 * 86_400, allow_inf_nan=False), AfterValidator(_whole_as_int)
]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False), AfterValidator(_whole_as_int)]
Flag = Annotated[bool, Strict()]
Key = Annotated[str, AfterValidator(_key)]
Values = dict[Key, Annotated[Any, PlainValidator(_template)]]
"""Values by name; a string that starts with `=` is an expression, at any depth."""

Items = Annotated[Any, PlainValidator(_items)]
"""A list, or an expression that gives one."""
Delay = Annotated[float | str, _computed_or(Pause)]
Patience = Annotated[float | str, _computed_or(Seconds)]
"""How long to wait at most: more than no time, or an expression."""
Moment = Annotated[str, PlainValidator(_moment)]

COMPUTED: TypeAdapter[str] = TypeAdapter(ExpressionText)
TARGETS: TypeAdapter[tuple[str, ...]] = TypeAdapter(Targets)
