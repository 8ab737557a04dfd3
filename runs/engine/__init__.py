"""The engine: what a run does next. No input or output, no clock, no Django.

Outcomes come in, events and decisions come out:

    transition = advance(plan, None, RunStarted(state=…))
    for decision in transition.decisions:          # StartStep: call the node's tool with view(plan, state, step)
        outcome = resolve(plan, state, decision.step, decision.attempt, Returned(value=…))
        transition = advance(plan, state, outcome)

The rules, R1 to R18, are written down in `docs/semantics.md`; each module opens with the ones it carries out.
"""

from runs.engine.machine import Transition, advance, in_flight, replay
from runs.engine.previews import Preview, preview
from runs.engine.resolving import Raised, Returned, collect, resolve
from runs.engine.snapshots import dump_state, load_state
from runs.engine.state import RunState
from runs.engine.views import StateView, View, view

__all__ = [
    "Preview",
    "Raised",
    "Returned",
    "RunState",
    "StateView",
    "Transition",
    "View",
    "advance",
    "collect",
    "dump_state",
    "in_flight",
    "load_state",
    "preview",
    "replay",
    "resolve",
    "view",
]
