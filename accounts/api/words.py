"""Sentences about what a request says."""

from __future__ import annotations

import json
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

SHOWN_LENGTH = 80


def shown(value: Any) -> str:
    """A JSON value, shortened for a message."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_LENGTH else f"{text[:SHOWN_LENGTH]}…"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean "x"?`, or nothing."""
    close = get_close_matches(word[:SHOWN_LENGTH], list(known), n=1)
    return f' Did you mean "{close[0]}"?' if close else ""


def none_of(value: Any, choices: Iterable[str]) -> str:
    """The sentence about a value that is none of those that there are."""
    known = [str(choice) for choice in choices]
    hint = did_you_mean(value, known) if isinstance(value, str) else ""
    return f"Choose one of {', '.join(map(shown, known))}; {shown(value)} is none of them.{hint}"


def no_such_parameter(name: str, known: Iterable[str]) -> str:
    """The sentence about a query parameter that nobody reads."""
    known = list(known)
    hint = did_you_mean(name, known)
    return f'There is no query parameter "{name[:SHOWN_LENGTH]}" here.{hint} Known are: {", ".join(known) or "none"}.'
