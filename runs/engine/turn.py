"""One call of `advance`: what it works on and what it concludes."""

from __future__ import annotations

from runs.engine.decisions import Decision
from runs.engine.events import Event
from runs.engine.scopes import Scope
from runs.engine.state import RunState


class Turn:
    """The run that moves, and the events and decisions that come out, in order."""

    __slots__ = ("decisions", "events", "over", "state")

    def __init__(self, state: RunState, event: Event) -> None:
        self.state = state
        self.events: list[Event] = [event]
        self.decisions: list[Decision] = []
        self.over: list[Scope] = []
        """Items that finished or got stuck and that their map must still be told of."""
