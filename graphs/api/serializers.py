"""Graphs and their versions as JSON."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from accounts.api.base import JsonField, JsonObjectField, StrictSerializer
from graphs.models import Graph, GraphVersion


class GraphSerializer(serializers.ModelSerializer[Graph]):
    id = serializers.UUIDField(source="uuid")
    published_version = serializers.IntegerField(
        allow_null=True, help_text="The number of the newest published version, which runs use."
    )

    class Meta:
        model = Graph
        fields = ["id", "name", "slug", "description", "published_version", "created_at", "updated_at", "archived_at"]
        read_only_fields = fields


class VersionSerializer(serializers.ModelSerializer[GraphVersion]):
    id = serializers.UUIDField(source="uuid", help_text="Of the version.")
    graph = serializers.UUIDField(source="graph.uuid", help_text="Id of the graph, as in /graphs/{id}/.")
    slug = serializers.CharField(source="graph.slug", help_text="Of the graph: runs and subgraphs name it by this.")

    class Meta:
        model = GraphVersion
        fields = ["id", "graph", "slug", "number", "status", "sha256", "created_at", "published_at"]
        read_only_fields = fields


class VersionDetailSerializer(VersionSerializer):
    definition = JsonObjectField()

    class Meta(VersionSerializer.Meta):
        fields = [*VersionSerializer.Meta.fields, "definition"]
        read_only_fields = fields


class ProblemSerializer(serializers.Serializer[Any]):
    level = serializers.CharField(help_text="error, warning or info.")
    code = serializers.CharField()
    path = serializers.CharField(help_text="JSON Pointer into the definition.")
    message = serializers.CharField()
    node = serializers.CharField(allow_null=True)


class ProblemsSerializer(serializers.Serializer[Any]):
    problems = ProblemSerializer(many=True)


class CheckedVersionSerializer(VersionDetailSerializer):
    """A version as the answer to its change shows it: with what lint says, so that nobody has to ask."""

    warnings = ProblemSerializer(
        many=True, help_text="What `lint` finds, the worst first. In a draft also what keeps it from being published."
    )

    class Meta(VersionDetailSerializer.Meta):
        fields = [*VersionDetailSerializer.Meta.fields, "warnings"]
        read_only_fields = fields


class NewGraphSerializer(StrictSerializer):
    definition = JsonObjectField()
    publish = serializers.BooleanField(default=False, help_text="Publish it as version 1; else it is a draft.")


class GraphChangesSerializer(StrictSerializer):
    name = serializers.CharField(max_length=100, required=False)
    description = serializers.CharField(allow_blank=True, required=False)


class DefinitionSerializer(StrictSerializer):
    definition = JsonObjectField()


class DifferenceSerializer(serializers.Serializer[Any]):
    path = serializers.CharField(help_text="JSON Pointer into the definitions.")
    change = serializers.ChoiceField(choices=["added", "removed", "changed"])
    old = JsonField()
    new = JsonField()


class DiffSerializer(serializers.Serializer[Any]):
    differences = DifferenceSerializer(many=True)


class DiffQuery(StrictSerializer):
    against = serializers.IntegerField(min_value=1, max_value=2**31 - 1, help_text="The number of the older version.")
