"""From a node's inputs and the state to the arguments of a tool's function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from tools.base import Tool
from tools.context import Context, StateView
from tools.errors import Detail, ToolInputError
from tools.signature import Parameter
from tools.strict_json import Json, pointer, thaw

NO_NAMES: Mapping[str, Json] = {}


def bind(
    tool: Tool,
    *,
    inputs: Mapping[str, Json],
    state: Mapping[str, Json],
    context: Context,
    local_names: Mapping[str, Json] = NO_NAMES,
) -> dict[str, Any]:
    """Return the keyword arguments to call `tool.function` with.

    An argument comes from `inputs`, else from `local_names` (the item and `index` of a map, `error` in a handler), else
    from the state key of the same name, else from the function's default. Values are copies, checked against the
    annotations without coercion. Raises ToolInputError with everything that is wrong.
    """
    arguments: dict[str, Any] = {}
    details: list[Detail] = []
    taken = 0
    for parameter in tool.parameters:
        name = parameter.name
        if parameter.kind == "context":
            arguments[name] = context
        elif parameter.kind == "state":
            arguments[name] = StateView(state)
        elif name in inputs:
            taken += 1
            _put(arguments, parameter, inputs[name], "given in inputs", details)
        elif name in local_names:
            _put(arguments, parameter, local_names[name], "which its map or error handler gives", details)
        elif name in state:
            _put(arguments, parameter, state[name], "taken from the state key of the same name", details)
        elif parameter.required:
            message = f"The argument {name!r} is missing: neither inputs nor the state have it."
            details.append(Detail(path=pointer(name), code="argument-missing", message=message))
    if taken < len(inputs):
        details += _unknown(tool, inputs)
    if details:
        reasons = " ".join(detail.message for detail in details)
        raise ToolInputError(f"The tool {tool.name!r} cannot be called. {reasons}", details=details)
    return arguments


def given_arguments(
    tool: Tool, *, inputs: Mapping[str, Json], local_names: Mapping[str, Json], state: Mapping[str, Json]
) -> dict[str, Json]:
    """The JSON values that `bind` would make the arguments of, and the whole state for a tool that takes it.

    What comes from the function's defaults is left out.
    """
    given: dict[str, Json] = {}
    for parameter in tool.parameters:
        if parameter.kind == "state":
            given[parameter.name] = thaw(dict(state))
        elif parameter.kind == "argument":
            source = next((names for names in (inputs, local_names, state) if parameter.name in names), NO_NAMES)
            if parameter.name in source:
                given[parameter.name] = source[parameter.name]
    return given


def _put(arguments: dict[str, Any], parameter: Parameter, value: Json, origin: str, details: list[Detail]) -> None:
    name = parameter.name
    try:
        copy = thaw(value)
        arguments[name] = copy if parameter.check is None else parameter.check(copy)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False, include_context=False):
            path = pointer(name, *problem["loc"])
            message = f"The argument {name!r}, {origin}, does not fit at {path}: {problem['msg']}."
            details.append(Detail(path=path, code="argument-invalid", message=message))


def _unknown(tool: Tool, inputs: Mapping[str, Json]) -> list[Detail]:
    known = [parameter.name for parameter in tool.parameters if parameter.kind == "argument"]
    listed = f"it takes {', '.join(known)}" if known else "it takes none"
    return [
        Detail(path=pointer(name), code="argument-unknown", message=f"The tool has no argument {name!r}; {listed}.")
        for name in inputs
        if name not in known
    ]
