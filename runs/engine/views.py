"""What a step, a condition or `collect` sees (rule R4), without copying the state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from runs.engine.branches import Branch
from runs.engine.events import Json, StepId
from runs.engine.ledger import ABSENT
from runs.engine.scopes import Scope
from runs.engine.state import RunState

NO_OVERLAY: Mapping[str, tuple[Json, int]] = {}


class StateView(Mapping[str, Json]):
    """The state as one branch sees it. It stays what it is while the run goes on, in other threads too.

    The values are those of the run, not copies: hand out copies to whoever might change them.
    """

    __slots__ = ("_base", "_changed", "_outer", "_overlay", "_own_lists")

    def __init__(
        self, scope: Scope, overlay: Mapping[str, tuple[Json, int]], changed: Mapping[str, Json] | None = None
    ) -> None:
        self._changed = changed or {}
        self._overlay = overlay
        self._base = scope.base
        self._own_lists = scope.own_lists
        self._outer = scope.outer

    def __getitem__(self, key: str) -> Json:
        value = self._find(key)
        if value is ABSENT:
            raise KeyError(key)
        return value

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._find(key) is not ABSENT

    def __iter__(self) -> Iterator[str]:
        # dict.update is one step for other threads: the base may take in the overlay at any time
        keys = dict.fromkeys(self._outer)
        for layer in (self._base, self._overlay, self._changed):
            keys.update(dict.fromkeys(layer))
        return (key for key in keys if self._find(key) is not ABSENT)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _find(self, key: str) -> Json:
        if key in self._changed:
            return self._changed[key]
        held = self._overlay.get(key)
        if held is not None:
            return held[0]
        self._own_lists.pop(key, None)  # before: from now on the list is not the scope's alone
        value = self._base.get(key, self)
        return self._outer.get(key, ABSENT) if value is self else value


class View(Mapping[str, Json]):
    """The names of an expression: `error`, a map's `as` name and `index`; then `state`; then the state's keys."""

    __slots__ = ("local_names", "state")

    def __init__(self, state: StateView, local_names: Mapping[str, Json]) -> None:
        self.state = state
        self.local_names = local_names

    def __getitem__(self, name: str) -> Json:
        if name in self.local_names:
            return self.local_names[name]
        return dict(self.state) if name == "state" else self.state[name]

    def __contains__(self, name: object) -> bool:
        return name in self.local_names or name == "state" or name in self.state

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self.local_names, "state", *self.state]))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def view(state: RunState, step: StepId) -> View:
    """What the step sees. Raises KeyError if the run is not at this step."""
    return view_of(state.branches[step])


def view_of(branch: Branch, changed: Mapping[str, Json] | None = None, **names: Json) -> View:
    """The view of a branch after a change of some keys (ABSENT: deleted), with more local names."""
    locals_ = branch.scope.locals
    if branch.payload is not None:
        changed = {**branch.payload, **(changed or {})}
    if branch.error is not None:
        names["error"] = branch.error
    return View(StateView(branch.scope, branch.overlay, changed), {**locals_, **names} if names else locals_)


def final_view(scope: Scope) -> View:
    """The view at the end of an item, all branches together."""
    return View(StateView(scope, NO_OVERLAY), scope.locals)
