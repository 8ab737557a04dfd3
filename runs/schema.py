"""Checking a run's state against the JSON Schema of its graph."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

from jsonschema.exceptions import ValidationError

from graphs.json_schema import compile_schema, complaints
from runs.redaction import Redaction
from tools.errors import Detail
from tools.strict_json import Json, dumps, pointer

MAX_DETAILS = 20
_TELL_NAMES_ALONE = frozenset({"required", "dependentRequired", "additionalProperties"})
"""Keywords whose complaints have names of properties in them, and no values."""


_OF_EACH_ELEMENT = frozenset(
    {"type", "items", "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$comment"}
)
"""Keywords that say nothing of a list that they do not say of each of its elements."""


class Changes(Protocol):
    """New values of state keys."""

    def __iter__(self) -> Iterator[str]: ...

    def __getitem__(self, key: str, /) -> Json: ...

    def added(self, key: str) -> tuple[int, list[Json]] | None:
        """Of a list that only grows: how long it was, and what was added."""


class StateSchema:
    """A compiled `state.schema`: the whole is checked at input, `properties[key]` at every update of a key."""

    def __init__(self, schema: Mapping[str, Json]) -> None:
        self._whole = compile_schema(schema)
        properties = schema.get("properties", {})
        self._keys = {key: self._whole.evolve(schema=part) for key, part in properties.items()}
        self._by_element = {key for key, part in properties.items() if _is_of_each_element(part)}
        self._is_closed = schema.get("additionalProperties") is False
        self._redaction = Redaction(schema)

    def check_input(self, state: Json) -> list[Detail]:
        """Everything that is wrong with an initial state, up to `MAX_DETAILS`."""
        return [
            self._detail(error, tuple(error.absolute_path))
            for error in complaints(self._whole, state, at_most=MAX_DETAILS)
        ]

    def check_values(self, values: Iterable[tuple[str, Json]]) -> list[Detail]:
        """What is wrong with the new values of changed keys, the first complaint of each key."""
        return [detail for key, value in values for detail in self._check(key, value)]

    def check_changes(self, changes: Changes) -> list[Detail]:
        """The same for what a step changes.

        Of a list that only grows the added elements are checked alone, where the schema says nothing of it as a whole:
        else each turn of a loop would check all that the turns before it have added.
        """
        details: list[Detail] = []
        for key in changes:
            added = changes.added(key) if key in self._by_element else None
            if added is None:
                details += self._check(key, changes[key])
            else:
                length, more = added
                details += self._check(key, more, length)
        return details

    def _check(self, key: str, value: Json, offset: int = 0) -> Iterator[Detail]:
        """`offset` is the index that the first element of a list has in the state."""
        if key in self._keys:
            for error in complaints(self._keys[key], value, at_most=1):
                yield self._detail(error, (key, *_shifted(list(error.absolute_path), offset)))
        elif self._is_closed:
            message = f"The state schema has no property {key!r} and additionalProperties is false."
            yield Detail(path=pointer(key), code="state-schema", message=message)

    def _detail(self, error: ValidationError, steps: Sequence[str | int]) -> Detail:
        message = error.message[:500]
        if error.validator not in _TELL_NAMES_ALONE and self._redaction.hides(steps, error.instance):
            message = f"The value, which is secret, does not satisfy {error.validator!r} of its schema"
        return Detail(path=pointer(*steps), code="state-schema", message=f"{message}.")


def _is_of_each_element(schema: Json) -> bool:
    return isinstance(schema, Mapping) and "items" in schema and schema.keys() <= _OF_EACH_ELEMENT


def _shifted(steps: list[str | int], offset: int) -> list[str | int]:
    """A path into a list, as it is into the longer one that begins `offset` elements before."""
    match steps:
        case [int(index), *more]:
            return [index + offset, *more]
    return steps


@lru_cache(maxsize=256)
def _compiled(text: str) -> StateSchema:
    return StateSchema(json.loads(text))


def state_schema(schema: Mapping[str, Json] | None) -> StateSchema | None:
    """The compiled schema, or None where a graph has none. Equal schemas are compiled once."""
    return None if schema is None else _compiled(dumps(schema))


def schema_message(details: Iterable[Detail]) -> str:
    """What is wrong with new values of state keys, in one line; empty if nothing is."""
    return " ".join(f"{detail.path}: {detail.message}" for detail in details)
