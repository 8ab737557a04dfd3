"""Texts of others within our sentences."""

from __future__ import annotations


def and_more(text: str, others: int) -> str:
    """The text, and how many others there are like it."""
    return f"{ended(text)} And {others} more." if others else text


def ended(text: str) -> str:
    """The text with a full stop, unless it ends as a sentence does."""
    text = text.rstrip()
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."
