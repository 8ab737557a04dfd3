"""The endpoint of the first release that creates a graph, with the body and the words that its clients know."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import ActorViewSet
from accounts.models import Role
from graphs import services


class GraphAnswer(serializers.Serializer[Any]):
    graph_id = serializers.UUIDField()
    message = serializers.CharField()


class PublishedGraphViewSet(ActorViewSet):
    roles = {"create": Role.EDITOR}
    serializer_class = GraphAnswer

    @extend_schema(operation_id="graph_create", request={"application/json": {"type": "object"}}, responses=GraphAnswer)
    def create(self, request: Request) -> Response:
        """Create and publish a graph from a definition. The same definition twice makes two graphs."""
        version = services.create_graph(definition=request.data, actor=self.actor)
        return Response({"graph_id": str(version.graph.uuid), "message": "Graph created successfully"})
