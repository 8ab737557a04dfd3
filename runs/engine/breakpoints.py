"""Breakpoints: where a run is to pause (rule R22).

The engine keeps them and counts their hits, so that both survive a crash. Whether a step is at a breakpoint and whether
its condition holds is the driver's to find out: it evaluates expressions, and it knows which steps it has called.
"""

from __future__ import annotations

from runs.engine.events import BreakpointHit, BreakpointsSet
from runs.engine.pausing import hold
from runs.engine.state import RunState
from runs.engine.turn import Turn


def set_breakpoints(state: RunState, event: BreakpointsSet) -> bool:
    """Replace all breakpoints. Return whether they are others than before."""
    if event.breakpoints == state.breakpoints:
        return False
    state.breakpoints = event.breakpoints
    ids = _ids(state)
    state.hits = {id_: hits for id_, hits in state.hits.items() if id_ in ids}
    return True


def hit(turn: Turn, event: BreakpointHit) -> bool:
    """Count the hit, and pause the run if the breakpoint stops it. Return whether there is such a breakpoint."""
    state = turn.state
    if event.breakpoint not in _ids(state):
        return False
    state.hits[event.breakpoint] = state.hits.get(event.breakpoint, 0) + 1
    if event.stops:
        hold(turn, (event.step, *event.held))
    return True


def _ids(state: RunState) -> set[str]:
    return {breakpoint["id"] for breakpoint in state.breakpoints}
