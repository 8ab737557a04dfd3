"""What all parts of an execution share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from runs.driver.alarms import Alarms
from runs.driver.invoke import Call
from runs.driver.journal import Journal
from runs.driver.services import Services
from runs.driver.settling import Settler
from runs.engine import RunState
from runs.engine.events import StepId
from runs.store import ClaimedRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Driven:
    """A run in the hands of its driver. Belongs to the event loop's thread."""

    run: ClaimedRun
    state: RunState
    journal: Journal
    settler: Settler
    services: Services
    alarms: Alarms = field(default_factory=Alarms)
    calls: dict[StepId, Call] = field(default_factory=dict)
    """Those under way."""
    doubts: Mapping[StepId, int] = field(default_factory=dict)
    """For a run in quarantine: the deaths that may be a step's fault, beginning with the step to try first."""
    heartbeats: Mapping[StepId, str] = field(default_factory=dict)
    """What the steps of a worker that died have reported last, as JSON."""
