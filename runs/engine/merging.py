"""What a branch sees, and what comes out where branches meet (rules R4, R5, R7, R8).

The value of a key under a mask U is the fold, in key order, of the writes in U that touch it:

* a *set* (a write of a key without reducer, `$set`, a deletion) replaces what its writer saw. The set with the greatest
  key wins, and every other one must be in its past; if one is not, two branches replaced the key concurrently, which
  is a ConcurrentUpdateError, even if the values are equal: a verdict that depended on data would be worse;
* *updates* that the winning set did not see are folded onto it by the key's reducer, in key order.

So the value is a function of U alone. A step's own write has the greatest key of all it sees, so its branch folds it
onto the value at hand. A join starts from the overlay of its first branch and takes in only the writes which that one
lacks; it folds a key anew only if one of them sorts before what is folded already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from graphs.plan import Plan, Reducer, ReducerError
from runs.engine.events import Failure, Json, JsonObject
from runs.engine.ledger import ABSENT, Ledger, Write
from runs.engine.masks import Mask, bits
from runs.engine.state import Branch, Scope

Overlay = dict[str, tuple[Json, int]]


@dataclass(slots=True)
class Merged:
    """What branches give together. `conflicts` are the concurrent writers of a key, by write number."""

    mask: Mask
    overlay: Overlay
    conflicts: dict[str, list[int]] = field(default_factory=dict)
    unreducible: dict[str, ReducerError] = field(default_factory=dict)


# --------------------------------------------------------------------------- one step's write


def reduce_update(plan: Plan, key: str, value: Json, updates: Sequence[Json]) -> Json:
    """The key's value after `updates`. Raises ReducerError, which names the key."""
    reducer = plan.reducers.get(key)
    return updates[-1] if reducer is None else _fold(reducer, key, value, updates)


def write(
    plan: Plan, branch: Branch, updates: Mapping[str, Sequence[Json]], sets: Mapping[str, Json]
) -> Iterable[tuple[str, int]]:
    """Let the branch's step write. Return the keys whose conflict is foreseen from now on, with the other writers.

    `updates` are of keys with a reducer. Raises ReducerError; then nothing is written.
    """
    values = {key: reduce_update(plan, key, branch.read(key), added) for key, added in updates.items()}
    scope = branch.scope
    if scope.ledger is None and len(scope.branches) == 1 and not branch.may_be_absorbed:
        _write_alone(scope, values, updates, sets)
        return ()
    ledger = scope.ledger = scope.ledger or Ledger()
    number = len(ledger.writes)
    branch.mask |= 1 << number
    ledger.append(
        Write(
            key=branch.key,
            node=branch.node,
            past=branch.mask if sets else 0,
            updates={key: tuple(added) for key, added in updates.items()},
            sets=dict(sets),
        )
    )
    if branch.shares_overlay:
        branch.overlay, branch.shares_overlay = dict(branch.overlay), False
    for key, value in (*values.items(), *sets.items()):
        branch.overlay[key] = (value, number)
    return _foreseen(scope, ledger, branch, sets)


def _write_alone(
    scope: Scope, values: JsonObject, updates: Mapping[str, Sequence[Json]], sets: Mapping[str, Json]
) -> None:
    """Nobody else is there who has not seen it: no write needs to be remembered (rule R12)."""
    scope.base.update(values)
    for key, value in sets.items():
        scope.store(key, value)
    if scope.exported is not None:
        for key, added in updates.items():
            scope.exported.setdefault(key, []).extend(added)


def _foreseen(scope: Scope, ledger: Ledger, branch: Branch, sets: Iterable[str]) -> list[tuple[str, int]]:
    found = []
    for key in sets:
        others = ledger.setters[key] & ~branch.mask
        if others and key not in ledger.foreseen and (others := others & seen_by_any(scope)):
            ledger.foreseen.add(key)
            found.append((key, others))
    return found


def seen_by_any(scope: Scope) -> Mask:
    """The writes that can still be in the scope's result: not those of cancelled and absorbed branches."""
    mask = scope.ended
    for branch in scope.branches.values():
        mask |= branch.mask
    return mask


# --------------------------------------------------------------------------- where branches meet


def merge(plan: Plan, scope: Scope, branches: Sequence[Branch]) -> Merged:
    """The common view of branches in key order (rule R7)."""
    first = branches[0]
    mask = 0
    for branch in branches:
        mask |= branch.mask
    merged = Merged(mask, first.overlay)
    missing = mask & ~first.mask
    if missing and scope.ledger is not None:
        merged.overlay = dict(first.overlay)
        _take_in(plan, scope, scope.ledger, merged, missing)
    return merged


def merge_ended(plan: Plan, scope: Scope, mask: Mask) -> Merged:
    """The view of all writes in `mask` together: the final merge (rule R8), or a preview (rule R15)."""
    merged = Merged(mask, {})
    if mask and scope.ledger is not None:
        _take_in(plan, scope, scope.ledger, merged, mask)
    return merged


def _take_in(plan: Plan, scope: Scope, ledger: Ledger, merged: Merged, missing: Mask) -> None:
    setters: dict[str, list[int]] = {}
    updaters: dict[str, list[int]] = {}
    for number in bits(missing):
        one = ledger.writes[number]
        for key in one.sets:
            setters.setdefault(key, []).append(number)
        for key in one.updates:
            updaters.setdefault(key, []).append(number)
    for key, numbers in updaters.items():
        if key not in setters:
            _take_updates(plan, scope, ledger, merged, key, numbers)
    for key, numbers in setters.items():
        if key in plan.reducers:
            _fold_anew(plan, scope, ledger, merged, key)
        else:
            _take_sets(ledger, merged, key, numbers)


def _take_updates(plan: Plan, scope: Scope, ledger: Ledger, merged: Merged, key: str, numbers: list[int]) -> None:
    writes, reducer = ledger.writes, plan.reducers[key]
    numbers.sort(key=lambda number: writes[number].key)
    added = [update for number in numbers for update in writes[number].updates[key]]
    held = merged.overlay.get(key)
    if held is None:
        value, top = scope.read(key), numbers[-1]
    else:
        value, top = held
        is_appending = writes[top].key < writes[numbers[0]].key
        if not is_appending and not reducer.is_commutative(None if value is ABSENT else value, added):
            _fold_anew(plan, scope, ledger, merged, key)
            return
        top = max(top, numbers[-1], key=lambda number: writes[number].key)
    _put(merged, key, reducer, value, added, top)


def _take_sets(ledger: Ledger, merged: Merged, key: str, numbers: list[int]) -> None:
    """A key without reducer: the last of the writes at hand wins, and must have seen the others."""
    held = merged.overlay.get(key)
    rivals = numbers if held is None else [*numbers, held[1]]
    winner = max(rivals, key=lambda number: ledger.writes[number].key)
    merged.overlay[key] = (ledger.writes[winner].sets[key], winner)
    _note_conflict(ledger, merged, key, winner, rivals)


def _fold_anew(plan: Plan, scope: Scope, ledger: Ledger, merged: Merged, key: str) -> None:
    """A key with a reducer, from the scope's base over the whole mask."""
    writes = ledger.writes
    updaters = ledger.updaters.get(key, 0) & merged.mask
    value, winner = scope.read(key), None
    if setters := ledger.setters.get(key, 0) & merged.mask:
        rivals = list(bits(setters))
        winner = max(rivals, key=lambda number: writes[number].key)
        value = writes[winner].sets[key]
        updaters &= ~writes[winner].past
        _note_conflict(ledger, merged, key, winner, rivals)
    numbers = sorted(bits(updaters), key=lambda number: writes[number].key)
    added = [update for number in numbers for update in writes[number].updates[key]]
    tops = numbers[-1:] if winner is None else [*numbers[-1:], winner]
    top = max(tops, key=lambda number: writes[number].key)
    if added:
        _put(merged, key, plan.reducers[key], value, added, top)
    else:
        merged.overlay[key] = (value, top)


def _note_conflict(ledger: Ledger, merged: Merged, key: str, winner: int, rivals: list[int]) -> None:
    past = ledger.writes[winner].past
    unseen = [number for number in rivals if not past >> number & 1]
    if unseen:
        merged.conflicts[key] = [*unseen, winner]


def _put(merged: Merged, key: str, reducer: Reducer, value: Json, added: Sequence[Json], top: int) -> None:
    try:
        merged.overlay[key] = (_fold(reducer, key, value, added), top)
    except ReducerError as error:
        merged.overlay.pop(key, None)
        merged.unreducible[key] = error


def _fold(reducer: Reducer, key: str, value: Json, updates: Sequence[Json]) -> Json:
    try:
        return reducer.fold(None if value is ABSENT else value, updates)
    except ReducerError as error:
        raise ReducerError(f'The state key "{key}" cannot take the update: {error}') from error


# --------------------------------------------------------------------------- what went wrong, and what is settled


def failure_of(plan: Plan, scope: Scope, merged: Merged) -> Failure | None:
    """Why the branches cannot go on together; None if they can."""
    if merged.conflicts and scope.ledger is not None:
        keys = tuple(sorted({*merged.conflicts, *merged.unreducible}))
        numbers = {number for writers in merged.conflicts.values() for number in writers}
        nodes = sorted({plan.names[scope.ledger.writes[number].node] for number in numbers})
        message = (
            f"Concurrent branches replaced {_listed('state key', keys)} at {_listed('node', nodes)}; "
            "join them first, or give the key a reducer."
        )
        return Failure(type="ConcurrentUpdateError", message=message, keys=keys)
    if merged.unreducible:
        keys = tuple(sorted(merged.unreducible))
        return Failure(type="ReducerError", message=str(merged.unreducible[keys[0]]), keys=keys)
    return None


def _listed(noun: str, names: Sequence[str]) -> str:
    quoted = ", ".join(f'"{name}"' for name in names)
    return f"the {noun}{'s' if len(names) > 1 else ''} {quoted}"


def settle_writes(scope: Scope, mask: Mask, overlay: Overlay) -> None:
    """Take the writes in `mask`, which are all that count, into the base, and forget the rest (rule R12)."""
    ledger = scope.ledger
    if ledger is None:
        return
    for key, (value, _) in overlay.items():
        scope.store(key, value)
    if scope.exported is not None:
        for number in sorted(bits(mask), key=lambda number: ledger.writes[number].key):
            for key, added in ledger.writes[number].updates.items():
                scope.exported.setdefault(key, []).extend(added)
    scope.ledger = None
    scope.ended = 0
