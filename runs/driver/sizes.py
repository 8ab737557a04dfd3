"""How large the state of a run is, as cheaply as an ordinary step allows.

Measuring a state costs more than the step that changes it. So for each scope there is a bound: what was measured, plus
all that was written since, as if nothing were ever replaced. Nothing that is seen in the scope is larger, also where
its branches meet and where a map gathers what its items gave. Only when a bound passes the limit the scope is measured
anew; and only when that does not help a state itself, exactly. So the verdict does not depend on the bound.

Reducers of the project's own can make more of updates than they were; such growth counts at the next measuring.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

from graphs.plan import MapPlan
from runs.engine.events import JsonObject
from runs.engine.ledger import ABSENT
from runs.engine.merging import merge_ended
from runs.engine.scopes import OpenMap, Scope
from tools import strict_json

NULL_BYTES = len("null,")
"""What a failed item gives."""


def size_of(value: JsonObject) -> int:
    """The bytes of its JSON; nothing for an empty object."""
    return strict_json.text_bytes(strict_json.dumps(value)) if value else 0


class StateBounds:
    """The bounds of one run's scopes."""

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bounds: WeakKeyDictionary[Scope, int] = WeakKeyDictionary()

    def add(self, scope: Scope, size_bytes: int) -> None:
        """So much more is about to be written in the scope, and in those around it that get its updates."""
        self._bounds[scope] = self._bound(scope) + size_bytes
        while scope.exported is not None and scope.owner is not None:
            scope = scope.owner.scope
            self._bounds[scope] = self._bound(scope) + size_bytes

    def may_exceed(self, scope: Scope, size_bytes: int) -> bool:
        """Add so much, and tell whether a state in the scope can pass the limit with it."""
        self.add(scope, size_bytes)
        if self._bounds[scope] > self._max_bytes:
            self._bounds[scope] = self._measured(scope) + size_bytes
        return self._bounds[scope] > self._max_bytes

    def _bound(self, scope: Scope) -> int:
        bound = self._bounds.get(scope)
        if bound is None:
            is_fresh = scope.owner is not None and not scope.base and scope.ledger is None
            bound = self._bound(scope.owner.scope) if is_fresh and scope.owner else self._measured(scope)
            self._bounds[scope] = bound
        return bound

    def _measured(self, scope: Scope) -> int:
        return _size_of_present(dict(scope.outer)) + self._own(scope)

    def _own(self, scope: Scope) -> int:
        """All that the scope itself holds."""
        overlays = [branch.overlay for branch in scope.branches.values()]
        # By identity, because the branches of a fork share what was there before it.
        held = {id(entry): (key, entry[0]) for overlay in overlays for key, entry in overlay.items()}
        size_bytes = sum(_size_of_present({key: value}) for key, value in held.values())
        ended = merge_ended(scope, scope.ended).overlay
        size_bytes += _size_of_present({key: value for key, (value, _) in ended.items()})
        maps = [branch.map for branch in scope.branches.values() if branch.map is not None]
        return _size_of_present(scope.base) + size_bytes + sum(map(self._to_come, maps))

    def _to_come(self, opened: OpenMap) -> int:
        """What the items of an open map have given, or will."""
        size_bytes = nulls_bytes(opened.plan, len(opened.items)) + sum(map(size_of, opened.results.values()))
        exporting = [scope for scope in opened.scopes.values() if scope.exported is not None]
        return size_bytes + sum(size_of(scope.exported or {}) + self._own(scope) for scope in exporting)


def nulls_bytes(plan: MapPlan, items: int) -> int:
    """What the lists of a map take when all its items fail."""
    return NULL_BYTES * items * len(plan.collect)


def _size_of_present(values: JsonObject) -> int:
    return size_of({key: value for key, value in values.items() if value is not ABSENT})
