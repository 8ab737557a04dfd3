"""Which steps of a run wait for which signals."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from runs.engine.events import StepId


class Listeners:
    """The steps that wait on disk, by what they wait for; a name is served in the order in which they began."""

    def __init__(self) -> None:
        self._places: dict[StepId, Mapping[str, int]] = {}
        # Ordered ones, of which the first is found at once also when many before it have gone.
        self._steps: dict[str, OrderedDict[StepId, None]] = {}

    def __contains__(self, step: StepId) -> bool:
        return step in self._places

    def add(self, step: StepId, places: Mapping[str, int]) -> None:
        """`places` are the entries of its wait, by the names of the signals; a task has none."""
        self.remove(step)
        self._places[step] = places
        for name in places:
            self._steps.setdefault(name, OrderedDict())[step] = None

    def remove(self, step: StepId) -> Mapping[str, int]:
        """Return what it waited for."""
        places = self._places.pop(step, {})
        for name in places:
            steps = self._steps[name]
            del steps[step]
            if not steps:
                del self._steps[name]
        return places

    def names(self, step: StepId) -> Iterable[str]:
        """What a step waits for."""
        return self._places[step].keys()

    def all_names(self) -> Iterable[str]:
        return self._steps.keys()

    def first(self, name: str) -> StepId | None:
        """The step to which a signal of this name goes."""
        return next(iter(self._steps.get(name, ())), None)
