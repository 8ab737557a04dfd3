"""Events as JSON objects, for the journal.

An event is the object of its fields; a field that equals its default is left out, and a step's id is written as 20
hexadecimal digits. Reading ignores keys it does not know: the driver adds some of its own for people.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from typing import Any, NamedTuple, get_args

from runs.engine.events import Event, Failure, JsonObject

VERSION = 1
"""Of the fields of all events; a recorded journal must fold for ever."""

Json = Any
Convert = Callable[[Any], Any]


def failure_to_data(failure: Failure) -> JsonObject:
    return _to_object(failure)


def failure_from_data(data: JsonObject) -> Failure:
    failure: Failure = _from_object(Failure, data)
    return failure


def to_data(event: Event) -> JsonObject:
    """The fields as a JSON object."""
    return _to_object(event)


def from_data(type_: str, v: int, data: JsonObject) -> Event:
    """The event of the class named `type_`. Raises ValueError for a class or a version that is not known."""
    cls = _EVENTS.get(type_)
    if cls is None or v != VERSION:
        raise ValueError(f"The journal holds an event {type_} of version {v}, which this release cannot read.")
    event: Event = _from_object(cls, data)
    return event


class _FieldCodec(NamedTuple):
    name: str
    write: Convert | None
    read: Convert | None
    default: object


def _to_object(value: Any) -> JsonObject:
    data: JsonObject = {}
    for name, write, _, default in _CODECS[type(value)]:
        content = getattr(value, name)
        if content != default:
            data[name] = content if write is None else write(content)
    return data


def _from_object(cls: type[Any], data: JsonObject) -> Any:
    present = [codec for codec in _CODECS[cls] if codec.name in data]
    return cls(**{name: data[name] if read is None else read(data[name]) for name, _, read, _ in present})


_BY_ANNOTATION: dict[str, tuple[Convert, Convert]] = {
    "StepId": (bytes.hex, bytes.fromhex),
    "StepId | None": (bytes.hex, bytes.fromhex),
    "Failure": (_to_object, failure_from_data),
    "tuple[StepId, ...]": (lambda steps: [step.hex() for step in steps], lambda data: tuple(map(bytes.fromhex, data))),
    "tuple[str, ...]": (list, tuple),
    "tuple[str, ...] | None": (list, tuple),
    "tuple[Json, ...] | None": (list, tuple),
    "tuple[JsonObject | None, ...]": (list, tuple),
    "tuple[JsonObject, ...]": (list, tuple),
    "tuple[tuple[StepId, str, Failure], ...]": (
        lambda errors: [[step.hex(), node, _to_object(failure)] for step, node, failure in errors],
        lambda data: tuple((bytes.fromhex(step), node, failure_from_data(failure)) for step, node, failure in data),
    ),
}
"""How a field of this type is written and read; a field of another type is JSON as it is."""


def _codec(field: Field[Any]) -> _FieldCodec:
    default = field.default if field.default_factory is MISSING else field.default_factory()
    write, read = _BY_ANNOTATION.get(str(field.type), (None, None))
    return _FieldCodec(field.name, write, read, default)


_EVENTS: dict[str, type[Any]] = {cls.__name__: cls for cls in get_args(Event)}
_CODECS: dict[type[Any], tuple[_FieldCodec, ...]] = {
    cls: tuple(map(_codec, fields(cls))) for cls in (*_EVENTS.values(), Failure)
}
