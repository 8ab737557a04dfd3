"""One call of `advance`: what it works on and what it concludes."""

from __future__ import annotations

from graphs.plan import Plan
from runs.engine.decisions import Decision
from runs.engine.events import Event
from runs.engine.state import RunState, Scope


class Turn:
    """The run that moves, and the events and decisions that come out, in order."""

    __slots__ = ("decisions", "events", "over", "plan", "state")

    def __init__(self, plan: Plan, state: RunState, event: Event) -> None:
        self.plan = plan
        self.state = state
        self.events: list[Event] = [event]
        self.decisions: list[Decision] = []
        self.over: list[Scope] = []
        """Items that finished or got stuck and that their map must still be told of."""
