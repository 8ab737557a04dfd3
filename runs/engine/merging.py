"""What a branch sees, and what comes out where branches meet (rules R4, R5, R7, R8).

The value of a key under a mask U is the fold, in key order, of the writes in U that touch it:

* a *set* (a write of a key without reducer, `$set`, a deletion) replaces what its writer saw. The set with the greatest
  key wins, and every other one must be in its past; if one is not, two branches replaced the key concurrently, which
  is a ConcurrentUpdateError, even if the values are equal: a verdict that depended on data would be worse;
* *updates* that the winning set did not see are folded onto it by the key's reducer, in key order.

So the value is a function of U alone. A step's own write has the greatest key of all it sees, so its branch folds it
onto the value at hand. A join starts from the overlay of the branch that has seen most and takes in only the writes
which that one lacks; it folds a key anew only if one of them sorts before what is folded already.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from graphs.plan import Reducer, ReducerError
from runs.engine.branches import Branch
from runs.engine.events import Failure, Json, JsonObject
from runs.engine.ledger import ABSENT, Ledger, Write
from runs.engine.masks import Mask, bits, members
from runs.engine.scopes import Scope

Overlay = dict[str, tuple[Json, int]]


@dataclass(slots=True)
class Merged:
    """What branches give together. `conflicts` are the concurrent writers of a key, by write number."""

    mask: Mask
    overlay: Overlay
    is_shared: bool = False
    """Another branch may hold the same overlay."""
    conflicts: dict[str, list[int]] = field(default_factory=dict)
    unreducible: dict[str, ReducerError] = field(default_factory=dict)


# --------------------------------------------------------------------------- one step's write


class Changed(Mapping[str, Json]):
    """The values that a step gives to keys.

    A list that only grows is put together when it is read, since mostly nobody does. Good until the next write.
    """

    __slots__ = ("_growing", "_values")

    def __init__(self, branch: Branch, update: JsonObject, replace: JsonObject, delete: Iterable[str]) -> None:
        """Raises ReducerError."""
        self._values = dict(replace)
        self._growing: dict[str, tuple[list[Json], list[Json]]] = {}
        for key, value in update.items():
            if key not in replace and key not in delete:
                self._reduce(branch, key, value)

    def _reduce(self, branch: Branch, key: str, update: Json) -> None:
        reducer = branch.scope.graph.reducers.get(key)
        if reducer is None:
            self._values[key] = update
            return
        value = branch.read(key)
        if reducer.lengthens and type(value) is list:
            self._growing[key] = value, _fold(reducer, key, [], (update,))
        else:
            self._values[key] = _fold(reducer, key, value, (update,))

    def __getitem__(self, key: str) -> Json:
        if key in self._growing:
            value, more = self._growing.pop(key)
            self._values[key] = [*value, *more]
        return self._values[key]

    def added(self, key: str) -> tuple[int, list[Json]] | None:
        """How long the list was and what comes behind it; None of a key that does not only grow, or was read."""
        if key not in self._growing:
            return None
        value, more = self._growing[key]
        return len(value), more

    def __contains__(self, key: object) -> bool:
        return key in self._growing or key in self._values

    def __iter__(self) -> Iterator[str]:
        return iter([*self._values, *self._growing])

    def __len__(self) -> int:
        return len(self._values) + len(self._growing)


def write(branch: Branch, updates: Mapping[str, Sequence[Json]], sets: Mapping[str, Json]) -> Iterable[tuple[str, int]]:
    """Let the branch's step write. Return the keys whose conflict is foreseen from now on, with the other writers.

    `updates` are of keys with a reducer. Raises ReducerError; then nothing is written.
    """
    scope = branch.scope
    if scope.ledger is None and len(scope.branches) == 1 and not branch.may_be_absorbed:
        _write_alone(scope, updates, sets)
        return ()
    values = folded(branch, updates)
    ledger = scope.ledger = scope.ledger or Ledger()
    number = _enter(ledger, branch, updates, sets)
    if branch.shares_overlay:
        branch.overlay, branch.shares_overlay = dict(branch.overlay), False
    for key, value in (*values.items(), *sets.items()):
        branch.overlay[key] = (value, number)
    return _foreseen(scope, ledger, branch, sets)


def folded(branch: Branch, updates: Mapping[str, Sequence[Json]]) -> JsonObject:
    """What the updates of keys with a reducer make of what the branch sees. Raises ReducerError."""
    reducers = branch.scope.graph.reducers
    return {key: _fold(reducers[key], key, branch.read(key), added) for key, added in updates.items()}


def _enter(ledger: Ledger, branch: Branch, updates: Mapping[str, Sequence[Json]], sets: Mapping[str, Json]) -> int:
    """Put what a step writes into the ledger. Return the number of the write that has it.

    A branch whose mask is that of its last write has met nobody since, and nobody has seen that write. The keys of its
    steps lie next to one another (rule R2), so nothing can come to be ordered between them.
    """
    number, mask = branch.last_write
    if mask and mask == branch.mask and ledger.writes[number].may_go_on(updates, sets):
        ledger.go_on(number, key=branch.key, node=branch.node, past=mask, updates=updates, sets=sets)
        return number
    number = len(ledger.writes)
    branch.mask |= 1 << number
    branch.last_write = (number, branch.mask)
    ledger.append(
        Write(
            key=branch.key,
            past=branch.mask if sets else 0,
            updates={key: list(added) for key, added in updates.items()},
            sets=dict(sets),
            nodes=dict.fromkeys(sets, branch.node),
        )
    )
    return number


def _write_alone(scope: Scope, updates: Mapping[str, Sequence[Json]], sets: Mapping[str, Json]) -> None:
    """Nobody else is there who has not seen it: no write needs to be remembered (rule R12).

    A list grows in place once it is the scope's alone: a copy at each turn of a loop would make long runs quadratic.
    """
    grown: list[tuple[list[Json], list[Json]]] = []
    values: JsonObject = {}
    for key, added in updates.items():
        reducer, own = scope.graph.reducers[key], scope.own_list(key)
        if own is not None and reducer.lengthens:
            grown.append((own, _fold(reducer, key, [], added)))
        else:
            values[key] = _fold(reducer, key, scope.read(key), added)
    for own, more in grown:
        own += more
    scope.base.update(values)
    scope.own_lists.update((key, value) for key, value in values.items() if scope.graph.reducers[key].lengthens)
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


def merge(scope: Scope, branches: Sequence[Branch]) -> Merged:
    """The common view of branches in key order (rule R7)."""
    mask = 0
    for branch in branches:
        mask |= branch.mask
    merged = _merge_onto(scope, max(branches, key=lambda branch: branch.mask.bit_count()), mask)
    if merged.conflicts or merged.unreducible:
        return _merge_onto(scope, branches[0], mask)  # which writers an error names depends on where the merge starts
    return merged


def _merge_onto(scope: Scope, start: Branch, mask: Mask) -> Merged:
    """The view of the writes in `mask`, from that of a branch which has seen some of them."""
    missing = mask & ~start.mask
    if not missing or scope.ledger is None:
        return Merged(mask, start.overlay, is_shared=start.shares_overlay)
    merged = Merged(mask, dict(start.overlay))
    _take_in(scope, scope.ledger, merged, missing)
    return merged


def merge_ended(scope: Scope, mask: Mask) -> Merged:
    """The view of all writes in `mask` together: the final merge (rule R8), or a preview (rule R15)."""
    merged = Merged(mask, {})
    if mask and scope.ledger is not None:
        _take_in(scope, scope.ledger, merged, mask)
    return merged


def _take_in(scope: Scope, ledger: Ledger, merged: Merged, missing: Mask) -> None:
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
            _take_updates(scope, ledger, merged, key, numbers)
    for key, numbers in setters.items():
        if key in scope.graph.reducers:
            _fold_anew(scope, ledger, merged, key)
        else:
            _take_sets(ledger, merged, key, numbers)


def _take_updates(scope: Scope, ledger: Ledger, merged: Merged, key: str, numbers: list[int]) -> None:
    writes, reducer = ledger.writes, scope.graph.reducers[key]
    numbers.sort(key=lambda number: writes[number].key)
    added = [update for number in numbers for update in writes[number].updates[key]]
    held = merged.overlay.get(key)
    if held is None:
        value, top = scope.read(key), numbers[-1]
    else:
        value, top = held
        is_appending = writes[top].key < writes[numbers[0]].key
        if not is_appending and not reducer.is_commutative(None if value is ABSENT else value, added):
            _fold_anew(scope, ledger, merged, key)
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


def _fold_anew(scope: Scope, ledger: Ledger, merged: Merged, key: str) -> None:
    """A key with a reducer, from the scope's base over the whole mask."""
    writes = ledger.writes
    mask = merged.mask
    value, winner = scope.read(key), None
    if setters := ledger.setters.get(key, 0) & merged.mask:
        rivals = list(bits(setters))
        winner = max(rivals, key=lambda number: writes[number].key)
        value = writes[winner].sets[key]
        mask &= ~writes[winner].past
        _note_conflict(ledger, merged, key, winner, rivals)
    numbers = members(mask, ledger.updaters.get(key, ()))
    added = [update for number in numbers for update in writes[number].updates[key]]
    tops = numbers[-1:] if winner is None else [*numbers[-1:], winner]
    top = max(tops, key=lambda number: writes[number].key)
    if added:
        _put(merged, key, scope.graph.reducers[key], value, added, top)
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


def failure_of(scope: Scope, merged: Merged) -> Failure | None:
    """Why the branches cannot go on together; None if they can."""
    if merged.conflicts and scope.ledger is not None:
        keys = tuple(sorted({*merged.conflicts, *merged.unreducible}))
        writes = scope.ledger.writes
        setters = {writes[number].nodes[key] for key, numbers in merged.conflicts.items() for number in numbers}
        nodes = sorted(scope.graph.names[node] for node in setters)
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
