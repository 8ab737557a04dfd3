"""How much one evaluation may look at.

Most parts of an expression take a time that does not depend on the values. What goes through a value (a comparison of
lists, `in`, `sum`) says before it begins how many elements it has, so that whether an expression has a value depends
on how large the values are and not on where a search ends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from graphs.expressions.errors import Failed

Json = Any
Names = Mapping[str, Json]

MAX_ELEMENTS = 500_000
"""A tenth of a second, about: the event loop of a driver waits for it."""
CHARACTERS_PER_ELEMENT = 16
"""Searching a text is so much quicker than comparing elements."""


class _Work(threading.local):
    """What the evaluation of this thread may still look at. An evaluation waits for nothing and calls no other."""

    left = 0


_work = _Work()


def counted(evaluate: Callable[[Names], Json]) -> Callable[[Names], Json]:
    """The same evaluation, which counts from the beginning each time."""

    def count(names: Names) -> Json:
        _work.left = MAX_ELEMENTS
        return evaluate(names)

    return count


def look_at(elements: int) -> None:
    """Count elements that are about to be looked at. Raises Failed if they are too many."""
    left = _work.left - elements
    if left < 0:
        raise Failed("too-much-work", f"it looks at more than {MAX_ELEMENTS:,} elements; let a tool do this.")
    _work.left = left


def read_text(text: str) -> None:
    """Count the characters of a text that are about to be read."""
    look_at(len(text) // CHARACTERS_PER_ELEMENT)
