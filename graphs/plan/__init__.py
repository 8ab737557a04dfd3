"""What a definition means for a run, compiled once per version. No Django.

A plan is immutable and may be shared between threads and runs. It holds, for the root and for each map (a *scope
kind*: branches never leave the scope they start in), which nodes a branch can still reach, as bit masks: the engine
decides with them when a join has nobody left to wait for. The rules are in `docs/semantics.md`.
"""

from graphs.plan.compiler import compile_plan
from graphs.plan.edges import moves_of
from graphs.plan.model import Handler, JoinPlan, MapPlan, NodePlan, OutputsPlan, Plan, ScopePlan, Tolerance
from graphs.plan.reducers import Reducer, ReducerError, UnknownReducer, find_reducer
from graphs.plan.routes import NoRoute

__all__ = [
    "Handler",
    "JoinPlan",
    "MapPlan",
    "NoRoute",
    "NodePlan",
    "OutputsPlan",
    "Plan",
    "Reducer",
    "ReducerError",
    "ScopePlan",
    "Tolerance",
    "UnknownReducer",
    "compile_plan",
    "find_reducer",
    "moves_of",
]
