"""Graphs and their versions."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import ActorViewSet, NoSuchObject, NothingSerializer
from accounts.models import Role
from graphs import selectors, services
from graphs.api.filters import GraphFilter
from graphs.api.serializers import (
    CheckedVersionSerializer,
    DefinitionSerializer,
    DiffQuery,
    DiffSerializer,
    GraphChangesSerializer,
    GraphSerializer,
    NewGraphSerializer,
    ProblemSerializer,
    ProblemsSerializer,
    VersionDetailSerializer,
    VersionSerializer,
)
from graphs.diff import differences
from graphs.models import Graph, GraphVersion


class GraphViewSet(ListModelMixin, RetrieveModelMixin, ActorViewSet):
    """The graphs of the organization."""

    roles = {
        "list": Role.VIEWER,
        "retrieve": Role.VIEWER,
        "lint": Role.VIEWER,
        "create": Role.EDITOR,
        "import_definition": Role.EDITOR,
        "partial_update": Role.EDITOR,
        "archive": Role.EDITOR,
        "restore": Role.EDITOR,
        "destroy": Role.EDITOR,
    }
    queryset = Graph.objects.none()
    serializer_class = GraphSerializer
    filterset_class = GraphFilter

    def get_queryset(self) -> QuerySet[Graph]:
        return selectors.all_graphs_of(self.organization)

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One graph; its definitions are those of its versions."""
        return super().retrieve(request, *args, **kwargs)

    @extend_schema(request=NewGraphSerializer, responses={201: CheckedVersionSerializer})
    def create(self, request: Request) -> Response:
        """Create a graph from a definition, as a draft or published. Always a new graph, whatever its name.

        If the slug that its name would have is taken, it gets a number: the answer's `slug` says which.
        """
        wanted = self.body(NewGraphSerializer)
        if wanted["publish"]:
            version = services.create_graph(definition=wanted["definition"], actor=self.actor)
        else:
            version = services.create_draft(graph=None, definition=wanted["definition"], actor=self.actor)
        return _created(version)

    @extend_schema(request={"application/json": {"type": "object"}}, responses={201: CheckedVersionSerializer})
    @action(detail=False, methods=["post"], url_path="import")
    def import_definition(self, request: Request) -> Response:
        """Create a draft from a definition as `export` gives it. Nothing in it is executed."""
        return _created(services.create_draft(graph=None, definition=request.data, actor=self.actor))

    @extend_schema(request=DefinitionSerializer, responses=ProblemsSerializer)
    @action(detail=False, methods=["post"], filterset_class=None)
    def lint(self, request: Request) -> Response:
        """What is wrong with a definition, or worth knowing about it. Nothing is stored."""
        problems = services.lint_definition(
            self.body(DefinitionSerializer)["definition"], organization=self.organization
        )
        return Response(ProblemsSerializer({"problems": problems}).data)

    @extend_schema(request=GraphChangesSerializer, responses=GraphSerializer)
    def partial_update(self, request: Request, uuid: UUID) -> Response:
        """Change the name or the description, until the next version that is published brings its own."""
        graph, changes = self.get_object(), self.body(GraphChangesSerializer)
        new = {"name": graph.name, "description": graph.description, **changes}
        services.rename_graph(graph=graph, actor=self.actor, **new)
        return Response(GraphSerializer(self.get_object()).data)

    @extend_schema(request=NothingSerializer, responses=GraphSerializer)
    @action(detail=True, methods=["post"])
    def archive(self, request: Request, uuid: UUID) -> Response:
        """Keep the graph and its runs, but start no more."""
        self.body(NothingSerializer)
        services.archive_graph(graph=self.get_object(), actor=self.actor)
        return Response(GraphSerializer(self.get_object()).data)

    @extend_schema(request=NothingSerializer, responses=GraphSerializer)
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, uuid: UUID) -> Response:
        """Take the graph back from the archive."""
        self.body(NothingSerializer)
        services.restore_graph(graph=self.get_object(), actor=self.actor)
        return Response(GraphSerializer(self.get_object()).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, uuid: UUID) -> Response:
        """Delete a graph that has never run. One that has can be archived."""
        services.delete_graph(graph=self.get_object(), actor=self.actor)
        return Response(status=status.HTTP_204_NO_CONTENT)


class VersionViewSet(ListModelMixin, ActorViewSet):
    """The versions of a graph, the newest first."""

    roles = {
        "list": Role.VIEWER,
        "retrieve": Role.VIEWER,
        "lint": Role.VIEWER,
        "diff": Role.VIEWER,
        "export": Role.VIEWER,
        "create": Role.EDITOR,
        "update": Role.EDITOR,
        "destroy": Role.EDITOR,
        "publish": Role.EDITOR,
    }
    queries = {"diff": DiffQuery}
    queryset = GraphVersion.objects.none()
    serializer_class = VersionSerializer
    lookup_field = "number"
    lookup_value_converter = "int"

    @property
    def graph(self) -> Graph:
        return get_object_or_404(selectors.all_graphs_of(self.organization), uuid=self.kwargs["graph_uuid"])

    def get_queryset(self) -> QuerySet[GraphVersion]:
        return selectors.versions_of(self.organization).filter(graph=self.graph)

    @extend_schema(request=DefinitionSerializer, responses={201: CheckedVersionSerializer})
    def create(self, request: Request, graph_uuid: UUID) -> Response:
        """Add a draft to the graph."""
        graph, body = self.graph, self.body(DefinitionSerializer)
        return _created(services.create_draft(graph=graph, actor=self.actor, **body))

    @extend_schema(responses=VersionDetailSerializer)
    def retrieve(self, request: Request, graph_uuid: UUID, number: int) -> Response:
        """One version with its definition."""
        return Response(_with_definition(self.get_object()))

    @extend_schema(request=DefinitionSerializer, responses=CheckedVersionSerializer)
    def update(self, request: Request, graph_uuid: UUID, number: int) -> Response:
        """Replace the definition of a draft."""
        draft, body = self.get_object(), self.body(DefinitionSerializer)
        return Response(_checked(services.replace_draft(version=draft, actor=self.actor, **body)))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, graph_uuid: UUID, number: int) -> Response:
        """Throw a draft away."""
        services.delete_draft(version=self.get_object(), actor=self.actor)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=NothingSerializer, responses=CheckedVersionSerializer)
    @action(detail=True, methods=["post"])
    def publish(self, request: Request, graph_uuid: UUID, number: int) -> Response:
        """Freeze a draft, so that it can run. A published version never changes again."""
        self.body(NothingSerializer)
        return Response(_checked(services.publish_version(version=self.get_object(), actor=self.actor)))

    @extend_schema(responses=ProblemsSerializer)
    @action(detail=True, pagination_class=None)
    def lint(self, request: Request, graph_uuid: UUID, number: int) -> Response:
        """What is wrong with the version, or worth knowing about it."""
        return Response(ProblemsSerializer({"problems": services.lint_version(self.get_object())}).data)

    @extend_schema(parameters=[DiffQuery], responses=DiffSerializer)
    @action(detail=True, pagination_class=None)
    def diff(self, request: Request, graph_uuid: UUID, number: int) -> Response:
        """What this version changes against another one."""
        version, against = self.get_object(), self.query()["against"]
        older = self.get_queryset().filter(number=against).first()
        if older is None:
            raise NoSuchObject("against", f"This graph has no version {against}; name one that it has.")
        old, new = services.export_definition(older), services.export_definition(version)
        return Response(DiffSerializer({"differences": differences(old, new)}).data)

    @extend_schema(responses={200: {"type": "object"}})
    @action(detail=True, pagination_class=None)
    def export(self, request: Request, graph_uuid: UUID, number: int) -> Response:
        """The definition alone, as a file that `import` takes."""
        version = self.get_object()
        name = f'attachment; filename="{version.graph.slug}-{version.number}.json"'
        return Response(services.export_definition(version), headers={"Content-Disposition": name})


def _with_definition(version: GraphVersion) -> dict[str, object]:
    return {**VersionSerializer(version).data, "definition": services.export_definition(version)}


def _checked(version: GraphVersion) -> dict[str, object]:
    problems = services.lint_version(version)
    return {**_with_definition(version), "warnings": ProblemSerializer(problems, many=True).data}


def _created(version: GraphVersion) -> Response:
    return Response(_checked(version), status=status.HTTP_201_CREATED)
