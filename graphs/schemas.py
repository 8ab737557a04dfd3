"""The JSON Schemas inside a definition: that of the state, and those of forms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry

from graphs.errors import Problem
from graphs.spec import GraphSpec, pointer
from graphs.spec.part import Json, JsonObject

MAX_PROBLEMS = 20
_REFERENCES = ("$ref", "$dynamicRef")


def schema_problems(spec: GraphSpec) -> Iterator[Problem]:
    """What is wrong with the schemas of a definition, and with defaults that the state's schema refuses."""
    schema = spec.state.schema
    if schema is not None:
        wrong = list(_problems(schema, ("state", "schema")))
        yield from wrong or _defaults(schema, spec.state.defaults)
    for name, node in spec.nodes.items():
        if node.human is not None and node.human.form is not None:
            yield from _problems(node.human.form, ("nodes", name, "human", "form"), node=name)


def _problems(schema: JsonObject, path: tuple[str, ...], node: str | None = None) -> Iterator[Problem]:
    errors = Draft202012Validator(Draft202012Validator.META_SCHEMA).iter_errors(schema)
    for error, _ in zip(errors, range(MAX_PROBLEMS), strict=False):
        place = pointer(*path, *error.absolute_path)
        yield Problem(code="schema-invalid", path=place, message=f"No JSON Schema: {error.message[:300]}.", node=node)
    for steps, reference in _references(schema, path):
        if not (isinstance(reference, str) and _resolves(schema, reference)):
            message = f"{str(reference)[:100]!r} names no part of this schema; write a reference such as #/$defs/name."
            yield Problem(code="schema-reference", path=pointer(*steps), message=message, node=node)


def _references(value: Json, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Json]]:
    match value:
        case dict():
            for key, item in value.items():
                if key in _REFERENCES and isinstance(item, str):
                    yield (*path, key), item
                yield from _references(item, (*path, key))
        case list():
            for index, item in enumerate(value):
                yield from _references(item, (*path, index))


def _resolves(schema: JsonObject, reference: str) -> bool:
    """Whether the reference leads to a place in the schema itself; other documents are never fetched."""
    if not reference.startswith("#"):
        return False
    value: Json = schema
    for key in reference.removeprefix("#").split("/")[1:]:
        key = key.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return False
    return True


def _defaults(schema: JsonObject, defaults: JsonObject) -> Iterator[Problem]:
    whole = Draft202012Validator(schema, registry=Registry())
    for key, value in defaults.items():
        part = schema.get("properties", {}).get(key)
        error = None if part is None else next(whole.evolve(schema=part).iter_errors(value), None)
        if error is not None:
            message = f"The state's schema refuses this default: {error.message[:300]}."
            yield Problem(code="default-invalid", path=pointer("state", "defaults", key), message=message)
