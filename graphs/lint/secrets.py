"""Whether what a form asks for in secret stays secret when it has become part of the state.

Redaction goes by the state's schema alone: the run's journal keeps answers, and says nothing of the form that they came
from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from graphs.errors import Problem
from graphs.expressions import expressions_in
from graphs.json_schema import (
    Schema,
    is_secret,
    marks_secrets,
    said_of_elements,
    said_of_property,
    said_of_value,
)
from graphs.lint.graph import LintedGraph, Path
from graphs.schemas import schema_problems
from graphs.spec import NodeSpec

_MAX_COMPARED = 1000
_RESULT = re.compile(r"\bresult\b(?:\.answer\.(?P<field>\w+)|\.(?P<harmless>by|at)\b)?")


def check_secrets(graph: LintedGraph) -> Iterator[Problem]:
    forms = {name: node.human.form for name, node in graph.spec.nodes.items() if node.human and node.human.form}
    asking = {name: form for name, form in forms.items() if marks_secrets(form)}
    if not asking or any(True for _ in schema_problems(graph.spec)):  # what is wrong with a schema is said elsewhere
        return
    for name, asked in asking.items():
        for key, form, path in _landing(name, graph.spec.nodes[name], _secret_fields(asked)):
            if not _is_covered(form, _property(_Schemas.of(graph.spec.state.schema or {}), key)):
                message = (
                    f'The form asks for "{key}" in secret, and the state would show it: mark it in state.schema, too '
                    '("writeOnly": true).'
                    if path[2] == "human"
                    else f'The key "{key}" takes what the form asks for in secret, and the state would show it: mark '
                    'the key in state.schema, too ("writeOnly": true).'
                )
                yield graph.problem("secret-unmarked", message, *path)


class _Schemas:
    """What may be said of one value: a schema with what it refers to and combines."""

    def __init__(self, parts: Iterable[Any], root: Schema) -> None:
        self.root = root
        self.parts = said_of_value(root, parts)

    @classmethod
    def of(cls, schema: Schema) -> _Schemas:
        return cls([schema], schema)

    @property
    def is_secret(self) -> bool:
        return any(map(is_secret, self.parts))

    @property
    def identity(self) -> frozenset[int]:
        return frozenset(map(id, self.parts))

    @property
    def names(self) -> set[str]:
        return {name for part in self.parts for name in part.get("properties", ())}


def _property(schemas: _Schemas, name: str) -> _Schemas:
    return _Schemas(said_of_property(schemas.root, schemas.parts, name), schemas.root)


def _items(schemas: _Schemas) -> _Schemas:
    return _Schemas(said_of_elements(schemas.root, schemas.parts), schemas.root)


def _is_covered(form: _Schemas, state: _Schemas) -> bool:
    """Whether the state's schema marks secret whatever the form does; not, if that takes too much work to say."""
    seen: set[tuple[frozenset[int], frozenset[int]]] = set()
    waiting = [(form, state)]
    while waiting:
        form, state = waiting.pop()
        pair = form.identity, state.identity
        if pair in seen or state.is_secret or not form.parts:
            continue
        if form.is_secret or len(seen) == _MAX_COMPARED:
            return False
        seen.add(pair)
        waiting += [(_property(form, name), _property(state, name)) for name in form.names]
        waiting.append((_items(form), _items(state)))
    return True


def _secret_fields(form: Schema) -> dict[str, _Schemas]:
    """The properties of an answer that have something secret in them."""
    whole, unmarked = _Schemas.of(form), _Schemas.of({})
    fields = {name: _property(whole, name) for name in sorted(whole.names)}
    return {name: field for name, field in fields.items() if not _is_covered(field, unmarked)}


def _landing(name: str, node: NodeSpec, secrets: dict[str, _Schemas]) -> Iterator[tuple[str, _Schemas, Path]]:
    """The state keys that what is secret comes to. Answers are in the journal even where no key takes them."""
    whole = _Schemas.of({"writeOnly": True})
    taken = [key for key, value in (node.outputs or {}).items() if secrets and _may_hold(value, secrets)]
    for key in taken:
        yield key, whole, ("nodes", name, "outputs", key)
    if not taken:
        for key, field in secrets.items():
            yield key, field, ("nodes", name, "human", "form", "properties", key)


def _may_hold(value: Any, secrets: Mapping[str, Any]) -> bool:
    """Whether an output reads more of the result than who answered and when, and fields that are not secret."""
    found = (match for _, source in expressions_in(value) for match in _RESULT.finditer(source))
    return any(match["harmless"] is None and (match["field"] is None or match["field"] in secrets) for match in found)
