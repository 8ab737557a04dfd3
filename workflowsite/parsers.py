"""How the API reads bodies: JSON, strictly, and no more of it than the limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework.parsers import BaseParser

from tools.strict_json import JsonInvalid, parse


class StrictJSONParser(BaseParser):
    """Reads `application/json` by the rules of `tools.strict_json`; what it refuses has a path and a code."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        max_bytes = settings.WORKFLOW.max_request_bytes
        declared = int((parser_context or {})["request"].META["CONTENT_LENGTH"])
        if declared > max_bytes:
            message = f"The body has {declared:,} bytes; at most {max_bytes:,} are allowed."
            raise JsonInvalid("json-too-large", "", message)
        return parse(stream.read(), max_bytes=max_bytes, max_depth=settings.WORKFLOW.max_json_depth)
