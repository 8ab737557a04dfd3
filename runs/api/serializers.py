"""Runs, their steps and their journal as JSON."""

from __future__ import annotations

import json
import re
from typing import Any

from rest_framework import serializers

from accounts.api.base import JsonField, JsonObjectField, StrictSerializer
from runs.models import Run, Step

MAX_WAIT_S = 60
MAX_LABELS = 32
LABEL_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}")
MAX_SEQ = 2**63 - 1


class RunSerializer(serializers.ModelSerializer[Run]):
    id = serializers.UUIDField(source="uuid")
    graph = serializers.UUIDField(source="version.graph.uuid")
    graph_name = serializers.CharField(source="version.graph.name")
    version = serializers.IntegerField(source="version.number")
    labels = serializers.DictField(child=serializers.CharField())

    class Meta:
        model = Run
        fields = [
            "id",
            "graph",
            "graph_name",
            "version",
            "status",
            "error",
            "business_key",
            "labels",
            "trigger",
            "actor",
            "durability",
            "priority",
            "seq",
            "created_at",
            "started_at",
            "finished_at",
        ]
        read_only_fields = fields


class StartedRunSerializer(RunSerializer):
    """A run as its start answers: with the final state, if it was waited for and is over."""

    state = JsonObjectField(allow_null=True, help_text="The final state; null while the run goes on.")

    class Meta(RunSerializer.Meta):
        fields = [*RunSerializer.Meta.fields, "state"]
        read_only_fields = fields


class NewRunSerializer(StrictSerializer):
    graph = serializers.CharField(
        required=False, max_length=120, help_text="Id or slug of a graph; its newest published version is run."
    )
    version = serializers.UUIDField(required=False, help_text="This version is run.")
    initial_state = JsonObjectField(default=dict)
    business_key = serializers.CharField(max_length=200, default="", allow_blank=True)
    labels = serializers.DictField(child=serializers.CharField(max_length=200), default=dict)
    durability = serializers.ChoiceField(choices=Run.Durability.choices, required=False, help_text="Else the graph's.")
    priority = serializers.IntegerField(min_value=-1000, max_value=1000, default=0, help_text="Higher goes first.")

    def validate_labels(self, labels: dict[str, str]) -> dict[str, str]:
        if len(labels) > MAX_LABELS or not all(map(LABEL_KEY.fullmatch, labels)):
            raise serializers.ValidationError(
                f"Give at most {MAX_LABELS} labels, with keys of 1 to 64 letters, digits, '_', '.' and '-'."
            )
        return labels

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("graph" in attrs) == ("version" in attrs):
            raise serializers.ValidationError("Name either a graph or a version.", code="graph-or-version")
        return attrs


class CancelSerializer(StrictSerializer):
    reason = serializers.CharField(max_length=1000, default="", allow_blank=True)


class StateSerializer(serializers.Serializer[Any]):
    seq = serializers.IntegerField(help_text="The event after which this was the state.")
    values = JsonObjectField(help_text="While several branches run, a preview.")
    conflicts = serializers.ListField(
        child=serializers.CharField(), help_text="Keys that concurrent branches have replaced."
    )


class StepSerializer(serializers.ModelSerializer[Step]):
    id = serializers.CharField(source="key", help_text="20 hexadecimal digits.")
    error = serializers.SerializerMethodField()

    class Meta:
        model = Step
        fields = [
            "id",
            "node",
            "path",
            "status",
            "attempt",
            "crashes",
            "scheduled_seq",
            "finished_seq",
            "scheduled_at",
            "started_at",
            "finished_at",
            "error",
        ]
        read_only_fields = fields

    def get_error(self, step: Step) -> dict[str, Any] | None:
        return json.loads(step.error) if step.error else None


class EventSerializer(serializers.Serializer[Any]):
    seq = serializers.IntegerField()
    type = serializers.CharField()
    at = serializers.DateTimeField()
    node = serializers.CharField(allow_null=True)
    step = serializers.CharField(allow_null=True)
    message = serializers.CharField()
    data = JsonField()  # type: ignore[assignment]  # a field here, for once, not the serializer's output


class EventsSerializer(serializers.Serializer[Any]):
    results = EventSerializer(many=True)


# --------------------------------------------------------------------------- query parameters


class StartQuery(StrictSerializer):
    wait = serializers.IntegerField(
        min_value=0, max_value=MAX_WAIT_S, default=0, help_text="Seconds to wait for the run to end."
    )


class StateQuery(StrictSerializer):
    seq = serializers.IntegerField(
        min_value=1, max_value=MAX_SEQ, required=False, help_text="The state after this event; else the newest."
    )


class EventsQuery(StrictSerializer):
    after = serializers.IntegerField(
        min_value=0, max_value=MAX_SEQ, default=0, help_text="The `seq` of the newest event that the caller has."
    )
    limit = serializers.IntegerField(min_value=1, max_value=1000, default=200)
    wait = serializers.IntegerField(
        min_value=0, max_value=MAX_WAIT_S, default=0, help_text="Seconds to wait for an event, if there is none."
    )
