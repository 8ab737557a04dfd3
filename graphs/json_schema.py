"""JSON Schema 2020-12, safe with schemas that somebody else wrote.

Against what can make a schema hang: regular expressions are RE2's, which take linear time; `uniqueItems` hashes; other
documents are never fetched; the work is bounded in proportion to the value, which stops schemas that refer to
themselves or double their work at every level. `unevaluatedItems`, `unevaluatedProperties` and `$dynamicRef` are not
supported, and `schema_problems` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import re2
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

Json = Any
Schema = Mapping[str, Json]
Keyword = Callable[[Any, Any, Json, Any], Iterable[ValidationError] | None]

UNSUPPORTED = ("unevaluatedItems", "unevaluatedProperties", "$dynamicRef")

_COMBINED = ("allOf", "anyOf", "oneOf")
_APPLIED = ("if", "then", "else", "not", "propertyNames")
"""Keywords with one schema for the same value. Names cannot be hidden one by one, so theirs speaks for all of it."""
_SAYING_MORE = frozenset({*_COMBINED, *_APPLIED, "dependentSchemas", "$ref", "contentSchema"})
_SECRET: Schema = {"writeOnly": True}

BASE_WORK = 200_000
WORK_PER_VALUE = 100
"""Keywords, and elements of their lists, that may be looked at; half a second at most, and what the value needs."""
WORK_OF_REFERENCE = 20

_work_left: ContextVar[int] = ContextVar("work_left")
_options = re2.Options()
_options.log_errors = False


class _TooMuchWork(Exception):
    pass


def compile_schema(schema: Mapping[str, Json]) -> Validator:
    """The validator of a schema. Use `complaints` with it, not its own methods."""
    return _Bounded(schema, registry=Registry())


def complaints(validator: Validator, value: Json, *, at_most: int) -> list[ValidationError]:
    """What the schema says against a value, the first `at_most`; also if it took too much work to say."""
    found: list[ValidationError] = []
    token = _work_left.set(BASE_WORK + WORK_PER_VALUE * _size(value))
    try:
        for error in validator.iter_errors(value):
            found.append(error)
            if len(found) == at_most:
                break
    except (_TooMuchWork, RecursionError):
        found.append(ValidationError("It takes too much work to check this value against its schema"))
    except Unresolvable as error:
        found.append(ValidationError(f"The schema refers to {error.ref!r}, which it does not contain"))
    finally:
        _work_left.reset(token)
    return found


def compile_pattern(pattern: str) -> Any:
    """A regular expression in RE2's syntax. Raises ValueError with what is wrong."""
    try:
        return re2.compile(pattern, _options)
    except re2.error as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise ValueError(reason) from None


def is_secret(schema: Mapping[str, Json]) -> bool:
    """Whether a schema says of its value that it is for writing only: for tools to see and for nobody to be shown."""
    return schema.get("writeOnly") is True or schema.get("format") == "password"


def marks_secrets(part: Json) -> bool:
    """Whether anything in a schema, or in a part of one, is marked secret."""
    return _has(part, is_secret)


def may_mark_secrets(part: Json) -> bool:
    """The same, or whether it refers to what may be."""
    return _has(part, lambda schema: is_secret(schema) or "$ref" in schema)


def may_be_secret(schema: Schema, key: str) -> bool:
    """Whether something in the property `key` may be secret: unless the schema says plainly that nothing is."""
    said = said_of_property(schema, [schema], key)
    return marks_secrets(schema) and (not said or any(map(may_mark_secrets, said)))


def said_of_value(root: Schema, schemas: Iterable[Json]) -> list[Schema]:
    """The schemas, without true, false and none, and all that they refer to and combine for the same value.

    Whether a value has to satisfy a part is not asked (`anyOf`, `then`, `not`): what any of them marks secret is.
    `root` is the whole schema, in which references lead from place to place.
    """
    found: dict[int, Schema] = {}
    waiting = list(schemas)
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping) and id(part) not in found:
            found[id(part)] = part
            if not _SAYING_MORE.isdisjoint(part):
                waiting += _combined(root, part)
    return list(found.values())


def said_of_property(root: Schema, schemas: Iterable[Json], name: str) -> list[Schema]:
    """What the schemas of an object say of one of its properties; also that it is part of something secret."""
    parts = said_of_value(root, schemas)
    # What a reducer adds to a list is one of its elements.
    if elements := [one for part in parts for one in _of_elements(part)]:
        parts += said_of_value(root, elements)
    found = [one for part in parts for one in _of_property(part, name)]
    return said_of_value(root, [*found, *filter(is_secret, parts)])


def said_of_elements(root: Schema, schemas: Iterable[Json]) -> list[Schema]:
    """What the schemas of a list say of any of its elements, wherever it stands; also as part of something secret."""
    parts = said_of_value(root, schemas)
    found = [one for part in parts for one in _of_elements(part)]
    return said_of_value(root, [*found, *filter(is_secret, parts)])


def resolve_reference(root: Schema, reference: str) -> Json:
    """What a reference such as `#/$defs/name` means; None for another form, or a place that is not there."""
    place: Json = root if reference == "#" or reference.startswith("#/") else None
    for name in reference.split("/")[1:]:
        name = name.replace("~1", "/").replace("~0", "~")
        if isinstance(place, Mapping):
            place = place.get(name)
        elif isinstance(place, list) and name.isdecimal() and int(name) < len(place):
            place = place[int(name)]
        else:
            return None
    return place


def _combined(root: Schema, schema: Schema) -> Iterator[Json]:
    for word in _COMBINED:
        yield from schema.get(word, ())
    for word in _APPLIED:
        yield schema.get(word)
    yield from schema.get("dependentSchemas", {}).values()
    if "$ref" in schema:
        yield resolve_reference(root, schema["$ref"])
    if may_mark_secrets(schema.get("contentSchema")) and marks_secrets(root):
        yield _SECRET  # a document in a string is hidden as a whole


def _of_property(schema: Schema, name: str) -> list[Json]:
    patterns = schema.get("patternProperties", {})
    found = [part for pattern, part in patterns.items() if _compiled(pattern).search(name)] if patterns else []
    if name in schema.get("properties", {}):
        found.append(schema["properties"][name])
    return found or [schema.get("additionalProperties")]


def _of_elements(schema: Schema) -> list[Json]:
    found = [schema[word] for word in ("items", "contains") if word in schema]
    return [*found, *schema.get("prefixItems", ())]


_compiled = lru_cache(maxsize=256)(compile_pattern)


def _has(part: Json, found: Callable[[Mapping[str, Json]], bool]) -> bool:
    if isinstance(part, Mapping):
        return found(part) or any(_has(one, found) for one in part.values())
    return isinstance(part, list) and any(_has(one, found) for one in part)


def _size(value: Json) -> int:
    if isinstance(value, Mapping):
        return 1 + sum(map(_size, value.values()))
    return 1 + sum(map(_size, value)) if isinstance(value, list) else 1


# --------------------------------------------------------------------------- keywords


def _pattern(validator: Any, pattern: str, value: Json, schema: Json) -> Iterator[ValidationError]:
    if isinstance(value, str) and not compile_pattern(pattern).search(value):
        yield ValidationError(f"{value[:100]!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Json], value: Json, schema: Json
) -> Iterator[ValidationError]:
    if not isinstance(value, dict):
        return
    for pattern, part in patterns.items():
        expression = compile_pattern(pattern)
        for key, item in value.items():
            if expression.search(key):
                yield from validator.descend(item, part, path=key, schema_path=pattern)


def _additional_properties(validator: Any, part: Json, value: Json, schema: Json) -> Iterator[ValidationError]:
    if not isinstance(value, dict):
        return
    named = schema.get("properties", {})
    expressions = [compile_pattern(pattern) for pattern in schema.get("patternProperties", {})]
    others = [key for key in value if key not in named and not any(one.search(key) for one in expressions)]
    if part is False and others:
        yield ValidationError(f"The schema allows no property {', '.join(map(repr, sorted(others)[:10]))}")
    elif part is not False:
        for key in others:
            yield from validator.descend(value[key], part, path=key)


def _unique_items(validator: Any, is_unique: bool, value: Json, schema: Json) -> Iterator[ValidationError]:
    if is_unique and isinstance(value, list) and len({_hashable(item) for item in value}) < len(value):
        yield ValidationError("The list has an element twice")


def _hashable(value: Json) -> object:
    """Equal for equal JSON: 1 and 1.0 are one number, 1 and true are not."""
    match value:
        case bool():
            return ("boolean", value)
        case list():
            return ("list", tuple(map(_hashable, value)))
        case dict():
            return ("object", frozenset((key, _hashable(item)) for key, item in value.items()))
        case _:
            return value


def _counted(name: str, keyword: Keyword) -> Keyword:
    work = WORK_OF_REFERENCE if name == "$ref" else 1

    def check(validator: Any, argument: Any, value: Json, schema: Any) -> Iterable[ValidationError] | None:
        left = _work_left.get(BASE_WORK) - work - (len(argument) if isinstance(argument, list | dict) else 0)
        if left < 0:
            raise _TooMuchWork
        _work_left.set(left)
        return keyword(validator, argument, value, schema)

    return check


_OURS: dict[str, Keyword] = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
}
_Bounded = extend(
    Draft202012Validator,
    {name: _counted(name, keyword) for name, keyword in {**Draft202012Validator.VALIDATORS, **_OURS}.items()},
)
