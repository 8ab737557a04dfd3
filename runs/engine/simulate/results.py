"""What came of a simulation, for tests to look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from runs.engine.events import Event, JsonObject, StepId

Status = Literal["completed", "failed", "cancelled", "waiting", "paused"]
Ending = Literal["completed", "failed", "retried", "cancelled", "lost", "waited", "open"]


@dataclass(slots=True, kw_only=True)
class SimulatedStep:
    """One attempt of one step. What it saw and gave is not to be changed."""

    id: StepId = field(repr=False)
    """The same in every order and after every recovery."""
    node: str
    path: str
    """The map items and subgraphs around it, such as `fan[3]`; empty outside."""
    attempt: int
    started_at_s: float
    ended_at_s: float | None = None
    saw: JsonObject = field(default_factory=dict)
    """The state as the step saw it."""
    arguments: JsonObject = field(default_factory=dict)
    """What its tool was called with, apart from `ctx` and `state`."""
    gave: Any = None
    """What came of it: the tool's result, the answer, what ended a wait, the state at the end of a subgraph."""
    error: str = ""
    """Why the attempt failed, such as `TimeoutError: …`."""
    ending: Ending = "open"
    """`retried`: it failed and another attempt followed; `lost`: its worker died; `waited`: it asked people, or queued
    for its lock, and was called again; `open`: it still waits."""
    undoes: bool = False
    """Whether it is the compensation of the node's step."""

    @property
    def place(self) -> str:
        """The node with what is around it: `fan[3].work`."""
        return f"{self.path}.{self.node}" if self.path else self.node


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedError:
    """Why a branch of a failed run could not go on."""

    node: str
    type: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """What a tool logged."""

    at_s: float
    node: str
    level: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """A run that was simulated, to its end or to where it waits for something that never comes."""

    status: Status
    state: JsonObject
    """At the end; of a run that has not completed, what people would see of it."""
    steps: tuple[SimulatedStep, ...]
    """Every attempt, in the order in which they started."""
    errors: tuple[SimulatedError, ...]
    """Of a failed run."""
    log: tuple[LogLine, ...]
    events: tuple[Event, ...]
    """The journal."""
    times: tuple[datetime, ...] = field(repr=False)
    """When each of the events came."""
    duration_s: float
    """Virtual, until the last event."""

    @property
    def ran(self) -> list[str]:
        """The places whose steps completed, in the order in which they started."""
        return [step.place for step in self.steps if step.ending == "completed" and not step.undoes]

    @property
    def undone(self) -> list[str]:
        """The places whose steps were undone, in the order in which that began."""
        return [step.place for step in self.steps if step.ending == "completed" and step.undoes]

    @property
    def waits_at(self) -> list[str]:
        """The places at which a run that has not ended waits."""
        return [step.place for step in self.steps if step.ending == "open"]

    def attempts(self, node: str) -> list[SimulatedStep]:
        """All attempts of all steps of a node; also by place, such as `fan[3].work`. Without what undoes them."""
        return [step for step in self.steps if node in (step.node, step.place) and not step.undoes]

    def step(self, node: str) -> SimulatedStep:
        """The last attempt of the only step of a node or place. Raises LookupError for none, or several."""
        attempts = self.attempts(node)
        ids = {step.id for step in attempts}
        if len(ids) != 1:
            raise LookupError(f'"{node}" has {len(ids)} steps, not one. {self}')
        return attempts[-1]

    @property
    def meaning(self) -> JsonObject:
        """What must not depend on timing, nor on deaths of workers: of `status`, `state`, `errors` and `steps`.

        Without the ids of steps: a subgraph whose opening died with its worker is called again under other ones.
        """
        settled = [step for step in self.steps if step.ending in ("completed", "failed", "open")]
        return {
            "status": self.status,
            "state": self.state,
            "errors": sorted((error.node, error.type, error.message) for error in self.errors),
            "steps": sorted((step.place, step.undoes, repr(sorted(step.saw.items()))) for step in settled),
        }

    def __str__(self) -> str:
        """The story of the run, a line an attempt."""
        lines = [f"{self.status} after {self.duration_s:g} s with {self.state}"]
        for step in self.steps:
            until = "…" if step.ended_at_s is None else f"{step.ended_at_s:g}"
            what = step.error or repr(step.gave)
            which = f"undo {step.place}" if step.undoes else step.place
            lines.append(f"  {step.started_at_s:g}–{until} s  {which} #{step.attempt} {step.ending}: {what}")
        lines += [f"  {error.node}: {error.type}: {error.message}" for error in self.errors]
        return "\n".join(lines)
