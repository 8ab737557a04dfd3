"""Definitions that are ready to be written, so that a transaction has nothing to do but write them.

SQLite has one write lock for everybody, which a transaction holds from its beginning. Of a definition with thousands of
nodes the ORM's work on each value takes ten times as long as the database's, so it is done before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from django.conf import settings
from django.db import connection
from django.db.models import Field, QuerySet
from django.utils import timezone

from accounts.actor import Actor
from graphs.models import Edge, GraphVersion, Node
from graphs.rows import definition_of, rows_of
from graphs.spec import GraphSpec, parse_definition
from tools import strict_json

Row = Node | Edge
Values = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CanonicalText:
    """What a published version keeps of a definition for ever."""

    text: str
    sha256: str

    @classmethod
    def of(cls, spec: GraphSpec) -> Self:
        """Raises JsonInvalid for a definition that is too large."""
        limits = settings.WORKFLOW
        text, _ = strict_json.encode(
            spec.canonical(), max_bytes=limits.max_definition_bytes, max_depth=limits.max_json_depth
        )
        return cls(text=text, sha256=spec.sha256)

    def publish(self, version: GraphVersion, actor: Actor) -> None:
        """Make the version a published one; it is not saved."""
        version.definition, version.sha256 = self.text, self.sha256
        version.status = GraphVersion.Status.PUBLISHED
        version.published_at = timezone.now()
        version.published_by = actor.user


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRows:
    """A definition row by row, for any version that is to hold it."""

    columns: dict[str, str]
    nodes: _Inserts
    edges: _Inserts

    @classmethod
    def of(cls, spec: GraphSpec) -> Self:
        rows = rows_of(spec, GraphVersion())
        return cls(columns=rows.columns, nodes=_Inserts.of(Node, rows.nodes), edges=_Inserts.of(Edge, rows.edges))

    def write(self, version: GraphVersion) -> None:
        """Save the version, and the rows as its own."""
        for column, value in self.columns.items():
            setattr(version, column, value)
        version.save()
        self.nodes.write(version)
        self.edges.write(version)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inserts:
    """Rows of one table as the database takes them, but for their version. Their ids are not read back."""

    sql: str
    values: list[Values]

    @classmethod
    def of(cls, model: type[Row], rows: Iterable[Row]) -> Self:
        fields = [field for field in _fields(model) if not field.primary_key and field.name != "version"]
        quote = connection.ops.quote_name
        columns = ", ".join(quote(field.column or "") for field in fields)
        places = ", ".join(["%s"] * (1 + len(fields)))
        sql = f"INSERT INTO {quote(model._meta.db_table)} (version_id, {columns}) VALUES ({places})"  # noqa: S608
        values = [
            tuple(field.get_db_prep_save(getattr(row, field.attname), connection) for field in fields) for row in rows
        ]
        return cls(sql=sql, values=values)

    def write(self, version: GraphVersion) -> None:
        if self.values:
            with connection.cursor() as cursor:
                cursor.executemany(self.sql, [(version.pk, *row) for row in self.values])


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftAsRead:
    """All that a draft said at one moment; telling whether it still says so takes much less than parsing it."""

    version: GraphVersion
    nodes: list[Node]
    edges: list[Edge]

    @classmethod
    def of(cls, draft: GraphVersion) -> Self:
        return cls(version=draft, nodes=list(draft.nodes.all()), edges=list(draft.edges.all()))

    def spec(self) -> GraphSpec:
        """Raises DefinitionInvalid for a draft that breaks the grammar."""
        return parse_definition(definition_of(self.version, self.nodes, self.edges))

    def is_still(self, now: GraphVersion) -> bool:
        return (
            _values([self.version]) == _values([now])
            and _values(self.nodes) == _stored(now.nodes.all())
            and _values(self.edges) == _stored(now.edges.all())
        )


def _values(rows: Sequence[Row | GraphVersion]) -> list[Values]:
    return [tuple(getattr(row, field.attname) for field in _fields(type(row))) for row in rows]


def _stored(rows: QuerySet[Any]) -> list[Values]:
    return list(rows.values_list(*(field.attname for field in _fields(rows.model))))


def _fields(model: type[Row | GraphVersion]) -> Sequence[Field[Any, Any]]:
    return model._meta.concrete_fields
