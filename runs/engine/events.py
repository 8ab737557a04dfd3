"""What happens in a run, as the engine sees it.

Outcomes come in from outside (a tool returned, somebody cancelled); consequences are what `advance` concludes from
them. Both are journaled, in order. Recovery feeds the outcomes through `advance` again and gets the same consequences.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = Any
JsonObject = dict[str, Any]
StepId = bytes
"""Ten bytes: a step's durable name, a hash chain that does not depend on timing (rule R3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a step, a join or an item failed. The traceback is not part of the journal."""

    type: str
    message: str
    keys: tuple[str, ...] = ()
    """State keys concerned, for a ConcurrentUpdateError."""


# --------------------------------------------------------------------------- outcomes


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """The run exists. `state` is its input laid over the defaults."""

    state: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCompleted:
    """A step's tool returned and its routing is decided."""

    step: StepId
    attempt: int = 1
    update: JsonObject = field(default_factory=dict)
    """New values by key, each to go through its key's reducer."""
    replace: JsonObject = field(default_factory=dict)
    """New values by key that replace whatever the reducer (`Command(set=…)`, `{"$set": v}`)."""
    delete: tuple[str, ...] = ()
    route: tuple[str, ...] = ()
    """Targets in the order of their list; `end` counts as a position. Empty for a map."""
    items: tuple[Json, ...] | None = None
    """The items, if the step opens a map."""
    result: Json = None
    """What the tool returned, recorded only where `outputs` made the update from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFailed:
    """A step failed for good. `route` is where its `on_error` leads; None freezes the branch (rule R9)."""

    step: StepId
    attempt: int = 1
    error: Failure
    route: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRescheduled:
    """The step runs again as `attempt`: its worker died, or its retry policy says so."""

    step: StepId
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemCollected:
    """An item of a map is over and its `collect` values are known. `step` is the map's step."""

    step: StepId
    index: int
    values: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemFailed:
    """The `collect` expressions of an item could not be evaluated. `step` is the map's step."""

    step: StepId
    index: int
    error: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class StateEdited:
    """Somebody changed the state of a paused or failed run, in all open scopes (rule R16).

    Let in only while no tool of the run is under way, which the engine cannot see.
    """

    values: JsonObject = field(default_factory=dict)
    delete: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReopened:
    """Frozen steps are tried again; none named means all of them (rule R9)."""

    steps: tuple[StepId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCancelled:
    """Somebody ended the run."""

    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTimedOut:
    """The run's own `limits.timeout_s` ran out: what is in flight freezes, so that a retry can go on with it."""

    limit_s: float


# --------------------------------------------------------------------------- consequences


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchFrozen:
    """A branch cannot go on for another reason than the failure of its step, of which StepFailed tells: a conflict
    at a join or at the end of a scope, an unsatisfied count, a limit, too many failed items of a map."""

    step: StepId
    node: str
    """`end` for the implicit join at the end of a scope."""
    path: str = ""
    """The enclosing map items; such a step may never have started, so nothing else tells them."""
    error: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCancelled:
    """A step in flight or an open map is no longer wanted: a join has fired without it, or the run is over."""

    step: StepId
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MapClosed:
    """All items of a map are over, what they gave is written, and the run goes on at the map's join."""

    step: StepId
    node: str
    failed: int = 0
    """Items that failed, as many as are tolerated at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapFailed:
    """More items of a map failed than are tolerated, and its `on_error` leads to `route`."""

    step: StepId
    node: str
    error: Failure
    route: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictForeseen:
    """Two branches hold concurrent replaces of one key: they will conflict where they meet."""

    key: str
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCompleted:
    """Nothing is left to run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailed:
    """Nothing can run any more and at least one branch is frozen. Sorted by step id."""

    errors: tuple[tuple[StepId, str, Failure], ...]


Outcome = (
    RunStarted
    | StepCompleted
    | StepFailed
    | StepRescheduled
    | ItemCollected
    | ItemFailed
    | StateEdited
    | RunReopened
    | RunCancelled
    | RunTimedOut
)
Consequence = BranchFrozen | StepCancelled | MapClosed | MapFailed | ConflictForeseen | RunCompleted | RunFailed
Event = Outcome | Consequence
