from runs.models.caching import CacheEntry
from runs.models.chore import Chore
from runs.models.driver import Driver
from runs.models.journal import Event, Snapshot, StreamChunk
from runs.models.lock import Lock, LockWait
from runs.models.run import Run
from runs.models.step import Step, StepError
from runs.models.waiting import HumanTask, Mailbox, Signal, TaskAssignee, Timer
from runs.models.webhook import Webhook

__all__ = [
    "CacheEntry",
    "Chore",
    "Driver",
    "Event",
    "HumanTask",
    "Lock",
    "LockWait",
    "Mailbox",
    "Run",
    "Signal",
    "Snapshot",
    "Step",
    "StepError",
    "StreamChunk",
    "TaskAssignee",
    "Timer",
    "Webhook",
]
