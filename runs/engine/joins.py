"""Joins: when one fires, and with whom (rules R6, R7, R10, R13).

**All.** A branch that arrives parks. The join fires as soon as no other branch of the scope can reach it: no branch at
a node from which it is reachable, frozen ones included, and no branch parked at another join from which it is
reachable, *except* at a join of the same cycle that ranks after it. Without that exception two joins of one cycle,
a branch parked at each, would wait for each other for ever; with it the first by rank goes on, and the others wait
until it comes round or leaves the cycle.

Why the order of outcomes does not matter: a join that may fire stays so, with the same branches, until it does.
Branches that cannot reach it never will, and a branch parked at a later-ranked join of its cycle cannot move, because
those parked here keep that join waiting. All other moves touch different branches. So every two moves commute.

**Count.** Fires at the n-th arrival with those n. Every other branch of the scope that can still reach it is cancelled,
or marked: a marked branch is absorbed when it arrives. A frozen branch is marked in either case, so that a retry does
not fire the join again. If fewer than n are parked and nobody else can come, the join is unsatisfied. Whether branches
a or b come first is a matter of timing, and so is the result: that is what a counting join is for.
"""

from __future__ import annotations

from runs.engine import ids, keys
from runs.engine.branches import NO_WRITE, Branch, Cause, Status
from runs.engine.events import Failure
from runs.engine.masks import bits
from runs.engine.merging import failure_of, merge
from runs.engine.positions import cancel, freeze_with_event, stand, start
from runs.engine.schemas import breach_of_merge
from runs.engine.scopes import Scope
from runs.engine.turn import Turn


def park(branch: Branch, node: int) -> None:
    """The branch arrives at a join. Joins fire in `settle_joins`, when all branches of a fork have arrived."""
    scope, counting = branch.scope, branch.scope.graph.counting.get(node)
    if counting is not None and branch.marks >> node & 1:
        return
    branch.node, branch.status = node, Status.PARKED
    scope.branches[branch.id] = branch
    queue = scope.parked.setdefault(node, [])
    queue.append(branch)
    scope.waiting |= 1 << node
    if counting is not None and len(queue) >= counting.count:
        scope.satisfied |= 1 << node


def settle_joins(turn: Turn, scope: Scope, left: int | None) -> None:
    """Fire every join that can fire after a branch left the node `left` (None: look at all joins)."""
    while scope.satisfied:
        _fire_counted(turn, scope, next(bits(scope.satisfied)))
    while scope.waiting:
        candidates = scope.waiting
        if left is not None and not scope.is_thinned:  # only what that branch could have come to
            candidates &= scope.plan.reach[left] | 1 << left
        join = next((node for node in bits(candidates) if not _has_to_wait(scope, node)), None)
        if join is None:
            break
        _fire_complete(turn, scope, join)
    scope.is_thinned = False


def _has_to_wait(scope: Scope, join: int) -> bool:
    waiting_elsewhere = scope.waiting & ~(1 << join) & ~scope.plan.later[join]
    return bool((scope.present | waiting_elsewhere) & scope.plan.coreach[join])


def _fire_complete(turn: Turn, scope: Scope, node: int) -> None:
    """Nobody else can come."""
    arrived = _take_parked(scope, node)
    counting = scope.graph.counting.get(node)
    if counting is None:
        _go_on(turn, scope, node, arrived)
        return
    name = scope.graph.names[node]
    message = f'{len(arrived)} of the {counting.count} branches came that the join at "{name}" waits for.'
    _go_on(turn, scope, node, arrived, Failure(type="JoinUnsatisfied", message=message))


def _fire_counted(turn: Turn, scope: Scope, node: int) -> None:
    """Enough have come. Those that came in the same turn and are too many count as having come too late."""
    scope.satisfied &= ~(1 << node)
    join = scope.graph.counting[node]
    arrived = _take_parked(scope, node)[: join.count]
    for branch in list(scope.branches.values()):
        if scope.plan.reach[branch.node] >> node & 1:
            if join.rest == "cancel" and branch.status is not Status.FROZEN:
                cancel(turn, branch)
            else:
                branch.marks |= 1 << node
    scope.is_thinned = True
    _go_on(turn, scope, node, arrived)


def _take_parked(scope: Scope, node: int) -> list[Branch]:
    """In the order in which they came."""
    queue = scope.parked.pop(node)
    scope.waiting &= ~(1 << node)
    for branch in queue:
        del scope.branches[branch.id]
    return queue


def _go_on(turn: Turn, scope: Scope, node: int, arrived: list[Branch], failure: Failure | None = None) -> None:
    """One branch goes on in place of those that arrived, or freezes at the join."""
    arrived.sort(key=lambda branch: branch.key)
    key = keys.successor(arrived[-1].key)
    branch = arrived[0]
    if len(arrived) > 1:
        merged = merge(scope, arrived)
        failure = failure_of(scope, merged) or breach_of_merge(turn.state, scope, merged, branch.overlay) or failure
        branch.mask, branch.overlay, branch.shares_overlay = merged.mask, merged.overlay, merged.is_shared
        branch.last_write = NO_WRITE  # keys of others may lie between that and what the branch writes next
        for other in arrived[1:]:
            branch.marks &= other.marks
    branch.id, branch.key, branch.error = ids.joined(one.id for one in arrived), key, None
    branch.payload = None
    if len(key) > keys.length_limit(len(scope.ledger.writes) if scope.ledger else 0):
        _renumber(scope, branch)
    if failure is None:
        start(turn, branch, node)
    else:
        stand(turn, branch, node)
        freeze_with_event(turn, branch, Cause.JOIN, failure)


def _renumber(scope: Scope, moving: Branch) -> None:
    """Replace all keys of the scope by their ranks, which changes no order (rule R13)."""
    branches = [*scope.branches.values(), moving]
    writes = scope.ledger.writes if scope.ledger else []
    rank = keys.ranks([*(branch.key for branch in branches), *(write.key for write in writes)])
    for write in writes:
        write.key = (rank[write.key],)
    for branch in branches:
        branch.key = (rank[branch.key], 0)
