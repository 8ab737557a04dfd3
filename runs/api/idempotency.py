"""Requests that may be repeated without doing anything twice."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from runs.repeats import RequestKey

MAX_KEY_LENGTH = 200
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="A request that is repeated with the same key answers with what the first one made.",
)


def idempotency_key(request: Request) -> str | None:
    """The key of the request. Raises ValidationError for an empty one and one that is too long."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not 0 < len(key) <= MAX_KEY_LENGTH:
        raise ValidationError({"Idempotency-Key": [f"Give 1 to {MAX_KEY_LENGTH} characters."]})
    return key


def request_key(request: Request) -> RequestKey | None:
    """The key of the request, with the request that it stands for: its address and its body, as they were sent."""
    key = idempotency_key(request)
    return None if key is None else RequestKey.of(key, {"address": request.path, "body": request.data})
