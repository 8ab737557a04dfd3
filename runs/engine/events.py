"""What happens in a run, as the engine sees it.

Outcomes come in from outside (a tool returned, somebody cancelled); consequences are what `advance` concludes from
them. Both are journaled, in order. Recovery feeds the outcomes through `advance` again and gets the same consequences.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Json = Any
JsonObject = dict[str, Any]
CompensationReason = Literal["failed", "cancelled"]
StepId = bytes
"""Ten bytes: a step's durable name, a hash chain that does not depend on timing (rule R3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a step, a join or an item failed. The traceback is not part of the journal."""

    type: str
    message: str
    keys: tuple[str, ...] = ()
    """State keys concerned, for a ConcurrentUpdateError."""

    @property
    def in_words(self) -> str:
        """Type and message; of an exception without a text, its type."""
        return f"{self.type}: {self.message}" if self.message else self.type


# --------------------------------------------------------------------------- outcomes


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """The run exists. `state` is its input laid over the defaults."""

    state: JsonObject
    max_state_bytes: int | None = None
    """What the state may have at the end. Recorded, so that a replay comes to the same verdict under other settings."""
    checks_schema: bool = False
    """Whether what joins and maps make of the state is held against its schema, as in all runs that begin now."""
    matches_inside: bool = False
    """Whether a map's `on_error` may match the types of what failed in its items, as in all runs that begin now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunForked:
    """The run begins where another one was: with the state that it had after `seq` (rule R25)."""

    snapshot: JsonObject
    """That state, as `dump_state` writes it."""
    run: str
    """The UUID of the other one, which goes on as if nothing had happened."""
    seq: int


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
    payloads: tuple[JsonObject | None, ...] = ()
    """For each target what a `Send` lays over the state for the step there, or None; empty if nothing was sent."""
    items: tuple[Json, ...] | None = None
    """The items, if the step opens a map."""
    max_parallel: int | None = None
    """How many items may be under way at once, if an expression says so."""
    tolerated_failures: int | None = None
    """How many items may fail, if an expression says so."""
    result: Json = None
    """What the tool returned, recorded only where `outputs` made the update from it."""
    compensation: JsonObject | None = None
    """The inputs of the node's `compensate`, if it has one: with these the step can be undone (rule R24)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFailed:
    """A step failed for good. `route` is where its `on_error` leads; None freezes the branch (rule R9)."""

    step: StepId
    attempt: int = 1
    error: Failure
    route: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFailed:
    """An attempt of a step failed, and its retry policy has the next one follow (rule R19)."""

    step: StepId
    attempt: int = 1
    error: Failure
    retry_at: str
    """When the next attempt is due, in UTC as RFC 3339. The engine only passes it on."""
    heartbeat: Json = None
    """What the attempt had last reported, for the next one to go on from."""
    policy: int = 0
    """The place among the node's retry policies of the one that says so, and that counts the failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRescheduled:
    """The step runs again as `attempt`, through no fault of its own: its worker died, or it has waited long enough."""

    step: StepId
    attempt: int
    reason: str
    heartbeat: Json = None
    """What the attempt before had last reported, as far as that is known; None leaves what is known already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildStarted:
    """A step's subgraph is found and begins with a state of its own."""

    step: StepId
    attempt: int = 1
    graph: str
    """The name and the version that it resolved to, such as `review@7`; empty for a definition that was computed."""
    digest: str
    """The SHA-256 of its definition, by which its plan is found."""
    state: JsonObject
    """The step's `inputs` laid over the subgraph's defaults."""
    timeout_at: str = ""
    """When the subgraph has used up its time, as RFC 3339; empty: never."""
    definition: JsonObject | None = None
    """The definition itself, if it was computed: it is published nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepWaiting:
    """The step waits for something outside the run: a person, a signal, a time (rule R19).

    A later one of the same attempt takes the place of the one before: an answer of several came, or a delegate.
    """

    step: StepId
    attempt: int = 1
    wait: JsonObject
    """What it waits for. The engine only passes it on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRecorded:
    """A part of the step's tool gave a value, which later attempts get without doing it again (rule R19).

    The first record of a name counts; another has no effect.
    """

    step: StepId
    attempt: int = 1
    name: str
    value: Json
    shown_as: str = ""
    """The name without the secrets in it, if it has any. Later attempts find the part by the name itself."""


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
    """Somebody changed the state of a paused or failed run, in all open scopes of one graph (rule R16).

    Let in only while no tool of the run is under way, which the engine cannot see.
    """

    values: JsonObject = field(default_factory=dict)
    delete: tuple[str, ...] = ()
    within: StepId | None = None
    """The step whose subgraph's state is edited; None for the run's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMigrated:
    """The run goes on with another version of its graph (rule R18)."""

    version: str
    """The graph and the version, such as `review@8`."""
    digest: str
    """The SHA-256 of its definition, by which its plan is found."""
    mapping: JsonObject = field(default_factory=dict)
    """By the name of a node in the version before: its name in this one. Others are called as they were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReopened:
    """Frozen steps are tried again; none named means all of them (rule R9)."""

    steps: tuple[StepId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPaused:
    """Nothing new starts until the run is resumed; what is in flight goes on."""

    reason: str = ""
    held: tuple[StepId, ...] = ()
    """Steps that were given out and not called yet: they wait like those that come up from now on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResumed:
    """The run is not paused any more, and what was held starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReleased:
    """Steps that a pause holds start, none named: all of them; the run stays paused, so what follows is held again.

    `over`: the scopes that these steps open run freely to their end. `out`: everything in the innermost scope of each
    of these steps runs freely until that scope is over.
    """

    steps: tuple[StepId, ...] = ()
    mode: Literal["into", "over", "out"] = "into"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakpointsSet:
    """The run's breakpoints from here on, each an object with an `id` of its own; the driver reads the rest of it."""

    breakpoints: tuple[JsonObject, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakpointHit:
    """A step came to a breakpoint. It is counted, and if the breakpoint `stops`, the run is paused."""

    step: StepId
    node: str = ""
    path: str = ""
    """The step may be over, so nothing else tells where it was."""
    breakpoint: str
    """Its `id`."""
    stops: bool
    held: tuple[StepId, ...] = ()
    """For a breakpoint behind the step: what was given out because of it and not called yet. `step` itself is held
    anyway if it was not called yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapLimited:
    """How many items of an open map may be under way at once from here on; None for any number."""

    step: StepId
    max_parallel: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCancelled:
    """Somebody ended the run. Gracefully: steps in flight may end, and nothing new starts."""

    reason: str = ""
    graceful: bool = False


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
class StepMoved:
    """A migration has given another name to the node of a step that is not over, or to one around it."""

    step: StepId
    node: str
    path: str = ""


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
class CompensationStarted:
    """The run is over but for the undoing of what it did, one step at a time and the last one first."""

    reason: CompensationReason


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStopped:
    """A run that was cancelled is over: it was to end gracefully and has, or it has undone what it did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailed:
    """Nothing can run any more and at least one branch is frozen. Sorted by step id; then those of compensations."""

    errors: tuple[tuple[StepId, str, Failure], ...]


Outcome = (
    RunStarted
    | RunForked
    | StepCompleted
    | StepFailed
    | AttemptFailed
    | StepRescheduled
    | ChildStarted
    | StepWaiting
    | PartRecorded
    | ItemCollected
    | ItemFailed
    | StateEdited
    | RunMigrated
    | RunReopened
    | RunPaused
    | RunResumed
    | StepReleased
    | BreakpointsSet
    | BreakpointHit
    | MapLimited
    | RunCancelled
    | RunTimedOut
)
Consequence = (
    BranchFrozen
    | StepCancelled
    | StepMoved
    | MapClosed
    | MapFailed
    | ConflictForeseen
    | CompensationStarted
    | RunStopped
    | RunCompleted
    | RunFailed
)
Event = Outcome | Consequence
