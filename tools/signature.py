"""Reading a function's signature: which arguments a tool takes, as JSON Schemas, and what it returns."""

from __future__ import annotations

import hashlib
import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import PydanticUserError, TypeAdapter

from tools.context import Context
from tools.errors import ToolDefinitionInvalid
from tools.results import Command, Send
from tools.strict_json import Json, JsonInvalid, dumps, encode

JsonSchema = dict[str, Any]

_DEFAULT_MAX_BYTES = 4096
_JSON_TYPES: tuple[object, ...] = (Any, object, str, int, float, bool, list, dict, None, type(None))
_KNOWN_NAMES = {"Context": Context, "Command": Command, "Send": Send}
"""Names that annotations may use although the module imports them for type checkers only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a tool. Only those of kind `argument` come from inputs and state keys."""

    name: str
    kind: Literal["argument", "context", "state"] = "argument"
    required: bool = True
    default: Any = None
    """Python's default; meaningless if `required`."""
    schema: JsonSchema = field(default_factory=dict)
    """JSON Schema of its values, complete in itself."""
    check: Callable[[Json], Any] | None = field(default=None, repr=False, compare=False)
    """Returns the argument for a JSON value or raises pydantic's ValidationError; None if anything goes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ToolSignature:
    """What a tool takes and returns, as far as its annotations say."""

    parameters: tuple[Parameter, ...]
    arguments_schema: JsonSchema
    """JSON Schema of the object of all arguments."""
    result_schema: JsonSchema
    """JSON Schema of the result; `{}` if nothing is known. Properties of an object are state keys."""
    signature_hash: str
    """Sixteen hex digits that change when arguments or result do."""


def read_signature(function: Callable[..., Any], name: str) -> ToolSignature:
    """Return the signature of a function that is to be the tool `name`; raises ToolDefinitionInvalid."""
    hints = _hints(function, name)
    parameters: list[Parameter] = []
    adapters: dict[str, TypeAdapter[Any]] = {}
    for parameter in inspect.signature(function).parameters.values():
        hint = hints.get(parameter.name, Any)
        if parameter.kind not in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}:
            raise _invalid(name, f"its parameter {parameter} cannot be passed by name; spell the arguments out")
        if parameter.name == "ctx" or hint is Context or Context in get_args(hint):
            parameters.append(Parameter(name=parameter.name, kind="context"))
        elif parameter.name == "state":
            parameters.append(Parameter(name=parameter.name, kind="state"))
        else:
            adapter = adapters[parameter.name] = _adapter(hint, name, f"parameter {parameter.name}")
            parameters.append(_argument(parameter, hint, adapter))
    arguments_schema = _arguments_schema(parameters, adapters)
    result_schema = _result_schema(hints.get("return", Any), name)
    return ToolSignature(
        parameters=tuple(parameters),
        arguments_schema=arguments_schema,
        result_schema=result_schema,
        signature_hash=hashlib.sha256(dumps([arguments_schema, result_schema]).encode()).hexdigest()[:16],
    )


def _hints(function: Callable[..., Any], name: str) -> Mapping[str, Any]:
    names = {**_KNOWN_NAMES, **inspect.unwrap(function).__globals__}
    try:
        return get_type_hints(function, globalns=names, include_extras=True)
    except Exception as error:  # annotations are code of the tool's author: anything may go wrong
        raise _invalid(name, f"its annotations cannot be evaluated: {error}") from error


def _argument(parameter: inspect.Parameter, hint: Any, adapter: TypeAdapter[Any]) -> Parameter:
    required = parameter.default is parameter.empty
    return Parameter(
        name=parameter.name,
        required=required,
        default=None if required else parameter.default,
        schema=adapter.json_schema(),
        check=None if hint in (Any, object) else _checker(hint, adapter),
    )


def _checker(hint: Any, adapter: TypeAdapter[Any]) -> Callable[[Json], Any]:
    """Strict in both forms: a string is no number. Only reading JSON, though, makes dates, enums and tuples."""
    if _is_json_type(hint):
        return lambda value: adapter.validate_python(value, strict=True)
    return lambda value: adapter.validate_json(dumps(value), strict=True)


def _is_json_type(hint: Any) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _is_json_type(arguments[0])
    if origin is Literal:
        return all(type(argument) in _JSON_TYPES for argument in arguments)
    if origin is dict:
        return arguments[0] is str and _is_json_type(arguments[1])
    if origin in (list, Union, types.UnionType):
        return all(map(_is_json_type, arguments))
    return any(hint is known for known in _JSON_TYPES)


def _adapter(hint: Any, name: str, place: str) -> TypeAdapter[Any]:
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(hint)
        adapter.json_schema()
    except PydanticUserError as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise _invalid(name, f"the annotation of its {place} is no type of JSON values: {reason}") from error
    return adapter


def _arguments_schema(parameters: list[Parameter], adapters: Mapping[str, TypeAdapter[Any]]) -> JsonSchema:
    schemas, definitions = TypeAdapter.json_schemas([(name, "validation", one) for name, one in adapters.items()])
    arguments = [parameter for parameter in parameters if parameter.kind == "argument"]
    properties = {one.name: schemas[one.name, "validation"] | _default_of(one) for one in arguments}
    return {
        "type": "object",
        "properties": properties,
        "required": [one.name for one in arguments if one.required],
        "additionalProperties": False,
        **definitions,
    }


def _default_of(parameter: Parameter) -> JsonSchema:
    if parameter.required:
        return {}
    try:
        return {"default": encode(parameter.default, max_bytes=_DEFAULT_MAX_BYTES, max_depth=16)[1]}
    except JsonInvalid:
        return {}


def _result_schema(hint: Any, name: str) -> JsonSchema:
    if get_origin(hint) in (Union, types.UnionType):
        rest = tuple(one for one in get_args(hint) if one is not Command)
        hint = Union[rest] if rest else Any  # noqa: UP007 - the members are known at run time only
    return {} if hint is Command else _adapter(hint, name, "result").json_schema()


def _invalid(name: str, reason: str) -> ToolDefinitionInvalid:
    return ToolDefinitionInvalid(f"The function cannot be the tool {name!r}: {reason}.")
