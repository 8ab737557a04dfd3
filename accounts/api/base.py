"""What every API view shares: the actor, the roles, strict input, and cursor pagination."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.pagination import BasePagination, Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.viewsets import GenericViewSet

from accounts.actor import Actor
from accounts.api.permissions import HasRole
from accounts.models import Organization, Role


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses keys that it does not know, so that no input is ignored in silence."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = [key for key in data if key not in self.fields]
            if unknown:
                known = ", ".join(self.fields) or "none"
                message = f"This key is not known here. Known are: {known}."
                raise serializers.ValidationError({key: [message] for key in unknown}, code="unknown-key")
        return super().to_internal_value(data)


@extend_schema_field({})
class JsonField(serializers.Field[Any, Any, Any, Any]):
    """Any JSON value, shown as it is."""

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field({"type": "object", "additionalProperties": True})
class JsonObjectField(JsonField):
    """A JSON object, whatever is in it; the parser has checked that it is acceptable JSON."""

    default_error_messages = {"not-an-object": "Give a JSON object."}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            self.fail("not-an-object")
        return data


class NothingSerializer(StrictSerializer):
    """The body of a request that has nothing to say."""


class NewestFirst(CursorPagination):
    """Pages by a cursor, so that rows which arrive meanwhile neither repeat nor hide others."""

    ordering = "-id"
    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 200

    def decode_cursor(self, request: Request) -> Cursor | None:
        cursor = super().decode_cursor(request)
        if cursor is not None and cursor.position is not None and not _is_row_id(str(cursor.position)):
            raise NotFound(self.invalid_cursor_message)
        return cursor


class OldestFirst(NewestFirst):
    ordering = "id"


class ActorViewSet(GenericViewSet[Any]):
    """A viewset that knows who acts. `roles` names the role that each action needs; none is left out.

    `queryset` stays empty and says only which model this is; rows come from `get_queryset`, which starts from the
    organization.
    """

    roles: ClassVar[Mapping[str, Role]]
    pagination_class: type[BasePagination] | None = NewestFirst
    permission_classes = [HasRole]
    lookup_field = "uuid"
    lookup_value_converter = "uuid"

    @property
    def actor(self) -> Actor:
        return cast(Actor, self.request.auth)

    @property
    def organization(self) -> Organization:
        return self.actor.organization

    def required_role(self) -> Role:
        # Without an action the method is not allowed here, which anybody who is in may learn.
        return self.roles[self.action] if self.action in self.action_map.values() else Role.VIEWER

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        # Parsed even where the action takes no body, so that a malformed or unwanted one never passes for none.
        if request.method not in ("GET", "HEAD"):
            _ = request.data

    def body(self, kind: type[StrictSerializer]) -> dict[str, Any]:
        """The request's body as the serializer reads it. Raises ValidationError with every problem."""
        return _valid(kind(data=self.request.data))

    def query(self, kind: type[StrictSerializer]) -> dict[str, Any]:
        """The query parameters as the serializer reads them."""
        return _valid(kind(data=self.request.query_params.dict()))


def _valid(serializer: StrictSerializer) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


def _is_row_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18
