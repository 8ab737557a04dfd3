"""What a call's end is to the engine. Sizes are not looked at: a simulation has no database to protect."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from graphs.plan import Plan
from runs import returning
from runs.engine.events import Failure, JsonObject
from runs.engine.merging import Changed
from runs.engine.resolving import Check, Raised, Returned
from runs.engine.simulate.definitions import MAX_BYTES, MAX_DEPTH
from runs.schema import schema_message, state_schema
from tools.errors import Detail, ToolsError
from tools.results import check_result
from tools.strict_json import JsonInvalid, encode


def returned(value: Any) -> Returned | Raised:
    """What a tool returned; Raised for what is no JSON."""
    try:
        checked = check_result(value, max_bytes=MAX_BYTES, max_depth=MAX_DEPTH)
    except ToolsError as error:
        return raised(error)
    return returning.returned(checked)


def raised(error: BaseException) -> Raised:
    """What an exception is to `on_error`."""
    return returning.raised(error, str(error))


def schema_check(plan: Plan) -> Check:
    """Holds new values of state keys against the schema of their graph."""
    schema = state_schema(plan.spec.state.schema)

    def check(values: Changed) -> Failure | None:
        return _breach(schema.check_changes(values) if schema else (), values)

    return check


def json_breach(values: JsonObject) -> Failure | None:
    """Why what expressions gave cannot be kept: a whole number past 64 bits, or what is nested too deep."""
    try:
        encode(values, max_bytes=MAX_BYTES, max_depth=MAX_DEPTH)
    except JsonInvalid as error:
        return Failure(type="UpdateInvalid", message=str(error))
    return None


def input_breach(plan: Plan, state: JsonObject) -> Failure | None:
    """Why a graph cannot begin with such a state."""
    schema = state_schema(plan.spec.state.schema)
    return _breach(schema.check_input(state) if schema else (), state)


def _breach(details: Iterable[Detail], values: Iterable[str]) -> Failure | None:
    message = schema_message(details)
    return Failure(type="StateSchemaError", message=message, keys=tuple(values)) if message else None
