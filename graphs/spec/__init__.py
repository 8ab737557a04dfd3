"""The grammar of a graph definition: JSON in, checked immutable values out. No Django.

`parse_definition` reports everything that is wrong at once. `GraphSpec.canonical()` writes the definition back.
"""

from graphs.errors import DefinitionInvalid, Problem
from graphs.spec.fields import END, LOCAL_NAMES, no_such_tool
from graphs.spec.graph import (
    MAX_NODES,
    REDUCERS,
    ConcurrencySpec,
    GraphSpec,
    LimitsSpec,
    RetentionSpec,
    StateSpec,
    parse_definition,
)
from graphs.spec.nodes import CacheSpec, CompensateSpec, ErrorCase, JoinSpec, NodeSpec, Position, RetrySpec
from graphs.spec.part import Hints, describe, did_you_mean, quoted
from graphs.spec.routes import Case, Choice, Dynamic, Each, MapRoute, Route, Switch, To, is_tolerance
from graphs.spec.waits import Assignees, DueAnswer, HumanSpec, WaitEntry, WaitSpec

__all__ = [
    "END",
    "LOCAL_NAMES",
    "MAX_NODES",
    "REDUCERS",
    "Assignees",
    "CacheSpec",
    "Case",
    "Choice",
    "CompensateSpec",
    "ConcurrencySpec",
    "DefinitionInvalid",
    "DueAnswer",
    "Dynamic",
    "Each",
    "ErrorCase",
    "GraphSpec",
    "Hints",
    "HumanSpec",
    "JoinSpec",
    "LimitsSpec",
    "MapRoute",
    "NodeSpec",
    "Position",
    "Problem",
    "RetentionSpec",
    "RetrySpec",
    "Route",
    "StateSpec",
    "Switch",
    "To",
    "WaitEntry",
    "WaitSpec",
    "describe",
    "did_you_mean",
    "is_tolerance",
    "no_such_tool",
    "parse_definition",
    "quoted",
]
