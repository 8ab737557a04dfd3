"""The tools that nodes can call. They are code, so every organization of the installation sees the same."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import ActorViewSet
from accounts.models import Role
from tools import registry
from tools.api.serializers import ToolDetailSerializer, ToolListSerializer


class ToolViewSet(ActorViewSet):
    """The tools that nodes can call."""

    roles = {"list": Role.VIEWER, "retrieve": Role.VIEWER}
    serializer_class = ToolDetailSerializer
    pagination_class = None
    filter_backends = []
    lookup_field = "name"
    lookup_value_converter = "str"

    @extend_schema(responses=ToolListSerializer)
    def list(self, request: Request) -> Response:
        """Every tool by name, and what went wrong with modules of tools."""
        return Response(ToolListSerializer({"results": registry.all(), "problems": registry.problems()}).data)

    @extend_schema(parameters=[OpenApiParameter("name", str, OpenApiParameter.PATH)])
    def retrieve(self, request: Request, name: str) -> Response:
        """One tool with the schemas of its arguments and its result."""
        return Response(ToolDetailSerializer(registry.get(name)).data)
