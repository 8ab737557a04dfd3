"""A run in memory: scopes, the branches in them, and the writes whose order is still open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from graphs.plan import Plan
from runs.engine.branches import Branch
from runs.engine.compensations import Compensating, Compensation
from runs.engine.events import JsonObject, StepId
from runs.engine.scopes import Scope

RunStatus = Literal["running", "completed", "failed", "cancelled"]


class RunState:
    """All the engine knows of a run. `advance` changes it in place."""

    __slots__ = (
        "branches",
        "breakpoints",
        "checks_schema",
        "compensating",
        "compensations",
        "definitions",
        "digest",
        "final",
        "hits",
        "is_cancelling",
        "is_paused",
        "is_stopping",
        "matches_inside",
        "max_state_bytes",
        "pending",
        "plans",
        "root",
        "status",
        "waiting",
    )

    def __init__(
        self,
        root: Scope,
        *,
        max_state_bytes: int | None = None,
        checks_schema: bool = False,
        matches_inside: bool = False,
    ) -> None:
        self.root = root
        self.checks_schema = checks_schema
        """Whether what joins and maps make of the state is held against its schema."""
        self.matches_inside = matches_inside
        """Whether a map's handler may match what failed in its items."""
        self.max_state_bytes = max_state_bytes
        """What the state may have at the end; None for a run that was started without a limit."""
        self.digest = ""
        """Of the definition that the run was migrated to; empty: it has the one that it began with."""
        self.status: RunStatus = "running"
        self.final: JsonObject | None = None
        """The state at the end of a completed run."""
        self.branches: dict[StepId, Branch] = {}
        """Those at a step (all but the parked ones), over all scopes."""
        self.plans: dict[str, Plan] = {}
        """The plans of subgraphs and of later versions, by digest: what an event needs is put here before it is fed."""
        self.definitions: dict[str, JsonObject] = {}
        """The definitions among them that were computed, by digest."""
        self.pending = 0
        """Running branches and collecting items: when there are none, the run is over."""
        self.waiting = 0
        """Those of the running branches whose step waits for something outside the run."""
        self.is_stopping = False
        """The run stops on failures and has one, or it is cancelled gracefully: nothing new starts."""
        self.is_cancelling = False
        """The run will be cancelled when nothing is in flight any more."""
        self.is_paused = False
        """Nothing new starts but in free scopes."""
        self.breakpoints: tuple[JsonObject, ...] = ()
        self.hits: dict[str, int] = {}
        """By the id of a breakpoint that was hit."""
        self.compensations: list[Compensation] = []
        """The completed steps that can be undone, in the order in which they completed."""
        self.compensating: Compensating | None = None
        """The run undoes what it did, or has."""

    @property
    def scheduled(self) -> int:
        """Steps that were started."""
        return self.root.scheduled

    @property
    def only_waits(self) -> bool:
        """Whether nothing can happen in the run until something outside does."""
        return 0 < self.pending == self.waiting

    def scopes(self) -> Iterator[Scope]:
        """Where something can go on: in all open scopes, or in that of a compensation alone."""
        return self.root.with_inner() if self.compensating is None else iter((self.compensating.scope,))

    def max_items(self, map_step: StepId) -> int | None:
        """How many items of this map may be under way at once; None for any number."""
        branch = self.branches.get(map_step)
        return None if branch is None or branch.map is None else branch.map.max_parallel

    def subgraphs_around(self, step: StepId) -> dict[StepId, int]:
        """How many steps may be under way at once in each subgraph that the step is in, by the step that opened it."""
        branch = self.branches.get(step)
        homes = () if branch is None else branch.scope.homes()
        return {home.owner.id: home.graph.limits.max_parallel for home in homes if home.owner is not None}

    def is_item_over(self, map_step: StepId, index: int) -> bool:
        """Whether nothing more runs in this item of a map: it gave its values, is stuck, or was dropped."""
        scope = self._item(map_step, index)
        return scope is None or scope.is_stuck

    def collecting(self, map_step: StepId, index: int) -> Scope | None:
        """The item of this name, if its `collect` values are awaited."""
        scope = self._item(map_step, index)
        return scope if scope is not None and scope.is_collecting else None

    def _item(self, map_step: StepId, index: int) -> Scope | None:
        branch = self.branches.get(map_step)
        return None if branch is None or branch.map is None else branch.map.scopes.get(index)
