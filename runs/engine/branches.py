"""A *branch* is one position of the run. It moves through the nodes of its scope and never leaves it. Its status is

* running: its step was given out with StartStep and its outcome is awaited, also while the step waits for the outside;
* held: the same, but not given out, since the run is paused, or stops on failures and has one;
* parked: it waits at a join;
* open: its step opened a map whose items are not all over, or a subgraph that is not;
* frozen: it cannot go on; it keeps its position and can be thawed.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from graphs.plan import NodePlan
from runs.engine.events import Failure, Json, JsonObject, StepId
from runs.engine.keys import Key
from runs.engine.masks import Mask
from runs.engine.progress import Progress

if TYPE_CHECKING:
    from runs.engine.scopes import Child, OpenMap, Scope


class Status(Enum):
    """Of a branch; see above."""

    RUNNING = auto()
    HELD = auto()
    PARKED = auto()
    OPEN = auto()
    FROZEN = auto()


LIVE: Final = frozenset({Status.RUNNING, Status.HELD, Status.OPEN})
"""A branch of these can go on by itself or by what is inside it."""


class Cause(Enum):
    """Why a branch froze, which decides what a thaw does."""

    STEP = "step"
    """Its step failed or ran out of time: the next attempt."""
    JOIN = "join"
    """Its join could not merge or was not satisfied: the step starts after all."""
    LIMIT = "limit"
    """It would have broken a limit: asked again."""
    ITEMS = "items"
    """More items of its map are stuck than are tolerated, or its subgraph is: thawed when one of them is."""
    CLOSING = "closing"
    """Its map's items are over, but what they gave could not be written: tried again."""
    END = "end"
    """The scope could not be closed: the final merge or `collect` is tried again."""


NO_WRITE: Final[tuple[int, Mask]] = (0, 0)

MERGING: Final = frozenset({Cause.JOIN, Cause.END})
"""Where branches meet: the keys of the error must be edited before a thaw can help."""


class Frozen:
    """What holds a branch. It cannot be thawed while keys are `unresolved`: somebody must edit them first."""

    __slots__ = ("cause", "error", "unresolved")

    def __init__(self, cause: Cause, error: Failure, unresolved: set[str]) -> None:
        self.cause = cause
        self.error = error
        self.unresolved = unresolved


class Branch:
    """One position of the run. `id` names the step it is at, or for a parked one the step it would have been."""

    __slots__ = (
        "attempt",
        "child",
        "error",
        "frozen",
        "id",
        "is_counted",
        "key",
        "last_write",
        "map",
        "marks",
        "mask",
        "node",
        "overlay",
        "payload",
        "progress",
        "scope",
        "shares_overlay",
        "status",
        "steps_over",
        "undoes",
    )

    def __init__(self, *, id: StepId, key: Key, node: int, scope: Scope) -> None:
        self.id = id
        self.key = key
        self.node = node
        self.scope = scope
        self.status = Status.RUNNING
        self.attempt = 1
        self.is_counted = False
        """Of a held one: limits have counted its step, which was given out before."""
        self.steps_over = False
        """In a paused run: the scopes that its step opens run freely."""
        self.undoes: StepId | None = None
        """Of a compensation: the step that it undoes."""
        self.mask: Mask = 0
        self.last_write: tuple[int, Mask] = NO_WRITE
        """The number of the write that it made last, and its mask then; NO_WRITE: none since it began or met others."""
        self.overlay: dict[str, tuple[Json, int]] = {}
        """By state key: the value, and the number of the write with the greatest key that made it."""
        self.shares_overlay = False
        """Another branch of the same fork may hold the same overlay; the first write copies it."""
        self.marks: Mask = 0
        """Counting joins, by node, that fired without this branch: it is absorbed when it arrives."""
        self.error: JsonObject | None = None
        """What an error handler sees as `error`."""
        self.payload: JsonObject | None = None
        """What a `Send` has laid over the state for this step alone."""
        self.frozen: Frozen | None = None
        self.map: OpenMap | None = None
        self.child: Child | None = None
        self.progress: Progress | None = None

    @property
    def node_plan(self) -> NodePlan:
        """The node it is at, which must not be `end`."""
        return self.scope.graph.nodes[self.node]

    @property
    def tool(self) -> str | None:
        """The name of the tool that its step calls: of a compensation, the one that undoes."""
        spec = self.node_plan.spec
        if self.undoes is not None:
            return None if spec.compensate is None else spec.compensate.tool
        return spec.tool

    @property
    def is_waiting(self) -> bool:
        """Whether its step waits for something outside the run."""
        return self.progress is not None and self.progress.wait is not None

    @property
    def may_be_absorbed(self) -> bool:
        """Whether it can come to a join that has fired without it; its writes would be lost with it."""
        return bool(self.marks and self.marks & self.scope.plan.reach[self.node])

    def make_progress(self) -> Progress:
        """What its step keeps between attempts, for something to be put in."""
        if self.progress is None:
            self.progress = Progress()
        return self.progress

    def sprout(self, *, id: StepId, key: Key) -> Branch:
        """Another branch with the same past."""
        child = Branch(id=id, key=key, node=self.node, scope=self.scope)
        child.mask, child.marks, child.error = self.mask, self.marks, self.error
        child.overlay, child.shares_overlay = self.overlay, True
        return child

    def read(self, key: str) -> Json:
        """The value as this branch sees it, or ABSENT. For those who keep nothing of it, as below."""
        held = self.overlay.get(key)
        return self.scope.read(key) if held is None else held[0]

    def state(self) -> JsonObject:
        """All that this branch sees of the state."""
        return self.scope.state(self.overlay)

    def inner_scopes(self) -> Iterator[Scope]:
        """The scopes that its step has opened."""
        if self.map is not None:
            yield from self.map.scopes.values()
        if self.child is not None:
            yield self.child.scope
