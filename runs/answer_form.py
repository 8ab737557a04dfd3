"""The form with which a person answers a task, made from the task's JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphs.forms import StateForm, StateKey, in_order
from tools.strict_json import Json


class AnswerForm(StateForm):
    """One field for each property of the answer, and one box of JSON for what no field can hold."""

    prefix = "answer"
    TEXT_ROWS = 1
    VALUE = "answer"
    """The one field of an answer that is no object."""

    def __init__(self, schema: Mapping[str, Json], data: Mapping[str, Any] | None = None) -> None:
        self._is_object = "properties" in schema or schema.get("type") == "object"
        keys = _keys_of(schema) if self._is_object else [StateKey(name=self.VALUE, schema=schema, required=True)]
        super().__init__(keys, data)
        if len(self.keys) == len(keys) and keys:
            del self.fields[self.REST]
        else:
            self.fields[self.REST].label = "More" if self.keys else "Answer"

    @property
    def answer(self) -> Json:
        """The answer, once the form is valid."""
        return self.state if self._is_object else self.state.get(self.VALUE)

    def has_rest(self) -> bool:
        return self.REST in self.fields


def _keys_of(schema: Mapping[str, Json]) -> list[StateKey]:
    required, properties = schema.get("required", ()), schema.get("properties", {})
    return [
        StateKey(name=name, schema=part, required=name in required, default=part.get("default"))
        for name in in_order(properties, required)
        if isinstance(part := properties[name], dict)
    ]
