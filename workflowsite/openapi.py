"""How the OpenAPI document is made: short names for operations, and the one shape of errors for all of them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema

_PLAIN_ACTIONS = {"list", "retrieve", "create", "update", "partial_update", "destroy"}
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


class ShortNames(AutoSchema):
    """Calls `POST …/publish/` `graphs_versions_publish`, without a second verb for its method."""

    def get_operation_id(self) -> str:
        name: str = super().get_operation_id()
        return name if getattr(self.view, "action", None) in _PLAIN_ACTIONS else name.rpartition("_")[0]


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
