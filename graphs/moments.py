"""Moments as graphs and their states write them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

Json = Any


def with_zone(value: Json) -> datetime | None:
    """The moment that an ISO 8601 text with its zone names; None for anything else."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None
