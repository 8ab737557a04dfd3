from runs.models.driver import Driver
from runs.models.journal import Event, Snapshot, StreamChunk
from runs.models.run import Run
from runs.models.step import Step, StepError
from runs.models.waiting import HumanTask, Mailbox, Signal, Timer

__all__ = [
    "Driver",
    "Event",
    "HumanTask",
    "Mailbox",
    "Run",
    "Signal",
    "Snapshot",
    "Step",
    "StepError",
    "StreamChunk",
    "Timer",
]
