"""Why a simulation cannot be made, or proves that something is wrong. What a tool raises is none of these."""

from __future__ import annotations

from typing import ClassVar


class SimulationError(Exception):
    """The simulation cannot go on as it was asked for."""

    code: ClassVar[str] = "simulation-error"


class NotScripted(SimulationError):
    """Nobody said what these tools or graphs do."""

    code = "not-scripted"

    def __init__(self, what: str, names: list[str], *, advice: str) -> None:
        self.names = tuple(names)
        listed = ", ".join(f'"{name}"' for name in names)
        super().__init__(f"No script says what the {what} {listed} should do. {advice}")


class AnswerRefused(SimulationError):
    """An answer does not fit the form of its human node; a real one would be refused, and the question stay open."""

    code = "answer-refused"


class Diverged(AssertionError):
    """Two simulations that must come to the same did not."""

    code = "simulation-diverged"
