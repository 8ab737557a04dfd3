"""Texts of others within our sentences."""

from __future__ import annotations


def ended(text: str) -> str:
    """The text with a full stop, unless it ends as a sentence does."""
    text = text.rstrip()
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."
