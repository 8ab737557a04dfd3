"""Breakpoints: which of them a step comes to, and what they hold.

A breakpoint names a node, by itself or with the path that leads to it, and stops before the step or after it. With a
`condition` it stops where that is true, with a `hit_count` from that hit on. A condition that cannot be evaluated
stops, too: somebody is looking for something, and should be told rather than passed by.

A step that was held and then released passes them once, or it would never come further.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

from graphs.expressions import ExpressionError, compile_condition
from runs.engine import RunState, Transition, preview, view
from runs.engine.decisions import Decision, StartStep
from runs.engine.events import BreakpointHit, Json, JsonObject, MapClosed, StepCompleted, StepId
from runs.store.writes import StepRow

When = Literal["before", "after"]


class Hit(NamedTuple):
    """A step came to a breakpoint."""

    breakpoint: str
    stops: bool


class Breakpoints:
    """The breakpoints of one run. What they find is to be fed to the engine one by one: it counts the hits."""

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._passes: set[StepId] = set()
        """Steps that were released, which no breakpoint holds again."""

    def let_pass(self, step: StepId) -> None:
        """Breakpoints have held the step, if they were to."""
        self._passes.add(step)

    def release(self, decisions: Iterable[Decision]) -> None:
        """Somebody let the run go on, and this comes of it."""
        self._passes.update(_steps_of(decisions))

    def before(self, start: StartStep) -> Iterator[BreakpointHit]:
        """The hits of a step that is about to start, up to the one that holds it."""
        if not self._state.breakpoints:
            return
        if start.step in self._passes:
            self._passes.discard(start.step)
            return
        for hit in self._hits(start, "before", view(self._state, start.step)):
            yield hit
            if hit.stops:
                return

    def after(self, transition: Transition, rows: Mapping[StepId, StepRow]) -> Iterator[BreakpointHit]:
        """The hits of the steps that are over. One that stops holds what follows from them."""
        if not self._state.breakpoints or self._state.compensating is not None:
            return
        held = tuple(_steps_of(transition.decisions))
        for event in transition.events:
            if isinstance(event, MapClosed) or (isinstance(event, StepCompleted) and event.items is None):
                for hit in self._hits(rows[event.step], "after", preview(self._state).values):
                    yield replace(hit, held=held) if hit.stops else hit

    def _hits(self, place: StartStep | StepRow, when: When, names: Mapping[str, Json]) -> list[BreakpointHit]:
        found = hits(self._state.breakpoints, place, when, names, self._state.hits)
        return [
            BreakpointHit(step=place.step, node=place.node, path=place.path, breakpoint=hit.breakpoint, stops=hit.stops)
            for hit in found
        ]


def hits(
    breakpoints: Sequence[JsonObject],
    place: StartStep | StepRow,
    when: When,
    names: Mapping[str, Json],
    counts: Mapping[str, int],
) -> Iterator[Hit]:
    """The breakpoints that a step comes to. `counts` are the hits up to now, by the id of the breakpoint."""
    for one in breakpoints:
        if (
            one["node"] == place.node
            and one["when"] == when
            and one.get("path") in (None, place.path)
            and _holds(one, names)
        ):
            yield Hit(one["id"], stops=counts.get(one["id"], 0) + 1 >= one.get("hit_count", 1))


def _holds(one: JsonObject, names: Mapping[str, Json]) -> bool:
    condition = one.get("condition")
    try:
        return condition is None or compile_condition(condition)(names) is True
    except ExpressionError:
        return True


def _steps_of(decisions: Iterable[Decision]) -> Iterator[StepId]:
    return (decision.step for decision in decisions if isinstance(decision, StartStep))
