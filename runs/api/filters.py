"""How runs are searched."""

from __future__ import annotations

import django_filters
from django.db.models import QuerySet
from django.db.models.fields.json import KeyTransform
from rest_framework.exceptions import ValidationError

from accounts.api.base import NoSuchObject
from accounts.api.filters import ChoicesFilter, TrueOrFalseFilter
from graphs.selectors import all_graphs_of, graph_named
from runs.api.serializers import LABEL_KEY
from runs.models import HumanTask, Run, Signal


class RunFilter(django_filters.FilterSet):
    status = ChoicesFilter(choices=Run.Status.choices, help_text="Several may be given.")
    graph = django_filters.CharFilter(method="of_graph", help_text="Id or slug of a graph.")
    business_key = django_filters.CharFilter()
    label = django_filters.CharFilter(method="with_label", help_text="`key:value`")

    class Meta:
        model = Run
        fields = ["status", "graph", "business_key", "label"]

    def of_graph(self, runs: QuerySet[Run], name: str, text: str) -> QuerySet[Run]:
        graph = all_graphs_of(self.request.auth.organization).filter(**graph_named(text)).first()
        if graph is None:
            raise NoSuchObject(name, "There is no graph with this id or slug in your organization; give another one.")
        return runs.filter(version__graph=graph)

    def with_label(self, runs: QuerySet[Run], name: str, text: str) -> QuerySet[Run]:
        key, colon, value = text.partition(":")
        if not colon or not LABEL_KEY.fullmatch(key):
            raise ValidationError({name: ["Write a label as key:value."]})
        return runs.alias(wanted_label=KeyTransform(key, "labels")).filter(wanted_label=value)


class SignalFilter(django_filters.FilterSet):
    name = django_filters.CharFilter()
    business_key = django_filters.CharFilter()
    run = django_filters.UUIDFilter(field_name="run__uuid")

    class Meta:
        model = Signal
        fields = ["name", "business_key", "run"]


class TaskFilter(django_filters.FilterSet):
    status = ChoicesFilter(choices=HumanTask.Status.choices, help_text="Several may be given.")
    mine = TrueOrFalseFilter(field_name="is_mine", help_text="Whether the caller may answer them.")
    run = django_filters.UUIDFilter(field_name="run__uuid")

    class Meta:
        model = HumanTask
        fields = ["status", "mine", "run"]
