"""What a field of a body takes of JSON's types. REST framework reads `"5"` as 5, `"no"` as false and 7 as "7"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from accounts.api.words import none_of, shown

_TEXTS = (
    serializers.CharField,
    serializers.ChoiceField,
    serializers.DateTimeField,
)

Complaint = list[str] | dict[Any, Any]
"""Sentences, or those about elements by index or key."""


def complaint(field: serializers.Field[Any, Any, Any, Any], value: Any) -> Complaint | None:
    """Why the field does not take a value of this type. None if it does, and where the field itself looks."""
    if value is None:
        return None
    match field:
        case serializers.BooleanField():
            return None if isinstance(value, bool) else [f"Write true or false here, not {shown(value)}."]
        case serializers.IntegerField():
            return None if _is_whole(value) else [f"Write a whole number here, not {shown(value)}."]
        case serializers.ListField() if isinstance(value, list):
            return _of_elements(field.child, dict(enumerate(value)))
        case serializers.DictField() if isinstance(value, Mapping):
            return _of_elements(field.child, value)
        case serializers.UUIDField() if not isinstance(value, str):
            return [f"Give an id here, such as 0190b3a2-5f0c-7c3e-9d55-2f6f1c8a4e10, not {shown(value)}."]
        case _ if isinstance(field, _TEXTS) and not isinstance(value, str):
            return [f"Write a string here, not {shown(value)}."]
        case _:
            return wrong_choice(field, value)


def wrong_choice(field: serializers.Field[Any, Any, Any, Any], text: str) -> Complaint | None:
    """Which values a field of choices takes, if this text is none of them. A query parameter is always a text."""
    if not isinstance(field, serializers.ChoiceField) or text in field.choices or (text == "" and field.allow_blank):
        return None
    return [ErrorDetail(none_of(text, field.choices), code="invalid_choice")]


def _of_elements(field: serializers.Field[Any, Any, Any, Any], values: Mapping[Any, Any]) -> Complaint | None:
    found = {place: wrong for place, value in values.items() if (wrong := complaint(field, value))}
    return found or None


def _is_whole(value: Any) -> bool:
    """5.0 and 5 are one number in JSON."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == int(value)
