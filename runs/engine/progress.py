"""What a step keeps between its attempts."""

from __future__ import annotations

from runs.engine.events import Json, JsonObject


class Progress:
    """How far a step has come that is not over (rule R19). Made on demand: most steps need none."""

    __slots__ = ("failures", "heartbeat", "not_before", "parts", "wait")

    def __init__(self) -> None:
        self.failures: dict[int, int] = {}
        """Attempts that failed, by the place of the retry policy that counts them. Those whose worker died are not
        counted: a policy allows for failures."""
        self.not_before = ""
        """When the present attempt is due, as RFC 3339; empty: at once."""
        self.heartbeat: Json = None
        """What the attempts before had reported last."""
        self.parts: JsonObject = {}
        """By name: what parts of the tool gave that the next attempt is not to do again."""
        self.wait: JsonObject | None = None
        """What the step waits for outside the run, as its driver describes it; None: its tool is running."""

    @property
    def has_answer(self) -> bool:
        """Whether what its tool waits for has come and is recorded, so that the next attempt follows (rule R19)."""
        return self.wait is not None and self.wait.get("interrupt") in self.parts
