"""What control verbs bring along. What only the run can tell (its nodes, its steps) is checked in `runs.control`."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from accounts.api.base import JsonObjectField, StrictSerializer
from runs.control import MODES

MAX_REASON = 1000
MAX_STEPS = 1000


class StepIdField(serializers.RegexField):
    default_error_messages = {"invalid": "Give the id of a step, 20 hexadecimal digits."}

    def __init__(self, **options: Any) -> None:
        options.setdefault("help_text", "A step's id: 20 hexadecimal digits.")
        super().__init__(r"^[0-9a-f]{20}\Z", **options)


class ReasonBody(StrictSerializer):
    reason = serializers.CharField(max_length=MAX_REASON, default="", allow_blank=True)


class CancelBody(ReasonBody):
    graceful = serializers.BooleanField(default=False, help_text="Let steps in flight end first.")


class StepsBody(StrictSerializer):
    steps = serializers.ListField(
        child=StepIdField(), default=list, max_length=MAX_STEPS, help_text="None named: all of them."
    )


class StepBody(StepsBody):
    mode = serializers.ChoiceField(choices=MODES, default="into")


class BreakpointSerializer(StrictSerializer):
    id = serializers.CharField(max_length=200, required=False, help_text="Left out: b1, b2 and so on.")
    node = serializers.CharField(max_length=200)
    when = serializers.ChoiceField(choices=["before", "after"], default="before")
    path = serializers.CharField(
        max_length=200, required=False, allow_null=True, help_text="Only there, such as `fan[3]`."
    )
    condition = serializers.CharField(
        max_length=2000, required=False, allow_null=True, help_text="It stops only where this is true."
    )
    hit_count = serializers.IntegerField(
        min_value=1, max_value=2**31 - 1, required=False, allow_null=True, help_text="It stops from this hit on."
    )


class BreakpointsBody(StrictSerializer):
    breakpoints = BreakpointSerializer(many=True, help_text="They replace those that were set before.")


class BreakpointsAnswer(serializers.Serializer[Any]):
    breakpoints = serializers.ListField(child=JsonObjectField(), help_text="Each with its `hits` so far.")


class EditBody(StrictSerializer):
    values = JsonObjectField(default=dict, help_text="New values by state key.")
    delete = serializers.ListField(child=serializers.CharField(max_length=200), default=list, max_length=1000)
    within = StepIdField(required=False, allow_null=True)
    seq = serializers.IntegerField(
        min_value=1, max_value=2**63 - 1, required=False, help_text="Refuse if anything has happened since this event."
    )


class LimitBody(StrictSerializer):
    step = StepIdField()
    max_parallel = serializers.IntegerField(min_value=1, max_value=2**31 - 1, allow_null=True)


class ControlQuery(StrictSerializer):
    wait = serializers.IntegerField(
        min_value=0, max_value=60, default=0, help_text="Seconds to wait until the verb has taken effect."
    )
