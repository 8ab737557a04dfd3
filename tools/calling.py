"""From a node's inputs and the state to the arguments of a tool's function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from tools.base import Tool
from tools.context import Context, StateView
from tools.errors import Detail, ToolInputError
from tools.signature import Parameter
from tools.strict_json import Json, thaw


def bind(tool: Tool, *, inputs: Mapping[str, Json], state: Mapping[str, Json], context: Context) -> dict[str, Any]:
    """Return the keyword arguments to call `tool.function` with.

    An argument comes from `inputs`, else from the state key of the same name, else from the function's default. Values
    are copies, checked against the annotations without coercion. Raises ToolInputError with everything that is wrong.
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
        elif name in state:
            _put(arguments, parameter, state[name], "taken from the state key of the same name", details)
        elif parameter.required:
            message = f"The argument {name!r} is missing: neither inputs nor the state have it."
            details.append(Detail(path=f"/{name}", code="argument-missing", message=message))
    if taken < len(inputs):
        details += _unknown(tool, inputs)
    if details:
        reasons = " ".join(detail.message for detail in details)
        raise ToolInputError(f"The tool {tool.name!r} cannot be called. {reasons}", details=details)
    return arguments


def _put(arguments: dict[str, Any], parameter: Parameter, value: Json, origin: str, details: list[Detail]) -> None:
    name = parameter.name
    try:
        copy = thaw(value)
        arguments[name] = copy if parameter.check is None else parameter.check(copy)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False, include_context=False):
            path = "".join(f"/{token}" for token in (name, *problem["loc"]))
            message = f"The argument {name!r}, {origin}, does not fit at {path}: {problem['msg']}."
            details.append(Detail(path=path, code="argument-invalid", message=message))


def _unknown(tool: Tool, inputs: Mapping[str, Json]) -> list[Detail]:
    known = [parameter.name for parameter in tool.parameters if parameter.kind == "argument"]
    listed = f"it takes {', '.join(known)}" if known else "it takes none"
    return [
        Detail(path=f"/{name}", code="argument-unknown", message=f"The tool has no argument {name!r}; {listed}.")
        for name in inputs
        if name not in known
    ]
