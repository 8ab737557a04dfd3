"""Attempts: a step that is tried again, and what it keeps between its attempts (rule R19).

A step is awaited as one attempt at a time; raising the number is what makes outcomes of the attempt before stale (R14).
Three things raise it:

* `AttemptFailed`: the attempt failed and its retry policy has another one follow, not before a given time. Counted.
* `StepRescheduled`: the attempt came to nothing through no fault of its own (its worker died). Not counted.
* `RunReopened`, of a step that froze: it has all its tries before it again.

An attempt may come to a point where it waits for the outside (`StepWaiting`). The driver keeps the wait and ends it by
any outcome of the step; nothing runs meanwhile, so the death of a worker is no reason to. For the engine the step stays
in flight: joins wait for it, cancelling cancels it, the end of the run's time freezes it.

In a paused run the next attempt is held (R21). In a run that is cancelled gracefully a failed attempt is the last, and
a step that comes to wait is given up (R23).

What a part of a tool gave (`PartRecorded`: of `ctx.step`, or the answer to an interrupt) outlives attempts, waits and a
failure for good, so that it is not done again. The step's end drops it: success, an error handler, a cancelled branch.

Which policy decides so, and what time it is, is the driver's business: the engine passes times on and compares none.
"""

from __future__ import annotations

from collections.abc import Mapping

from runs.engine.branches import Branch, Status
from runs.engine.cancelling import ends_with_the_attempt, give_up
from runs.engine.decisions import AwaitStep, StartStep
from runs.engine.events import AttemptFailed, Json, JsonObject, PartRecorded, StepId, StepRescheduled, StepWaiting
from runs.engine.positions import begin, drop_inner, start_of, take_back
from runs.engine.progress import Progress
from runs.engine.state import RunState
from runs.engine.turn import Turn


def awaited(turn: Turn, step: StepId, attempt: int, *, or_open: bool = False) -> Branch | None:
    """The branch whose step is in flight as this attempt; `or_open` if its subgraph may be ended by it."""
    branch = turn.state.branches.get(step)
    if branch is None or branch.attempt != attempt:
        return None
    is_open = or_open and branch.status is Status.OPEN and branch.child is not None and turn.state.compensating is None
    return branch if is_open or branch.status is Status.RUNNING else None


def fail_attempt(turn: Turn, event: AttemptFailed) -> bool:
    """Give out the next attempt, for the time at which it is due."""
    branch = awaited(turn, event.step, event.attempt, or_open=True)
    if branch is None:
        return False
    drop_inner(turn, branch)
    progress = branch.make_progress()
    progress.failures[event.policy] = progress.failures.get(event.policy, 0) + 1
    progress.not_before = event.retry_at
    progress.heartbeat = event.heartbeat
    take_back(turn, branch)
    if ends_with_the_attempt(turn.state, branch):
        give_up(turn, branch)
    else:
        _go_on_as(turn, branch, event.attempt + 1)
    return True


def reschedule(turn: Turn, event: StepRescheduled) -> bool:
    """Give out a later attempt, due at once."""
    branch = turn.state.branches.get(event.step)
    if branch is None or branch.status is not Status.RUNNING or event.attempt <= branch.attempt:
        return False
    if branch.child is not None:
        return False  # its subgraph is over; nothing was called that could have come to nothing
    if branch.progress is not None:
        branch.progress.not_before = ""
    if event.heartbeat is not None:
        branch.make_progress().heartbeat = event.heartbeat
    take_back(turn, branch)
    _go_on_as(turn, branch, event.attempt)
    return True


def _go_on_as(turn: Turn, branch: Branch, attempt: int) -> None:
    branch.attempt = attempt
    begin(turn, branch)


def wait(turn: Turn, event: StepWaiting) -> bool:
    """Note what the step waits for, in place of what it waited for before."""
    branch = awaited(turn, event.step, event.attempt)
    if branch is None:
        return False
    turn.state.waiting += not branch.is_waiting
    branch.make_progress().wait = event.wait
    if ends_with_the_attempt(turn.state, branch):
        give_up(turn, branch)
    else:
        turn.decisions.append(decision_of(branch))
    return True


def record_part(turn: Turn, event: PartRecorded) -> bool:
    """Keep the value, unless the name has one. What is under way goes on, so there is nothing to give out."""
    branch = awaited(turn, event.step, event.attempt)
    if branch is None:
        return False
    parts = branch.make_progress().parts
    if event.name in parts:
        return False
    parts[event.name] = event.value
    return True


def decision_of(branch: Branch) -> StartStep | AwaitStep:
    """What is to be done for a step in flight."""
    start = start_of(branch)
    wait = branch.progress.wait if branch.progress is not None else None
    if wait is None:
        return start
    return AwaitStep(
        step=start.step, node=start.node, path=start.path, items=start.items, attempt=start.attempt, wait=wait
    )


def start_anew(turn: Turn, branch: Branch) -> None:
    """Give out the next attempt of a step that froze, which has all its tries before it again."""
    if branch.progress is not None:
        branch.progress.failures, branch.progress.not_before = {}, ""
    branch.is_counted = True
    _go_on_as(turn, branch, branch.attempt + 1)


# --------------------------------------------------------------------------- what a driver asks


def failures_of(state: RunState, step: StepId) -> int:
    """How many attempts of a step in flight have failed since it was started, or opened again."""
    return sum(_progress_of(state, step).failures.values())


def failures_counted(state: RunState, step: StepId, policy: int) -> int:
    """How many of them the retry policy at this place has counted."""
    return _progress_of(state, step).failures.get(policy, 0)


def heartbeat_of(state: RunState, step: StepId) -> Json:
    """What the attempts before left as their last heartbeat."""
    return _progress_of(state, step).heartbeat


def parts_of(state: RunState, step: StepId) -> Mapping[str, Json]:
    """What parts of a step's tool gave up to now, by name: the values are those of the run, not copies."""
    return dict(_progress_of(state, step).parts)


def wait_of(state: RunState, step: StepId) -> JsonObject | None:
    """What a step waits for, as StepWaiting told it last; None if it does not wait."""
    return _progress_of(state, step).wait


def is_in_flight(state: RunState, step: StepId) -> bool:
    """Whether an outcome of the step is awaited."""
    branch = state.branches.get(step)
    return branch is not None and branch.status is Status.RUNNING


def is_waiting(state: RunState, step: StepId) -> bool:
    """Whether a step waits for something outside the run."""
    return _progress_of(state, step).wait is not None


def _progress_of(state: RunState, step: StepId) -> Progress:
    branch = state.branches.get(step)
    return Progress() if branch is None or branch.progress is None else branch.progress
