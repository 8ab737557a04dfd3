"""The engine: what a run does next. No input or output, no clock, no Django.

Outcomes come in, events and decisions come out:

    transition = advance(plan, None, RunStarted(state=…))
    for decision in transition.decisions:          # StartStep: call the node's tool with view(state, step)
        outcome = resolve(state, decision.step, decision.attempt, Returned(value=…))
        transition = advance(plan, state, outcome)

The rules, R1 to R26, are written down in `docs/semantics.md`; each module opens with the ones it carries out.
"""

from runs.engine.attempts import failures_of, heartbeat_of, is_in_flight, is_waiting, parts_of, wait_of
from runs.engine.children import FindPlan, child_result, depth_breach, learn_plan, learn_plan_of, open_children
from runs.engine.forking import fork, obstacle_to_fork
from runs.engine.machine import Transition, advance, in_flight, replay
from runs.engine.migrating import MigrationPlan, Move, Obstacle, as_called_now, plan_migration
from runs.engine.previews import Preview, preview, preview_within
from runs.engine.resolving import Raised, Returned, collect, resolve, view_of_item
from runs.engine.snapshots import dump_state, load_state
from runs.engine.standing import Standing, standings
from runs.engine.state import RunState
from runs.engine.views import StateView, View, view

__all__ = [
    "FindPlan",
    "MigrationPlan",
    "Move",
    "Obstacle",
    "Preview",
    "Raised",
    "Returned",
    "RunState",
    "Standing",
    "StateView",
    "Transition",
    "View",
    "advance",
    "as_called_now",
    "child_result",
    "collect",
    "depth_breach",
    "dump_state",
    "failures_of",
    "fork",
    "heartbeat_of",
    "in_flight",
    "is_in_flight",
    "is_waiting",
    "learn_plan",
    "learn_plan_of",
    "load_state",
    "obstacle_to_fork",
    "open_children",
    "parts_of",
    "plan_migration",
    "preview",
    "preview_within",
    "replay",
    "resolve",
    "standings",
    "view",
    "view_of_item",
    "wait_of",
]
