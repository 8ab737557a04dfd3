"""Moments in words."""

from __future__ import annotations

from datetime import UTC, datetime


def in_words(time: str) -> str:
    """An ISO 8601 time to the second in UTC: people have no use for more, and the data beside the sentence has it."""
    return datetime.fromisoformat(time).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
