"""JSON as this engine accepts it: one door for requests, tool results and imports.

Accepted is what every JSON implementation reads back as the same value and every database stores. Refused, each with
the JSON Pointer of the bad value and a stable code: NaN and infinities (also as `1e999`), integers past signed 64 bits,
NUL characters and lone surrogates in strings, repeated keys, nesting past `max_depth`, texts past `max_bytes` of UTF-8.

`parse` and `encode` try the C implementation of the standard library first and look for trouble with a few cheap tests
on the text; only what looks suspicious is walked value by value. Both ways give the same answer.

Depth counts containers: a scalar has depth 0, `[]` depth 1, `[{}]` depth 2.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

from tools.errors import Detail, ToolsError

Json = Any
"""None, bool, int, float, str, list of Json, or dict from str to Json."""

INTEGER_MIN: Final = -(2**63)
INTEGER_MAX: Final = 2**63 - 1

_SUSPICIOUS_SOURCE: Final = re.compile(r"[0-9]{19}|[0-9][eE]\+?[0-9]{3}|\\u0000|\\u[dD][89a-fA-F]")
"""An integer may be too large, a float infinite, a string hold NUL or a lone surrogate."""

_SUSPICIOUS_OUTPUT: Final = re.compile(r"[0-9]{19}|\\u0000")
"""The same for our own text, where floats are finite and lone surrogates fail to encode."""

_BAD_CHARACTER: Final = re.compile("[\x00\ud800-\udfff]")
_STRUCTURE: Final = re.compile(r'"(?:[^"\\]+|\\.)*+"|[\[\]{},]', re.DOTALL)
_CONTAINERS: Final = frozenset({dict, list})
_SHOWN_LENGTH: Final = 200


def pointer(*path: str | int) -> str:
    """The JSON Pointer (RFC 6901) of a path of keys and indexes. A lone surrogate in a key becomes `?`."""
    tokens = (str(token).replace("~", "~0").replace("/", "~1") for token in path)
    return "".join(f"/{token}" for token in tokens).encode(errors="replace").decode()


class JsonInvalid(ToolsError):
    """A text or value that is not acceptable JSON. `path` is the JSON Pointer of the first bad value."""

    def __init__(self, code: str, path: str, message: str) -> None:
        super().__init__(message, details=[Detail(path=path, code=code, message=message)])
        self.code = code
        self.path = path


def parse(data: bytes | str, *, max_bytes: int, max_depth: int) -> Json:
    """Return the value of a JSON text from outside.

    Raises JsonInvalid. A syntax error has the path "" and names line and column.
    """
    text = _decode(data, max_bytes)
    try:
        value = _load(text, _quick_decoder, max_depth)
    except ValueError:
        return _parse_slowly(text, max_depth)
    if _SUSPICIOUS_SOURCE.search(text) or _is_deep(text, value, max_depth):
        return _parse_slowly(text, max_depth)
    return value


def encode(value: object, *, max_bytes: int, max_depth: int) -> tuple[str, Json]:
    """Return the canonical text of a Python value and the fresh value that reading the text gives.

    Tuples become lists and instances of subclasses (an enum, a defaultdict) plain values. Everything else that JSON
    cannot hold is refused with JsonInvalid; nothing is coerced.
    """
    try:
        text = _encode_text(value, max_bytes)
        plain = json.loads(text)
        lossless = plain == value
    except (TypeError, ValueError, RecursionError):
        lossless = False
    if lossless and not _SUSPICIOUS_OUTPUT.search(text) and not _is_deep(text, plain, max_depth):
        return text, plain
    text = _encode_text(_Walk(max_depth).plain(value), max_bytes)
    return text, json.loads(text)


def dumps(value: Json) -> str:
    """Return the canonical text of a value known to be good: sorted keys, no spaces, Python's float repr."""
    return _encoder.encode(value)


def text_bytes(text: str) -> int:
    """Return how many bytes of UTF-8 the text takes; a text of ASCII, as most are, is not encoded for that."""
    return len(text) if text.isascii() else len(text.encode())


def thaw(value: Json) -> Json:
    """Return a copy whose lists and objects are nobody else's."""
    if type(value) is dict:
        return {key: thaw(item) if type(item) in _CONTAINERS else item for key, item in value.items()}
    if type(value) is list:
        return [thaw(item) if type(item) in _CONTAINERS else item for item in value]
    return value


# --------------------------------------------------------------------------- text


def _decode(data: bytes | str, max_bytes: int) -> str:
    try:
        size = len(data) if isinstance(data, bytes) else text_bytes(data)
        if size > max_bytes:
            raise _too_large(size, max_bytes)
        text = data.decode() if isinstance(data, bytes) else data
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise JsonInvalid("json-encoding", "", f"The JSON is not UTF-8: {error.reason}.") from None
    if text.startswith("\ufeff"):
        raise JsonInvalid("json-encoding", "", "The JSON starts with a byte order mark; send UTF-8 without one.")
    return text


def _encode_text(value: object, max_bytes: int) -> str:
    text = _encoder.encode(value)
    size = text_bytes(text)
    if size > max_bytes:
        raise _too_large(size, max_bytes)
    return text


def _load(text: str, decoder: json.JSONDecoder, max_depth: int) -> Json:
    try:
        return decoder.decode(text)
    except json.JSONDecodeError as error:
        message = f"The JSON is malformed at line {error.lineno}, column {error.colno}: {error.msg}."
        raise JsonInvalid("json-syntax", "", message) from None
    except RecursionError:
        raise _too_deep(_first_path_deeper_than(text, max_depth), max_depth) from None


def _is_deep(text: str, value: Json, max_depth: int) -> bool:
    if text.count("[") + text.count("{") <= max_depth:
        return False
    level = [value] if type(value) in _CONTAINERS else []
    for _ in range(max_depth):
        level = [
            item
            for parent in level
            for item in (parent.values() if type(parent) is dict else parent)
            if type(item) in _CONTAINERS
        ]
    return bool(level)


def _first_path_deeper_than(text: str, max_depth: int) -> list[str | int]:
    """Return the path of the first container nested too deep in a text that is well formed up to there."""
    path: list[str | int] = []
    last_string = ""
    for match in _STRUCTURE.finditer(text):
        match match[0]:
            case "[" | "{" as bracket:
                if path and isinstance(path[-1], str):
                    path[-1] = last_string
                if len(path) == max_depth:
                    break
                path.append(0 if bracket == "[" else "")
            case "]" | "}":
                path.pop()
            case ",":
                if isinstance(path[-1], int):
                    path[-1] += 1
            case string:
                last_string = string
    return [json.loads(token) if isinstance(token, str) else token for token in path]


# --------------------------------------------------------------------------- value by value


class _RepeatedKey(dict[str, Json]):
    """An object of a text in which `key` stands twice."""

    key: str


def _refuse_repeated_key(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError
    return members


def _refuse_constant(_: str) -> Json:
    raise ValueError


def _mark_repeated_key(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = _RepeatedKey()
    for key, value in pairs:
        if key in members:
            members.key = key
            return members
        members[key] = value
    return dict(members)


def _bounded_int(digits: str) -> int:
    # Python refuses to read thousands of digits; any value out of range will do to refuse them here.
    return int(digits) if len(digits) <= 20 else INTEGER_MAX + 1


_encoder: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, sort_keys=True, separators=(",", ":")
)
_quick_decoder: Final = json.JSONDecoder(object_pairs_hook=_refuse_repeated_key, parse_constant=_refuse_constant)
_slow_decoder: Final = json.JSONDecoder(object_pairs_hook=_mark_repeated_key, parse_int=_bounded_int)


def _parse_slowly(text: str, max_depth: int) -> Json:
    return _Walk(max_depth).plain(_load(text, _slow_decoder, max_depth))


class _Walk:
    """Makes a plain copy of a value, or raises JsonInvalid with the path of the first bad one."""

    def __init__(self, max_depth: int) -> None:
        self.max_depth = max_depth
        self.path: list[str | int] = []
        self.open: list[object] = []
        """The containers around the current value."""

    def plain(self, value: object) -> Json:
        match value:
            case None | True | False:
                return value
            case str():
                return self._string(value)
            case int():
                if not INTEGER_MIN <= value <= INTEGER_MAX:
                    raise self._invalid("json-integer-range", "The integer", "does not fit into 64 bits")
                return int.__int__(value)
            case float():
                if not math.isfinite(value):
                    raise self._invalid("json-number-range", "The number", "is not finite")
                return float.__float__(value)
            case dict() | list() | tuple():
                return self._container(value)
        reason = f"is of the Python type {type(value).__name__}, which JSON cannot hold; convert it first"
        raise self._invalid("json-type", "The value", reason)

    def _string(self, value: str) -> str:
        if bad := _BAD_CHARACTER.search(value):
            kind = "a NUL character" if bad[0] == "\0" else "a lone surrogate"
            code = "json-nul" if bad[0] == "\0" else "json-surrogate"
            raise self._invalid(code, "The string", f"holds {kind} at index {bad.start()}")
        return str.__str__(value)

    def _container(self, value: dict[Any, Any] | list[Any] | tuple[Any, ...]) -> Json:
        if any(value is container for container in self.open):
            raise self._invalid("json-cycle", "The value", "contains itself")
        if len(self.open) == self.max_depth:
            raise _too_deep(self.path, self.max_depth)
        self.open.append(value)
        plain = self._object(value) if isinstance(value, dict) else self._array(value)
        self.open.pop()
        return plain

    def _object(self, value: dict[Any, Any]) -> dict[str, Json]:
        if isinstance(value, _RepeatedKey):
            self.path.append(self._key(value.key))
            raise self._invalid("json-duplicate-key", "The key", "is given twice")
        members = {}
        for key, item in value.items():
            name = self._key(key)
            self.path.append(name)
            members[name] = self.plain(item)
            self.path.pop()
        return members

    def _array(self, value: list[Any] | tuple[Any, ...]) -> list[Json]:
        items = []
        for index, item in enumerate(value):
            self.path.append(index)
            items.append(self.plain(item))
            self.path.pop()
        return items

    def _key(self, key: object) -> str:
        if not isinstance(key, str):
            shown = f"has the key {key!r:.40} of type {type(key).__name__}; keys are strings"
            raise self._invalid("json-key-type", "The object", shown)
        return self._string(key)

    def _invalid(self, code: str, subject: str, reason: str) -> JsonInvalid:
        return JsonInvalid(code, pointer(*self.path), f"{subject} {_place(self.path)} {reason}.")


# --------------------------------------------------------------------------- errors


def _place(path: list[str | int]) -> str:
    place = pointer(*path)
    shown = place if len(place) <= _SHOWN_LENGTH else f"{place[:_SHOWN_LENGTH]}…"
    return f"at {shown}" if path else "at the top"


def _too_deep(path: list[str | int], max_depth: int) -> JsonInvalid:
    message = f"The value {_place(path)} is nested deeper than {max_depth} levels."
    return JsonInvalid("json-too-deep", pointer(*path), message)


def _too_large(size: int, max_bytes: int) -> JsonInvalid:
    return JsonInvalid("json-too-large", "", f"The JSON has {size:,} bytes; at most {max_bytes:,} are allowed.")
