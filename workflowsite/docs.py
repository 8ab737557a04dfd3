"""The OpenAPI document and the page that shows it, for those who are in."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import BasePermission

from accounts.actor import Actor
from accounts.api.permissions import HasRole
from accounts.models import Role
from accounts.pages import page_actor

_TEXT = {"type": "string"}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "details"],
            "properties": {
                "code": {**_TEXT, "description": "Stable, for programs."},
                "message": {**_TEXT, "description": "What is wrong and what to do, for people."},
                "details": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["path", "code", "message", "node"],
                        "properties": {
                            "path": {**_TEXT, "description": "JSON Pointer of the bad value in the body."},
                            "code": _TEXT,
                            "message": _TEXT,
                            "node": {"type": ["string", "null"], "description": "The node of a definition."},
                        },
                    },
                },
            },
        }
    },
}
_page = SpectacularSwaggerSplitView.as_view(url_name="schema")


class SchemaView(SpectacularJSONAPIView):
    permission_classes: list[type[BasePermission]] = [HasRole]

    def required_role(self) -> Role:
        return Role.VIEWER


def describe_errors(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Add to every operation that anything but success is answered in the one shape of errors."""
    result["components"]["schemas"]["Error"] = _ERROR
    refusal = {
        "description": "The request was refused; nothing was changed.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    for operations in result["paths"].values():
        for operation in operations.values():
            operation["responses"]["default"] = refusal
    return result


@page_actor()
def docs(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    """Swagger UI, its script a request of its own as the content security policy demands."""
    return _page(request)
