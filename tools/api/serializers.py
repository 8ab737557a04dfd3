"""Tools as JSON."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from accounts.api.base import JsonObjectField


class ToolSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    description = serializers.CharField()
    module = serializers.CharField()
    effect = serializers.ChoiceField(choices=["pure", "read", "write"])
    is_async = serializers.BooleanField()
    atomic = serializers.BooleanField()


class ToolDetailSerializer(ToolSerializer):
    arguments_schema = JsonObjectField(help_text="JSON Schema of the arguments, as an object.")
    result_schema = JsonObjectField(help_text="JSON Schema of the result.")
    signature_hash = serializers.CharField(help_text="Changes when the arguments or the result do.")


class ModuleProblemSerializer(serializers.Serializer[Any]):
    module = serializers.CharField()
    message = serializers.CharField()


class ToolListSerializer(serializers.Serializer[Any]):
    results = ToolSerializer(many=True)
    problems = ModuleProblemSerializer(many=True, help_text="Modules of tools that could not be imported.")
