"""Forks: a run that begins where another one was (rule R25).

The fork begins with the whole state that the other run had after an event: branches at their places, open items and
subgraphs, waits, what parts of tools gave, breakpoints. What was in flight then is in flight again, as the same
attempt, and has the same id; the run is another one, though, and so is all that a tool derives from it. What the steps
before did belongs to the other run, and the fork does not undo it.

The fork's journal holds that state in one entry and nothing of what led to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from runs.engine.codec import failure_from_data
from runs.engine.events import Failure, JsonObject, RunForked, StepId
from runs.engine.snapshots import dump_state
from runs.engine.state import RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A step that is not over, as a snapshot tells it."""

    step: StepId
    node: str
    path: str
    attempt: int
    is_waiting: bool
    """For the outside, or for a pause to end."""
    error: Failure | None
    """Why it is frozen, if it is."""


def obstacle_to_fork(state: RunState) -> str | None:
    """Why no run can begin with this state; None if one can."""
    if state.status in ("completed", "cancelled"):
        return f"the run was {state.status}"
    if state.compensating is not None:
        return "the run was undoing what it did"
    if state.is_cancelling:
        return "the run was being cancelled"
    return None


def fork(state: RunState, *, run: str, seq: int, delay: timedelta) -> RunForked:
    """How a run begins that continues `state`, which the run of this UUID had after `seq`; `state` is used up.

    `delay` is how long ago that was: open subgraphs have the time left that they had.
    """
    state.compensations, state.digest = [], ""
    for branch in state.branches.values():
        wait = None if branch.progress is None else branch.progress.wait
        if branch.progress is not None and wait is not None and wait.get("kind") == "lock" and wait.get("timeout_at"):
            at = datetime.fromisoformat(wait["timeout_at"]) + delay
            branch.progress.wait = {**wait, "timeout_at": at.isoformat()}
        if branch.child is not None and branch.child.timeout_at:
            branch.child.timeout_at = (datetime.fromisoformat(branch.child.timeout_at) + delay).isoformat()
    return RunForked(snapshot=dump_state(state), run=run, seq=seq)


def standing(snapshot: JsonObject) -> Iterator[Standing]:
    """The steps of a snapshot that were given out or have failed, and are not over."""
    return _standing_in(snapshot["root"], "")


def _standing_in(scope: JsonObject, path: str) -> Iterator[Standing]:
    for branch in scope["branches"]:
        if _was_given_out(branch):
            yield Standing(
                step=bytes.fromhex(branch["id"]),
                node=branch["node"],
                path=path,
                attempt=branch["attempt"],
                is_waiting=branch["status"] == "held" or "wait" in branch.get("progress", {}),
                error=failure_from_data(branch["frozen"]["error"]) if "frozen" in branch else None,
            )
        place = f"{path}.{branch['node']}" if path else branch["node"]
        for index, item in branch.get("map", {}).get("scopes", ()):
            yield from _standing_in(item, f"{place}[{index}]")
        if "child" in branch:
            yield from _standing_in(branch["child"]["scope"], place)


def _was_given_out(branch: dict[str, Any]) -> bool:
    return branch["status"] in ("running", "open", "frozen") or branch.get("counted", False)
