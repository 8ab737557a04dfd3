"""From text to Python's syntax tree, within limits."""

from __future__ import annotations

import ast
import re

from graphs.expressions.errors import ExpressionInvalid

MAX_CHARACTERS = 2_000
MAX_DEPTH = 32

_STRING = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)

_FOREIGN = [
    ("&&", r"&&", "and"),
    ("||", r"\|\|", "or"),
    ("===", r"===", "=="),
    ("!==", r"!==", "!="),
    ("!", r"!(?!=)", "not"),
    ("=", r"(?<![=!<>])=(?!=)", "=="),
    ("? :", r"\?", "x if condition else y"),
]
"""An operator of another language, how it is found, and ours."""


def parse(source: str) -> ast.expr:
    """The tree of the text, without the `=` in front. Raises ExpressionInvalid."""
    if len(source) > MAX_CHARACTERS:
        raise ExpressionInvalid(source, f"it has more than {MAX_CHARACTERS:,} characters; let a tool do this.")
    text = source.strip().removeprefix("=").strip()
    if not text:
        raise ExpressionInvalid(source, "it is empty.")
    if _bracket_depth(text) > MAX_DEPTH:
        raise ExpressionInvalid(source, f"its brackets are more than {MAX_DEPTH} deep.")
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        at = f" near character {error.offset}" if error.offset else ""
        why = _foreign_words(text) or error.msg
        raise ExpressionInvalid(source, f"it is not written correctly{at}: {why}.") from None
    except (ValueError, MemoryError, RecursionError) as error:
        raise ExpressionInvalid(source, f"it cannot be read: {error or 'it is too deep'}.") from None


def _foreign_words(text: str) -> str:
    """What to write for the operators of other languages, if there are any."""
    bare = _STRING.sub("", text)
    return ", ".join(f"write {ours} for {theirs}" for theirs, pattern, ours in _FOREIGN if re.search(pattern, bare))


def _bracket_depth(text: str) -> int:
    deepest = depth = 0
    for character in _STRING.sub("", text):
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}":
            depth -= 1
    return deepest
