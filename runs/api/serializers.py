"""Runs, their steps and their journal as JSON."""

from __future__ import annotations

import json
import re
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.base import JsonField, JsonObjectField, StrictSerializer
from runs.api.control_serializers import BreakpointSerializer, StepIdField
from runs.human_tasks import is_overdue, shown_answers
from runs.models import HumanTask, Run, Signal, Step, StepError, Webhook
from runs.services import NewWebhook
from runs.webhooks.sending import MAX_URL_CHARACTERS

MAX_WAIT_S = 60
MAX_LABELS = 32
LABEL_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}")
MAX_SEQ = 2**63 - 1


def checked_labels(labels: dict[str, str]) -> dict[str, str]:
    """The labels of a run, if they may be. Raises ValidationError."""
    if len(labels) > MAX_LABELS or not all(map(LABEL_KEY.fullmatch, labels)):
        raise serializers.ValidationError(
            f"Give at most {MAX_LABELS} labels, with keys of 1 to 64 letters, digits, '_', '.' and '-'."
        )
    return labels


class WebhookSerializer(serializers.ModelSerializer[Webhook]):
    url = serializers.SerializerMethodField(help_text="Without its query, which may hold a secret.")

    class Meta:
        model = Webhook
        fields = ["url", "status", "attempts", "next_at", "last_error", "delivered_at"]
        read_only_fields = fields

    def get_url(self, webhook: Webhook) -> str:
        return webhook.url.partition("?")[0]


class RunSerializer(serializers.ModelSerializer[Run]):
    id = serializers.UUIDField(source="uuid")
    graph = serializers.UUIDField(source="version.graph.uuid")
    graph_name = serializers.CharField(source="version.graph.name")
    version = serializers.IntegerField(source="version.number")
    labels = serializers.DictField(child=serializers.CharField())
    forked_from = serializers.UUIDField(source="forked_from.uuid", allow_null=True, default=None)
    webhook = WebhookSerializer(allow_null=True, default=None, help_text="How far the news of its end has come.")

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
            "queued",
            "seq",
            "forked_from",
            "fork_seq",
            "created_at",
            "started_at",
            "finished_at",
            "webhook",
        ]
        read_only_fields = fields


class StartedRunSerializer(RunSerializer):
    """A run as its start answers: with the final state, if it was waited for and is over."""

    state = JsonObjectField(allow_null=True, help_text="The final state; null while the run goes on.")

    class Meta(RunSerializer.Meta):
        fields = [*RunSerializer.Meta.fields, "state"]
        read_only_fields = fields


class NewWebhookSerializer(StrictSerializer):
    url = serializers.CharField(max_length=MAX_URL_CHARACTERS, help_text="Gets a POST when the run is over.")
    secret = serializers.CharField(
        required=False, max_length=200, help_text="Signs the request; else the organization's key does."
    )


class NewRunSerializer(StrictSerializer):
    graph = serializers.CharField(
        required=False,
        max_length=120,
        help_text="Id or slug of a graph; its newest published version is run, or with `@3` behind it the version 3.",
    )
    version = serializers.UUIDField(required=False, help_text="Id of a version, which is run.")
    initial_state = JsonObjectField(default=dict)
    business_key = serializers.CharField(max_length=200, default="", allow_blank=True)
    labels = serializers.DictField(child=serializers.CharField(max_length=200), default=dict)
    durability = serializers.ChoiceField(choices=Run.Durability.choices, required=False, help_text="Else the graph's.")
    priority = serializers.IntegerField(min_value=-1000, max_value=1000, default=0, help_text="Higher goes first.")
    webhook = NewWebhookSerializer(required=False)
    breakpoints = BreakpointSerializer(many=True, default=list, help_text="They hold the run from its first step on.")

    def validate_webhook(self, webhook: dict[str, str]) -> NewWebhook:
        return NewWebhook(**webhook)

    on_conflict = serializers.ChoiceField(
        choices=["allow", "reject", "replace", "enqueue"],
        default="allow",
        help_text="About another run of the graph with the same business_key: go on beside it, be refused (409), "
        "cancel it, or start when it is over.",
    )

    def validate_labels(self, labels: dict[str, str]) -> dict[str, str]:
        return checked_labels(labels)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("graph" in attrs) == ("version" in attrs):
            raise serializers.ValidationError(
                'Name either a graph, such as "doubling" or "doubling@3" for its version 3, or a version by its id.',
                code="graph-or-version",
            )
        return attrs


class RerunSerializer(StrictSerializer):
    version = serializers.ChoiceField(
        choices=["same", "latest"], default="same", help_text="The run's own, or the newest published of its graph."
    )


class WebhookKeySerializer(serializers.Serializer[Any]):
    key = serializers.CharField(help_text="Signs webhooks that have no secret of their own.")


class NewSignalSerializer(StrictSerializer):
    name = serializers.CharField(max_length=255, help_text="What a wait names.")
    payload = JsonField(default=None, allow_null=True, help_text="Any JSON; an object is the update of the step.")


class NewKeyedSignalSerializer(NewSignalSerializer):
    business_key = serializers.CharField(
        max_length=200, help_text="The first run of this key that waits for the signal takes it."
    )


class SignalSerializer(serializers.ModelSerializer[Signal]):
    """A signal without its payload, which may be a secret."""

    id = serializers.UUIDField(source="uuid")
    run = serializers.UUIDField(source="run.uuid", default=None, allow_null=True)

    class Meta:
        model = Signal
        fields = ["id", "name", "run", "business_key", "actor", "created_at", "consumed_at"]
        read_only_fields = fields


class AssigneesSerializer(StrictSerializer):
    users = serializers.ListField(child=serializers.CharField(max_length=255), default=list, max_length=100)
    roles = serializers.ListField(child=serializers.CharField(max_length=255), default=list, max_length=100)
    groups = serializers.ListField(child=serializers.CharField(max_length=255), default=list, max_length=100)


class AnswerSerializer(StrictSerializer):
    answer = JsonField(allow_null=True, help_text="What the task's form asks for.")


class TaskSerializer(serializers.ModelSerializer[HumanTask]):
    id = serializers.UUIDField(source="uuid")
    run = serializers.UUIDField(source="run.uuid")
    graph_name = serializers.CharField(source="run.version.graph.name")
    form = serializers.SerializerMethodField(help_text="JSON Schema of the answer.")
    assignees = serializers.SerializerMethodField(help_text="Nobody named: everybody with the role operator.")
    answers = serializers.SerializerMethodField(help_text="As far as they are no secrets.")
    is_overdue = serializers.SerializerMethodField()
    is_mine = serializers.BooleanField(help_text="Whether the caller may answer it.")

    class Meta:
        model = HumanTask
        fields = [
            "id",
            "run",
            "graph_name",
            "node",
            "status",
            "title",
            "instructions",
            "form",
            "assignees",
            "quorum",
            "answers",
            "is_mine",
            "is_overdue",
            "due_at",
            "created_at",
            "closed_at",
        ]
        read_only_fields = fields

    @extend_schema_field({"type": "object", "additionalProperties": True})
    def get_form(self, task: HumanTask) -> dict[str, Any]:
        return json.loads(task.form)

    @extend_schema_field(AssigneesSerializer)
    def get_assignees(self, task: HumanTask) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {"users": [], "roles": [], "groups": []}
        for assignee in task.assignees.all():
            found[f"{assignee.kind}s"].append(assignee.name)
        return found

    @extend_schema_field({"type": "array", "items": {"type": "object", "additionalProperties": True}})
    def get_answers(self, task: HumanTask) -> list[dict[str, Any]]:
        return shown_answers(task)

    def get_is_overdue(self, task: HumanTask) -> bool:
        return is_overdue(task, timezone.now())


class StateSerializer(serializers.Serializer[Any]):
    seq = serializers.IntegerField(help_text="The event after which this was the state.")
    values = JsonObjectField(help_text="While several branches run, a preview.")
    conflicts = serializers.ListField(
        child=serializers.CharField(), help_text="Keys that concurrent branches have replaced."
    )


class StepSerializer(serializers.ModelSerializer[Step]):
    id = serializers.CharField(source="key", help_text="20 hexadecimal digits.")
    compensates = serializers.BooleanField(help_text="Whether it undid what the node had done before.")
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
            "compensates",
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


class StepErrorSerializer(serializers.ModelSerializer[StepError]):
    step = serializers.SerializerMethodField(help_text="20 hexadecimal digits.")
    node = serializers.CharField()
    path = serializers.CharField(allow_blank=True)
    traceback = serializers.CharField(help_text="Python's, shortened at its beginning where it is very long.")

    class Meta:
        model = StepError
        fields = ["step", "node", "path", "attempt", "at", "type", "message", "traceback"]
        read_only_fields = fields

    def get_step(self, error: StepError) -> str:
        return bytes(error.step).hex()


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


class ReasonSerializer(serializers.Serializer[Any]):
    because = serializers.CharField(help_text="One of the codes that docs/control.md lists.")
    message = serializers.CharField()
    step = serializers.CharField(allow_null=True)
    node = serializers.CharField(allow_blank=True)
    path = serializers.CharField(allow_blank=True)
    data = JsonField()  # type: ignore[assignment]


class ExplanationSerializer(serializers.Serializer[Any]):
    status = serializers.CharField()
    reasons = ReasonSerializer(many=True)


# --------------------------------------------------------------------------- query parameters


class StartQuery(StrictSerializer):
    wait = serializers.IntegerField(
        min_value=0, max_value=MAX_WAIT_S, default=0, help_text="Seconds to wait for the run to end."
    )


class StateQuery(StrictSerializer):
    seq = serializers.IntegerField(
        min_value=1, max_value=MAX_SEQ, required=False, help_text="The state after this event; else the newest."
    )
    within = StepIdField(
        required=False, help_text="The step whose subgraph's state is meant; of one that is over, its last."
    )


class EventsQuery(StrictSerializer):
    after = serializers.IntegerField(
        min_value=0, max_value=MAX_SEQ, default=0, help_text="The `seq` of the newest event that the caller has."
    )
    limit = serializers.IntegerField(min_value=1, max_value=1000, default=200)
    wait = serializers.IntegerField(
        min_value=0, max_value=MAX_WAIT_S, default=0, help_text="Seconds to wait for an event, if there is none."
    )
