"""What the author of a graph marks secret is shown to nobody; tools and expressions see it.

A part of `state.schema` is secret that says `"writeOnly": true` or `"format": "password"`. Every door shows states and
journal entries through `Redaction`. The journal itself keeps the values, since the state is folded from it, and the
names of parts, by which a later attempt finds them; the words that a tool says or fails with do not come back into the
state, so those are masked before they are written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache, partial, reduce
from typing import TYPE_CHECKING

from graphs.json_schema import (
    Schema,
    is_secret,
    marks_secrets,
    may_mark_secrets,
    said_of_elements,
    said_of_property,
    said_of_value,
)
from tools.strict_json import Json

if TYPE_CHECKING:
    from django.db.models import Manager

    from graphs.models import GraphVersion
    from runs.models import Run

REDACTED = "[redacted]"
OTHER_KEYS = "*"
"""Among the names of secret keys: others may be secret, too, by `additionalProperties` or what a schema combines."""
MIN_WORD_CHARACTERS = 4
"""Shorter secrets are not looked for in text: they would be found everywhere."""

JsonObject = dict[str, Json]
Mask = Callable[[str], str]
"""Gives back a text without what is secret in it."""

_STATES = ("state", "update", "replace", "values")
"""The fields of journal entries that hold values by state key."""
_DERIVED = ("items", "result", "compensation", "payloads", "value", "wait", "heartbeat")
"""Those that hold what an expression or a tool made of the state, where no schema tells what is secret."""
_INTERNAL = "snapshot"
"""The field that the engine alone can read, as large as the state; it is shown nowhere."""
_SHOWN_AS = "shown_as"
"""The field that stands for `name` where that has a secret in it."""


class Redaction:
    """Hides what a state schema marks secret. False where it marks nothing; then everything is passed on as it is."""

    def __init__(self, schema: Schema | None) -> None:
        self._root: Schema = schema or {}
        self._hides = marks_secrets(self._root)
        self.secret_keys = tuple(_secret_keys(self._root)) if self._hides else ()
        """The state keys of which something is secret, or refers to what may be; perhaps `OTHER_KEYS` among them."""

    def __bool__(self) -> bool:
        return self._hides

    def state(self, values: JsonObject) -> JsonObject:
        """The values of state keys, fit to be shown. Updates of a reducer are taken for elements of its list, too."""
        if not self._hides:
            return values
        return {key: self._shown(self._below([self._root], key), value) for key, value in values.items()}

    def keys_hidden_in(self, event: object) -> tuple[str, ...]:
        """What an entry of a subgraph says of its secret keys: those with names, and the others that the event has."""
        if OTHER_KEYS not in self.secret_keys:
            return self.secret_keys
        keys = {key for name in _STATES for key in getattr(event, name, None) or ()}
        others = [key for key in sorted(keys) if any(map(may_mark_secrets, self._below([self._root], key)))]
        return tuple(dict.fromkeys((*self.secret_keys, *others)))

    def entry(self, data: JsonObject) -> JsonObject:
        """The data of a journal entry, fit to be shown. Items and results are hidden whole but for their number.

        An entry of a subgraph names its secret keys itself (`hidden`), and they are hidden whole.
        """
        if _INTERNAL in data:
            data = {name: value for name, value in data.items() if name != _INTERNAL}
        if _SHOWN_AS in data:
            data = {**data, "name": data[_SHOWN_AS]}
            del data[_SHOWN_AS]
        hidden = data.get("hidden", ())
        if not self._hides and not hidden:
            return data
        states = {
            name: {key: REDACTED if key in hidden else value for key, value in self.state(data[name]).items()}
            for name in _STATES
            if name in data
        }
        derived = {name: _hidden(data[name]) for name in _DERIVED if name in data}
        return {**data, **states, **derived}

    def mask(self, text: str, *states: Mapping[str, Json]) -> str:
        """The text without the secret strings that are in the states, however they are quoted."""
        return self.masker(*states)(text)

    def masker(self, *states: Mapping[str, Json]) -> Mask:
        """What masks one text after another, as `mask` does."""
        return partial(_masked, words=self._words(states) if self._hides else ())

    def hides(self, path: Iterable[str | int], value: Json) -> bool:
        """Whether the value that a state has at `path` is secret or has a secret in it."""
        schemas = said_of_value(self._root, [self._root])
        for step in path:
            schemas = self._below(schemas, step)
            if any(map(is_secret, schemas)):
                return True
        return self._hides and any(True for _ in self._secrets(schemas, value))

    def _words(self, states: Iterable[Mapping[str, Json]]) -> list[str]:
        whole = said_of_value(self._root, [self._root])
        secrets = (secret for state in states for secret in self._secrets(whole, dict(state)))
        strings = {text for secret in secrets for text in _strings(secret) if len(text) >= MIN_WORD_CHARACTERS}
        quoted = {repr(text)[1:-1] for text in strings} | {json.dumps(text)[1:-1] for text in strings}
        return sorted(strings | quoted, key=len, reverse=True)

    def _shown(self, schemas: list[Schema], value: Json) -> Json:
        if any(map(is_secret, schemas)):
            return REDACTED
        match value:
            case list():
                items = self._below(schemas, 0)
                return [self._shown(items, item) for item in value]
            case dict():
                return {key: self._shown(self._below(schemas, key), item) for key, item in value.items()}
        elements = self._below(schemas, 0)
        return REDACTED if any(map(is_secret, elements)) else value

    def _secrets(self, schemas: list[Schema], value: Json) -> Iterator[Json]:
        if any(map(is_secret, schemas)):
            yield value
        elif isinstance(value, list):
            items = self._below(schemas, 0)
            for item in value:
                yield from self._secrets(items, item)
        elif isinstance(value, dict):
            for key, item in value.items():
                yield from self._secrets(self._below(schemas, key), item)
        elif any(map(is_secret, self._below(schemas, 0))):
            yield value

    def _below(self, schemas: Iterable[Schema], step: str | int) -> list[Schema]:
        """What the schemas say of the property or the element `step` of their value."""
        if isinstance(step, int):
            return said_of_elements(self._root, schemas)
        return said_of_property(self._root, schemas, step)


class StayingSecret(Redaction):
    """Hides what any of several redactions hides: a run that was migrated keeps the secrets of its former versions."""

    def __init__(self, redactions: Iterable[Redaction]) -> None:
        self._parts = tuple(filter(None, redactions)) or (Redaction(None),)
        self._hides = any(self._parts)
        self.secret_keys = tuple(dict.fromkeys(key for part in self._parts for key in part.secret_keys))

    def state(self, values: JsonObject) -> JsonObject:
        for part in self._parts:
            values = part.state(values)
        return values

    def keys_hidden_in(self, event: object) -> tuple[str, ...]:
        return tuple(dict.fromkeys(key for part in self._parts for key in part.keys_hidden_in(event)))

    def entry(self, data: JsonObject) -> JsonObject:
        for part in self._parts:
            data = part.entry(data)
        return data

    def masker(self, *states: Mapping[str, Json]) -> Mask:
        masks = [part.masker(*states) for part in self._parts]
        return lambda text: reduce(lambda masked, mask: mask(masked), masks, text)

    def hides(self, path: Iterable[str | int], value: Json) -> bool:
        path = tuple(path)
        return any(part.hides(path, value) for part in self._parts)


def redaction_of(run: Run) -> Redaction:
    """What is to be hidden of a run: what its version marks secret, and what its former versions did."""
    versions = type(run.version).objects
    now = _redaction(versions, run.version.pk, run.version.sha256)
    ids = {int(id_) for id_ in run.former_versions.split()} - {run.version.pk}
    if not ids:
        return now
    former = versions.filter(pk__in=ids).order_by("pk").values_list("pk", "sha256")
    return StayingSecret([now, *(_redaction(versions, *row) for row in former)])


@lru_cache(maxsize=256)
def _redaction(versions: Manager[GraphVersion], version_id: int, sha256: str) -> Redaction:
    """The redaction for one version, made once a process."""
    # By what is in it, too: a database that was put back may give an id again, and then all would be shown.
    definition = versions.values_list("definition", flat=True).get(pk=version_id)
    return Redaction(json.loads(definition).get("state", {}).get("schema"))


def _secret_keys(schema: Schema) -> Iterator[str]:
    yield from (key for key, part in schema.get("properties", {}).items() if may_mark_secrets(part))
    if may_mark_secrets({word: part for word, part in schema.items() if word not in ("properties", "$defs")}):
        yield OTHER_KEYS


def _masked(text: str, *, words: Iterable[str]) -> str:
    for word in words:
        text = text.replace(word, REDACTED)
    return text


def _strings(value: Json) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from _strings(item)
        case dict():
            for item in value.values():
                yield from _strings(item)


def _hidden(value: Json) -> Json:
    return [REDACTED] * len(value) if isinstance(value, list) else REDACTED
