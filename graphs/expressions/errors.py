"""What can be wrong with an expression, when it is compiled and when it is evaluated."""

from __future__ import annotations

from graphs.errors import GraphsError


class ExpressionInvalid(GraphsError):
    """The text is not an expression of the language."""

    code = "expression-invalid"

    def __init__(self, source: str, reason: str) -> None:
        self.source = source
        self.reason = reason
        super().__init__(f'The expression "{shorten(source)}" cannot be used: {reason}')


class ExpressionError(GraphsError):
    """The expression has no value for these names. `kind` is stable; `reason` is a sentence."""

    code = "expression-failed"

    def __init__(self, source: str, kind: str, reason: str) -> None:
        self.source = source
        self.kind = kind
        self.reason = reason
        super().__init__(f'The expression "{shorten(source)}" failed: {reason}')


class Failed(Exception):
    """Raised inside an evaluation; `Expression` adds the source and raises ExpressionError."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


class Missing(Failed):
    """A name, key or position is not there: what `exists` and `default` look for."""

    def __init__(self, reason: str) -> None:
        super().__init__("missing", reason)


def shorten(text: str, limit: int = 200) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
