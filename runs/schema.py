"""Checking a run's state against the JSON Schema of its graph."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache

from jsonschema.exceptions import ValidationError

from graphs.json_schema import compile_schema, complaints
from tools.errors import Detail
from tools.strict_json import Json, dumps

MAX_DETAILS = 20


class StateSchema:
    """A compiled `state.schema`: the whole is checked at input, `properties[key]` at every update of a key."""

    def __init__(self, schema: Mapping[str, Json]) -> None:
        self._whole = compile_schema(schema)
        properties = schema.get("properties", {})
        self._keys = {key: self._whole.evolve(schema=part) for key, part in properties.items()}
        self._is_closed = schema.get("additionalProperties") is False

    def check_input(self, state: Json) -> list[Detail]:
        """Everything that is wrong with an initial state, up to `MAX_DETAILS`."""
        return [_detail(error) for error in complaints(self._whole, state, at_most=MAX_DETAILS)]

    def check_values(self, values: Iterable[tuple[str, Json]]) -> list[Detail]:
        """What is wrong with the new values of changed keys, the first complaint of each key."""
        details = []
        for key, value in values:
            if key in self._keys:
                found = complaints(self._keys[key], value, at_most=1)
                details += [_detail(error, prefix=(key,)) for error in found]
            elif self._is_closed:
                message = f"The state schema has no property {key!r} and additionalProperties is false."
                details.append(Detail(path=f"/{key}", code="state-schema", message=message))
        return details


@lru_cache(maxsize=256)
def _compiled(text: str) -> StateSchema:
    return StateSchema(json.loads(text))


def state_schema(schema: Mapping[str, Json] | None) -> StateSchema | None:
    """The compiled schema, or None where a graph has none. Equal schemas are compiled once."""
    return None if schema is None else _compiled(dumps(schema))


def _detail(error: ValidationError, prefix: tuple[str, ...] = ()) -> Detail:
    steps = (*prefix, *(str(step) for step in error.absolute_path))
    path = "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)
    return Detail(path=path, code="state-schema", message=f"{error.message[:500]}.")
