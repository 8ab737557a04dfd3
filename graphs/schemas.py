"""The JSON Schemas inside a definition: that of the state, and those of forms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator

from graphs.errors import Problem
from graphs.json_schema import UNSUPPORTED, compile_pattern, compile_schema, complaints, resolve_reference
from graphs.spec import GraphSpec
from graphs.spec.part import Json, JsonObject
from tools.strict_json import pointer

MAX_PROBLEMS = 20
_DATA = frozenset({"enum", "const", "default", "examples"})
"""Keywords that hold values, not schemas."""

Path = tuple[str | int, ...]


def schema_problems(spec: GraphSpec) -> Iterator[Problem]:
    """What is wrong with the schemas of a definition, and with defaults that the state's schema refuses."""
    schema = spec.state.schema
    if schema is not None:
        wrong = list(_problems(schema, ("state", "schema")))
        yield from wrong or _refused_defaults(schema, spec.state.defaults)
    for name, node in spec.nodes.items():
        if node.human is not None and node.human.form is not None:
            yield from _problems(node.human.form, ("nodes", name, "human", "form"), node=name)


def form_problems(form: JsonObject) -> Iterator[Problem]:
    """What is wrong with a form that is not part of a definition."""
    yield from _problems(form, ("form",))


def _problems(schema: JsonObject, path: Path, node: str | None = None) -> Iterator[Problem]:
    errors = Draft202012Validator(Draft202012Validator.META_SCHEMA).iter_errors(schema)
    broken = False
    for error, _ in zip(errors, range(MAX_PROBLEMS), strict=False):
        broken = True
        at, message = pointer(*path, *error.absolute_path), f"No JSON Schema: {error.message[:300]}."
        yield Problem(code="schema-invalid", path=at, message=message, node=node)
    if not broken:
        for code, place, message in _unusable(schema, schema, path):
            yield Problem(code=code, path=pointer(*place), message=message, node=node)


def _unusable(schema: Json, root: JsonObject, path: Path) -> Iterator[tuple[str, Path, str]]:
    """What is valid JSON Schema and not usable here."""
    if isinstance(schema, list):
        for index, item in enumerate(schema):
            yield from _unusable(item, root, (*path, index))
    if not isinstance(schema, dict):
        return
    for key, value in schema.items():
        place = (*path, key)
        is_keyword = path[-1] not in ("properties", "$defs", "patternProperties", "dependentSchemas")
        if is_keyword and key in _DATA:
            continue
        if is_keyword and key in UNSUPPORTED:
            yield "schema-unsupported", place, f'The keyword "{key}" is not supported here; remove it.'
        if is_keyword and key == "$ref" and not _resolves(root, value):
            message = f"{str(value)[:100]!r} is no part of this schema; write a reference such as #/$defs/name."
            yield "schema-reference", place, message
        for pattern in _patterns(key, value) if is_keyword else ():
            try:
                compile_pattern(pattern)
            except ValueError as error:
                message = f"The pattern {pattern[:100]!r} is not usable: {error}. The syntax is RE2's."
                yield "schema-pattern", place, message
        yield from _unusable(value, root, place)


def _patterns(key: str, value: Any) -> list[str]:
    if key == "pattern":
        return [value]
    return list(value) if key == "patternProperties" else []


def _resolves(schema: JsonObject, reference: str) -> bool:
    """Whether the reference leads to a place in the schema itself; other documents are never fetched."""
    return isinstance(resolve_reference(schema, reference), dict | bool)


def _refused_defaults(schema: JsonObject, defaults: JsonObject) -> Iterator[Problem]:
    whole = compile_schema(schema)
    for key, value in defaults.items():
        if key in schema.get("properties", {}):
            for error in complaints(whole.evolve(schema=schema["properties"][key]), value, at_most=1):
                message = f"The state's schema refuses this default: {error.message[:300]}."
                yield Problem(code="default-invalid", path=pointer("state", "defaults", key), message=message)
