"""What every API view shares: the actor, the roles, strict input, and cursor pagination."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, cast

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import APIException, NotFound, ValidationError
from rest_framework.pagination import BasePagination, Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.viewsets import GenericViewSet

from accounts.actor import Actor
from accounts.api.json_types import complaint, wrong_choice
from accounts.api.permissions import HasRole
from accounts.api.words import no_such_parameter
from accounts.models import Organization, Role

OF_QUERY = "of_query"
"""In the context of a serializer: it reads query parameters, which are all texts."""


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses keys that it does not know and values of other types, so that no input is ignored or guessed at."""

    coerces: ClassVar[bool] = False
    """For an endpoint that has always read texts as what they stand for."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = [key for key in data if key not in self.fields]
            if unknown:
                known = ", ".join(self.fields) or "none"
                message = f"This key is not known here. Known are: {known}."
                raise serializers.ValidationError({key: [message] for key in unknown}, code="unknown-key")
            complain = wrong_choice if self.coerces or self.context.get(OF_QUERY) else complaint
            given = {name: field for name, field in self.fields.items() if name in data}
            wrong = {name: found for name, field in given.items() if (found := complain(field, data[name]))}
            if wrong:
                raise serializers.ValidationError(wrong)
        return super().to_internal_value(data)


@extend_schema_field({})
class JsonField(serializers.Field[Any, Any, Any, Any]):
    """Any JSON value, as it is."""

    def to_representation(self, value: Any) -> Any:
        return value

    def to_internal_value(self, data: Any) -> Any:
        return data


@extend_schema_field({"type": "object", "additionalProperties": True})
class JsonObjectField(JsonField):
    """A JSON object, whatever is in it; the parser has checked that it is acceptable JSON."""

    default_error_messages = {"not-an-object": "Give a JSON object."}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            self.fail("not-an-object")
        return data


class NoSuchObject(NotFound):
    """What a field of the request names is not there; whether it is another organization's, nobody learns."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.complaints = {field: message}


class UnknownParameters(APIException):
    """Query parameters that this address does not read. Ignored, a misspelt filter would show everything."""

    status_code = 400
    default_code = "unknown-parameter"

    def __init__(self, unknown: Sequence[str], known: Sequence[str]) -> None:
        self.complaints = {name: no_such_parameter(name, known) for name in unknown}
        super().__init__(self.complaints[unknown[0]])


class NothingSerializer(StrictSerializer):
    """The body of a request that has nothing to say."""


class NewestFirst(CursorPagination):
    """Pages by a cursor, so that rows which arrive meanwhile neither repeat nor hide others."""

    ordering = "-id"
    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 200

    def get_page_size(self, request: Request) -> int:
        text = request.query_params.get(self.page_size_query_param, str(self.page_size))
        if not (_is_number(text) and 1 <= int(text) <= self.max_page_size):
            message = f"Give a whole number from 1 to {self.max_page_size}."
            raise ValidationError({self.page_size_query_param: [message]})
        return int(text)

    def decode_cursor(self, request: Request) -> Cursor | None:
        cursor = super().decode_cursor(request)
        if cursor is not None and cursor.position is not None and not _is_number(str(cursor.position)):
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
    queries: ClassVar[Mapping[str, type[StrictSerializer]]] = {}
    """The query parameters of actions that take some, besides those that search and page lists."""
    paged: ClassVar[Collection[str]] = ("list",)
    """The actions that answer in pages."""
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
        known = self._known_parameters()
        unknown = [name for name in request.query_params if name not in known]
        if unknown and self.action in self.action_map.values():
            raise UnknownParameters(unknown, known)
        # Parsed even where the action takes no body, so that a malformed or unwanted one never passes for none.
        if request.method not in ("GET", "HEAD"):
            _ = request.data

    def body(self, kind: type[StrictSerializer]) -> dict[str, Any]:
        """The request's body as the serializer reads it. Raises ValidationError with every problem."""
        return _valid(kind(data=self.request.data))

    def query(self) -> dict[str, Any]:
        """The query parameters as the action's serializer in `queries` reads them."""
        data = self.request.query_params.dict()
        return _valid(self.queries[self.action](data=data, context={OF_QUERY: True}))

    def _known_parameters(self) -> list[str]:
        known = list(self.queries[self.action]().fields) if self.action in self.queries else []
        if self.action == "list" and (filterset := getattr(self, "filterset_class", None)):
            known += filterset.base_filters
        if self.action in self.paged and isinstance(self.paginator, NewestFirst):
            known += [self.paginator.cursor_query_param, self.paginator.page_size_query_param]
        return known


def _valid(serializer: StrictSerializer) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18
