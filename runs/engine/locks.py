"""Nodes with `lock`: which lock a step needs, and what it waits for while another one has it.

A step holds its lock over all its attempts, until it is completed, failed or cancelled; what undoes a step needs none.
Who has which lock is the database's to say, over all runs. A step that finds its lock held waits for it as for a
signal (`StepWaiting`), and is called as a later attempt when it has it (`StepRescheduled`).

A step inside a subgraph needs the locks of the calls around it, too. They are held already, unless the run had failed,
which gives locks back, and was opened again: then the first step that goes on in there takes them for the call.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from graphs.errors import GraphsError
from runs.engine.attempts import wait_of
from runs.engine.branches import Branch
from runs.engine.events import Json, JsonObject, StepId, StepRescheduled
from runs.engine.retries import DeadlineExceeded
from runs.engine.state import RunState
from runs.engine.views import view_of

LOCK = "lock"
MAX_NAME_CHARS = 200


class LockInvalid(GraphsError):
    """What the expression of a lock gave is no name."""

    code = "lock-invalid"


def takes_lock(branch: Branch) -> bool:
    """Whether the step of the branch has to hold a lock while it works."""
    return branch.node_plan.lock is not None and branch.undoes is None


def name_of(branch: Branch) -> str:
    """The name of the lock of the step. Raises ExpressionError and LockInvalid."""
    lock = branch.node_plan.lock
    name = None if lock is None else lock(view_of(branch))
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_CHARS:
        raise LockInvalid(f"The name of a lock is a text of 1 to {MAX_NAME_CHARS} characters, not {name!r:.100}.")
    return name


def callers_of(branch: Branch) -> list[StepId]:
    """The steps whose subgraphs the branch is in: what they hold, it need not wait for."""
    return [home.owner.id for home in branch.scope.homes() if home.owner is not None]


def lockers_of(branch: Branch) -> list[Branch]:
    """The branches whose steps have to hold a lock before that of the branch may work, the outermost first."""
    around = [home.owner for home in branch.scope.homes() if home.owner is not None]
    return [each for each in (*reversed(around), branch) if takes_lock(each)]


def wait_for(name: str, *, step: StepId, holder: StepId, now: datetime, deadline: datetime | None) -> JsonObject:
    """What a step waits for if a lock is held that it needs, or that a call around it does, the `holder` to be."""
    return {
        "kind": LOCK,
        "name": name,
        **({} if holder == step else {"of": holder.hex()}),
        "since": now.isoformat(),
        "timeout_at": None if deadline is None else deadline.isoformat(),
    }


def holder_to_be(step: StepId, wait: Mapping[str, Json]) -> StepId:
    """The step that is to hold the lock that a step waits for."""
    return bytes.fromhex(wait["of"]) if "of" in wait else step


def is_for_lock(wait: Mapping[str, Json] | None) -> bool:
    return wait is not None and wait.get("kind") == LOCK


def lock_came(state: RunState, holder: StepId) -> StepRescheduled | None:
    """The outcome of a step that has waited for the lock which `holder` has now; None if there is none, or no other."""
    own = wait_of(state, holder)
    waiting = [holder] if own is not None else [*state.branches]
    for step in waiting:
        wait = wait_of(state, step)
        if wait is not None and is_for_lock(wait) and holder_to_be(step, wait) == holder:
            return StepRescheduled(step=step, attempt=state.branches[step].attempt + 1, reason="its lock came")
    return None


def too_late(wait: Mapping[str, Json]) -> DeadlineExceeded:
    """Why a step fails whose lock did not come before its deadline."""
    return DeadlineExceeded(f"The lock {wait['name']!r} did not come before the step's deadline_s.")
