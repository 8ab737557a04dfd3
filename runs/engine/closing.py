"""After every change of a scope: fire its joins, settle its writes, close it (rules R8, R11, R12)."""

from __future__ import annotations

from runs.engine import ids, keys
from runs.engine.branches import Branch, Cause
from runs.engine.decisions import CollectItem
from runs.engine.events import Failure, JsonObject, RunCompleted
from runs.engine.joins import settle_joins
from runs.engine.merging import failure_of, merge_ended, settle_writes
from runs.engine.positions import freeze_with_event, stand
from runs.engine.schemas import breach_of_merge
from runs.engine.scopes import Scope
from runs.engine.turn import Turn
from tools import strict_json


def settle(turn: Turn, scope: Scope, left: int | None = None) -> None:
    """Draw every conclusion from a branch having left the node `left` (None: from any change at all)."""
    if scope.waiting:
        settle_joins(turn, scope, left)
    if not scope.branches:
        close(turn, scope)
    elif scope.ledger is not None and len(scope.branches) == 1:
        _collapse(scope)
    if scope.branches and not scope.live and scope.owner is not None and not scope.is_stuck:
        scope.is_stuck = True
        turn.over.append(scope)


def _collapse(scope: Scope) -> None:
    """One branch is left and has seen every write that counts: they become the base."""
    (branch,) = scope.branches.values()
    if scope.ended & ~branch.mask or branch.may_be_absorbed:
        return
    settle_writes(scope, branch.mask, branch.overlay)
    branch.overlay, branch.shares_overlay, branch.mask, branch.key = {}, False, 0, keys.FIRST


def close(turn: Turn, scope: Scope) -> None:
    """No branch is left: merge what they wrote, and hand the scope over."""
    merged = merge_ended(scope, scope.ended)
    failure = failure_of(scope, merged) or breach_of_merge(turn.state, scope, merged, {})
    if failure is None and scope.owner is None:
        failure = _breach_of_size(turn, scope.state(merged.overlay))
    if failure is not None:
        freeze_with_event(turn, end_branch(turn, scope), Cause.END, failure)
        return
    settle_writes(scope, merged.mask, merged.overlay)
    if scope.owner is None:
        turn.state.final = scope.state({})
        turn.state.status = "completed"
        turn.events.append(RunCompleted())
        return
    map_plan = None if scope.is_child else scope.owner.node_plan.map
    if map_plan is not None and map_plan.collect:
        scope.is_collecting = True
        turn.state.pending += 1
        turn.decisions.append(CollectItem(step=scope.owner.id, index=scope.index))
    else:
        turn.over.append(scope)


def _breach_of_size(turn: Turn, final: JsonObject) -> Failure | None:
    """Whether the run's last merge made too much of what each branch could still hold; no step sees it."""
    limit = turn.state.max_state_bytes
    size_bytes = 0 if limit is None else strict_json.text_bytes(strict_json.dumps(final))
    if limit is None or size_bytes <= limit:
        return None
    message = f"At the end the state would have {size_bytes} bytes; the limit is {limit}."
    return Failure(type="StateTooLarge", message=message)


def end_branch(turn: Turn, scope: Scope) -> Branch:
    """A branch at the end of a scope that cannot be closed, for a later attempt to find."""
    branch = Branch(id=ids.ending(scope.first_step), key=keys.FIRST, node=scope.graph.end, scope=scope)
    branch.mask = scope.ended
    stand(turn, branch, scope.graph.end)
    return branch


def stop_collecting(turn: Turn, scope: Scope) -> None:
    """The values of `collect` are known, or will not be."""
    scope.is_collecting = False
    turn.state.pending -= 1
