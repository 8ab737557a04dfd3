"""How graphs are searched."""

from __future__ import annotations

import django_filters

from accounts.api.filters import TrueOrFalseFilter
from graphs.models import Graph


class GraphFilter(django_filters.FilterSet):
    name = django_filters.CharFilter(lookup_expr="icontains", help_text="Part of the name.")
    archived = TrueOrFalseFilter(
        field_name="archived_at", lookup_expr="isnull", exclude=True, help_text="Left out: both."
    )

    class Meta:
        model = Graph
        fields = ["name", "archived"]
