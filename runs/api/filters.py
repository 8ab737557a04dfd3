"""How runs are searched."""

from __future__ import annotations

import django_filters
from django.db.models import QuerySet
from django.db.models.fields.json import KeyTransform
from rest_framework.exceptions import ValidationError

from runs.api.serializers import LABEL_KEY
from runs.models import Run


class RunFilter(django_filters.FilterSet):
    status = django_filters.MultipleChoiceFilter(choices=Run.Status.choices, help_text="Several may be given.")
    graph = django_filters.UUIDFilter(field_name="version__graph__uuid")
    business_key = django_filters.CharFilter()
    label = django_filters.CharFilter(method="with_label", help_text="`key:value`")

    class Meta:
        model = Run
        fields = ["status", "graph", "business_key", "label"]

    def with_label(self, runs: QuerySet[Run], name: str, text: str) -> QuerySet[Run]:
        key, colon, value = text.partition(":")
        if not colon or not LABEL_KEY.fullmatch(key):
            raise ValidationError({name: ["Write a label as key:value."]})
        return runs.alias(wanted_label=KeyTransform(key, "labels")).filter(wanted_label=value)
