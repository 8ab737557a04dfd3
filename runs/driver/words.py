"""What the tools of one run say while they are under way, through their contexts: log lines, streamed text, heartbeats,
parts."""

from __future__ import annotations

from collections.abc import Callable

from runs.driver.driven import Driven
from runs.engine.decisions import StartStep
from runs.engine.events import Json, Outcome
from runs.models import Run


class Words:
    """Takes down the words of one run's tools; their `Listener`. Belongs to the event loop's thread."""

    def __init__(self, driven: Driven, *, apply: Callable[[Outcome], None], commit_soon: Callable[[], None]) -> None:
        """`apply` feeds an outcome to the engine. Tools are listened to while their calls are under way."""
        self._run = driven.run
        self._state = driven.state
        self._journal = driven.journal
        self._settler = driven.settler
        self._calls = driven.calls
        self._apply = apply
        self._commit_soon = commit_soon

    def log(self, start: StartStep, message: str, level: str) -> None:
        """Journal a line that a tool logs."""
        if start.step in self._calls:
            concealed = self._settler.conceal(self._state, start.step, message)
            line = {"step": start.step.hex(), "node": start.node, "level": level, "message": concealed}
            self._journal.tell("LogWritten", line)
            self._commit_soon()

    def stream(self, start: StartStep, text: str) -> None:
        """Pass on a piece of what a tool streams."""
        if start.step in self._calls:
            self._journal.stream(start.step, self._settler.conceal(self._state, start.step, text))
            self._commit_soon()

    def beat(self, start: StartStep, details: Json) -> None:
        """Keep how far a tool says it is, in case this process dies."""
        if start.step in self._calls:
            self._journal.beat(start.step, details)
            self._commit_soon()

    def record(self, start: StartStep, name: str, value: Json, kept: Callable[[], None]) -> None:
        """Keep what a part of a tool gave; `kept` is called when that is as durable as the run asks for."""
        self._apply(self._settler.part(self._state, start.step, start.attempt, name=name, value=value))
        if self._run.durability == Run.Durability.SYNC:
            self._journal.gather().kept.append(kept)
        else:
            kept()
