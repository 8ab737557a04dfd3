"""What tests are told of the steps, gathered while the run goes on."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from runs.engine.decisions import StartStep
from runs.engine.events import (
    AttemptFailed,
    Event,
    Failure,
    JsonObject,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepId,
    StepRescheduled,
)
from runs.engine.simulate.results import Ending, LogLine, SimulatedStep


class Records:
    """One record an attempt."""

    def __init__(self, began_at: datetime) -> None:
        self._began_at = began_at
        self._open: dict[StepId, SimulatedStep] = {}
        self.steps: list[SimulatedStep] = []
        self.log: list[LogLine] = []

    def begin(self, start: StartStep, saw: JsonObject, *, at: datetime) -> None:
        """An attempt starts."""
        record = SimulatedStep(
            id=start.step,
            node=start.node,
            path=start.path,
            attempt=start.attempt,
            started_at_s=self.seconds(at),
            saw=saw,
            undoes=start.compensates is not None,
        )
        self._open[start.step] = record
        self.steps.append(record)

    def called(self, step: StepId, arguments: JsonObject) -> None:
        self._open[step].arguments = arguments

    def gave(self, step: StepId, value: Any) -> None:
        self._open[step].gave = value

    def add_line(self, start: StartStep, message: str, level: str, *, at: datetime) -> None:
        self.log.append(LogLine(at_s=self.seconds(at), node=start.node, level=level, message=message))

    def note(self, event: Event, *, at: datetime) -> None:
        """An event may end an attempt."""
        match event:
            case StepCompleted():
                self.end(event.step, "completed", at=at)
            case StepFailed():
                self.end(event.step, "failed", at=at, error=event.error)
            case AttemptFailed():
                self.end(event.step, "retried", at=at, error=event.error)
            case StepRescheduled():
                self.end(event.step, "waited", at=at)
            case StepCancelled():
                self.end(event.step, "cancelled", at=at)

    def end(self, step: StepId, ending: Ending, *, at: datetime, error: Failure | None = None) -> None:
        """The present attempt of a step is over, if it has one that has begun."""
        record = self._open.pop(step, None)
        if record is not None:
            record.ended_at_s, record.ending = self.seconds(at), ending
            record.error = "" if error is None else error.in_words

    def seconds(self, at: datetime) -> float:
        """Since the start of the run."""
        return (at - self._began_at).total_seconds()
