"""The base of every object of a definition, and what pydantic's complaints are called in our words.

A part is a frozen dataclass. pydantic builds it from JSON, and on the way every complaint becomes one with our
stable code and a sentence that says what to do. Complaints add up over the whole definition; none stops the others.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import partial
from typing import Any, ClassVar, get_type_hints

from pydantic import ConfigDict, GetCoreSchemaHandler, ValidatorFunctionWrapHandler
from pydantic.fields import FieldInfo
from pydantic_core import (
    CoreSchema,
    ErrorDetails,
    InitErrorDetails,
    PydanticCustomError,
    ValidationError,
    core_schema,
)

Json = Any
JsonObject = dict[str, Any]

MAX_SHOWN = 80
"""Characters of a name in a message; names of other people can be as long as a whole definition."""

TARGET_FIELDS = frozenset({"to", "if_true", "if_false", "default", "on_timeout", "next"})
"""Fields that hold targets: one target is written as a string, several as a list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """A broken rule, at a path relative to the object that has the rule."""

    code: str
    message: str
    loc: tuple[str | int, ...] = ()


def complaint(code: str, message: str) -> PydanticCustomError:
    """The exception a validator raises; `message` says what is wrong and what to do."""
    return PydanticCustomError(code, "{message}", {"message": message})


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean "x"?`, or nothing."""
    if len(word) > MAX_SHOWN:
        return ""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f' Did you mean "{close[0]}"?' if close else ""


class Hints:
    """`did_you_mean` for the first mistakes only: among thousands of names a comparison takes a millisecond."""

    def __init__(self, left: int = 20) -> None:
        self._left = left

    def did_you_mean(self, word: str, known: Iterable[str]) -> str:
        self._left -= 1
        return did_you_mean(word, known) if self._left >= 0 else ""


class Part:
    """An object of a definition. Unknown keys are refused; `rules` sees the object before it is built."""

    __slots__ = ()
    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    @classmethod
    def rules(cls, given: Mapping[str, Json]) -> Iterator[Complaint]:
        """Rules between the keys of the object as it was given."""
        return iter(())

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(partial(_build, cls), handler(source))

    def to_json(self) -> Json:
        """The canonical JSON of this part: what equals its default is left out."""
        written: JsonObject = {}
        for name, (key, default) in _keys(type(self)).items():
            value = getattr(self, name)
            if value != default:
                written[key] = _one_or_many(value) if name in TARGET_FIELDS else _to_json(value)
        return written


def _build(cls: type[Part], given: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    known = [key for key, _ in _keys(cls).values()]
    complaints = [_line(rule.code, rule.message, rule.loc, given) for rule in _broken_rules(cls, given)]
    try:
        part = handler(given)
    except ValidationError as error:
        complaints += [_in_our_words(line, known) for line in error.errors(include_url=False)]
    if complaints:
        raise ValidationError.from_exception_data(cls.__name__, complaints)
    return part


def _broken_rules(cls: type[Part], given: Any) -> Iterator[Complaint]:
    return cls.rules(given) if isinstance(given, dict) else iter(())


def relocated(error: ValidationError, strip: int) -> ValidationError:
    """The same complaints with the first `strip` elements taken off their paths."""
    lines = [
        _line(line["type"], line["msg"], line["loc"][strip:], line["input"])
        for line in (_readable(line) for line in error.errors(include_url=False))
    ]
    return ValidationError.from_exception_data(error.title, lines)


def _readable(line: ErrorDetails) -> ErrorDetails:
    if line["type"] in _WORDS or line["type"] == "unexpected_keyword_argument":
        code, message = _words(line, ())
        return {**line, "type": code, "msg": message}
    return line


def _in_our_words(line: ErrorDetails, known: Collection[str]) -> InitErrorDetails:
    code, message = _words(line, known)
    return _line(code, message, line["loc"], line["input"])


def _line(code: str, message: str, loc: tuple[str | int, ...], given: Any) -> InitErrorDetails:
    return {"type": complaint(code, message), "loc": loc, "input": given}


_WORDS: dict[str, tuple[str, str]] = {
    "missing": ("missing-key", 'The key "{key}" is missing here; add it.'),
    "string_type": ("wrong-type", "Write a string here, not {given}."),
    "bool_type": ("wrong-type", "Write true or false here, not {given}."),
    "int_type": ("wrong-type", "Write a whole number here, not {given}."),
    "int_from_float": ("wrong-type", "Write a whole number here, not {given}."),
    "float_type": ("wrong-type", "Write a number here, not {given}."),
    "dict_type": ("wrong-type", "Write an object here, not {given}."),
    "dataclass_type": ("wrong-type", "Write an object here, not {given}."),
    "list_type": ("wrong-type", "Write a list here, not {given}."),
    "tuple_type": ("wrong-type", "Write a list here, not {given}."),
    "literal_error": ("unknown-word", "Write one of {expected} here, not {given}."),
    "greater_than": ("out-of-range", "Write a number greater than {gt:.12g} here."),
    "greater_than_equal": ("out-of-range", "Write a number of at least {ge:.12g} here."),
    "less_than_equal": ("out-of-range", "Write a number of at most {le:.12g} here."),
    "finite_number": ("out-of-range", "Write a finite number here."),
    "string_too_short": ("empty", "Write something here; it must not be empty."),
    "string_too_long": ("too-long", "Shorten this to at most {max_length} characters."),
    "too_short": ("empty", "Name at least one here; it must not be empty."),
    "too_long": ("too-many", "There may be at most {max_length} here."),
}


def _words(line: ErrorDetails, known: Collection[str]) -> tuple[str, str]:
    """Our code and sentence for pydantic's complaint; ours pass through."""
    kind = line["type"]
    if kind == "unexpected_keyword_argument":
        key = str(line["loc"][-1])
        hint = did_you_mean(key, known) or f" Known here: {', '.join(sorted(known))}."
        return "unknown-key", f"The key {quoted(key)} is not known here and would have no effect; remove it.{hint}"
    if kind not in _WORDS:
        return kind, line["msg"]
    code, message = _WORDS[kind]
    last_key = line["loc"][-1] if line["loc"] else ""
    return code, message.format(**{"key": last_key, "given": describe(line["input"]), **line.get("ctx", {})})


def quoted(name: str) -> str:
    """The name in quotes, shortened for messages."""
    return f'"{name}"' if len(name) <= MAX_SHOWN else f'"{name[: MAX_SHOWN - 1]}…"'


def describe(value: Json) -> str:
    """A JSON value in two or three words, for messages."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return quoted(value)
        case int() | float():
            return str(value) if abs(value) < 1e15 else "a very large number"
        case list() | tuple():
            return "a list"
        case _:
            return "an object"


Keys = dict[str, tuple[str, Json]]
_KEYS: dict[type[Part], Keys] = {}


def _keys(cls: type[Part]) -> Keys:
    """For each field its JSON key and its default (MISSING if it has none)."""
    if cls not in _KEYS:
        _KEYS[cls] = _read_keys(cls)
    return _KEYS[cls]


def _read_keys(cls: type[Any]) -> Keys:
    hints = get_type_hints(cls, include_extras=True)
    keys: Keys = {}
    for item in fields(cls):
        metadata = getattr(hints[item.name], "__metadata__", ())
        alias = next((info.alias for info in metadata if isinstance(info, FieldInfo) and info.alias), None)
        default = item.default_factory() if item.default_factory is not MISSING else item.default
        keys[item.name] = (alias or item.name, default)
    return keys


def _one_or_many(targets: tuple[Any, ...] | Json) -> Json:
    if not isinstance(targets, tuple):
        return _to_json(targets)
    return targets[0] if len(targets) == 1 else list(targets)


def _to_json(value: Json) -> Json:
    match value:
        case Part():
            return value.to_json()
        case tuple():
            return [_to_json(item) for item in value]
        case dict():
            return {key: _to_json(item) for key, item in value.items()}
        case _:
            return value
