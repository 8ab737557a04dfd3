"""Filters that refuse what Django's own would pass over or explain badly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import django_filters
from django import forms

from accounts.api.words import none_of


class TrueOrFalseField(forms.Field):
    """What Django's own field makes of a misspelt word is no filter at all."""

    default_error_messages = {"invalid": "Write true or false."}

    def to_python(self, value: Any) -> bool | None:
        if value in self.empty_values:
            return None
        try:
            return {"true": True, "false": False}[value.lower()]
        except KeyError:
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from None


class TrueOrFalseFilter(django_filters.BooleanFilter):
    field_class = TrueOrFalseField


class ChoicesField(django_filters.MultipleChoiceFilter.field_class):
    """Names the values that there are."""

    def validate(self, value: Sequence[str]) -> None:
        for each in value:
            if not self.valid_value(each):
                raise forms.ValidationError(none_of(each, [key for key, _ in self.choices]), code="invalid_choice")
        super().validate(value)


class ChoicesFilter(django_filters.MultipleChoiceFilter):
    """One of several values, or some of them."""

    field_class = ChoicesField
