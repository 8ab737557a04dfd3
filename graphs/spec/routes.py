"""Where a branch goes when its step is over: the forms of `next`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainValidator, TypeAdapter, ValidationInfo

from graphs.expressions import is_expression
from graphs.spec.fields import (
    COMPUTED,
    FILLED,
    TARGETS,
    Condition,
    Count,
    Items,
    SingleTarget,
    Target,
    Targets,
    Values,
    Variable,
    Whole,
)
from graphs.spec.part import Json, Part, complaint, describe


@dataclass(frozen=True, slots=True, kw_only=True)
class To(Part):
    """Go there; to several at once if there are several."""

    to: Targets

    def to_json(self) -> Json:
        return Part.to_json(self)["to"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Part):
    """Two ways."""

    condition: Condition
    if_true: Targets
    if_false: Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class Case(Part):
    """One way of a switch or an each."""

    when: Condition
    to: Targets


Cases = Annotated[tuple[Case, ...], FILLED]


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch(Part):
    """The first case that is true; without one `default`, and without that the step fails with NoRouteError."""

    cases: Annotated[Cases, Field(alias="switch")]
    default: Targets | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Each(Part):
    """All cases that are true, in parallel; without one `default`, and without that the branch ends."""

    cases: Annotated[Cases, Field(alias="each")]
    default: Targets | None = None


def _at_once(value: Json) -> int | str:
    return COMPUTED.validate_python(value) if is_expression(value) else _COUNT.validate_python(value)


_COUNT: TypeAdapter[int] = TypeAdapter(Count)


def _tolerance(value: Json) -> int | str:
    if is_expression(value):
        return COMPUTED.validate_python(value)
    if not isinstance(value, str):
        return _NUMBER_OF_ITEMS.validate_python(value)
    if not is_tolerance(value):
        raise complaint("invalid-percentage", 'Write a number of items, or a share of them from "0%" to "100%".')
    return value


def is_tolerance(value: Json) -> bool:
    """Whether it says how many items may fail: a number of them, or a share in per cent."""
    if isinstance(value, str):
        return _PERCENTAGE.fullmatch(value) is not None
    return type(value) is int and value >= 0


_NUMBER_OF_ITEMS: TypeAdapter[int] = TypeAdapter(Annotated[Whole, Field(ge=0, le=2**31 - 1)])
_PERCENTAGE = re.compile(r"(0|[1-9][0-9]?|100)%", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapRoute(Part):
    """One scope an item; their collected values come out in item order, then the run goes on at `join`."""

    map: Items
    as_: Annotated[Variable, Field(alias="as")] = "item"
    to: Targets
    join: SingleTarget | None = None
    """None: the node at which all ways from `to` meet."""
    collect: Values = field(default_factory=dict)
    max_parallel: Annotated[int | str, PlainValidator(_at_once)] | None = None
    """A number of items, or an expression that gives one."""
    tolerated_failures: Annotated[int | str, PlainValidator(_tolerance)] = 0
    """A number of items, a share of them, such as `10%`, or an expression that gives one of these."""


def _declared(targets: Json) -> Json:
    if isinstance(targets, list) and not targets:
        raise complaint("route-undeclared", "Name the nodes among which the tool may choose; it can go nowhere else.")
    return targets


@dataclass(frozen=True, slots=True, kw_only=True)
class Dynamic(Part):
    """The tool itself names where to go, among these."""

    targets: Annotated[tuple[Target, ...], BeforeValidator(_declared), Field(alias="dynamic")]


Forms = To | Choice | Switch | Each | MapRoute | Dynamic

_BY_KEY: dict[str, TypeAdapter[Any]] = {
    "condition": TypeAdapter(Choice),
    "switch": TypeAdapter(Switch),
    "each": TypeAdapter(Each),
    "map": TypeAdapter(MapRoute),
    "dynamic": TypeAdapter(Dynamic),
}
_HELP = (
    'write a node, "end", a list of nodes, or an object with one of "condition", "switch", "each", "map" or "dynamic"'
)


def _route(value: Json, info: ValidationInfo) -> Any:
    if isinstance(value, str | list):
        return To(to=TARGETS.validate_python(value, context=info.context))
    if not isinstance(value, dict):
        raise complaint("wrong-type", f"Where to go next is not {describe(value)}; {_HELP}.")
    return _form(value).validate_python(value, context=info.context)


def _form(given: Mapping[str, Json]) -> TypeAdapter[Any]:
    keys = [key for key in _BY_KEY if key in given]
    if len(keys) > 1:
        words = " and ".join(f'"{key}"' for key in keys)
        raise complaint("several-routes", f"Decide between {words}: next has exactly one form.")
    if not keys:
        if given.keys() & {"if_true", "if_false"}:
            return _BY_KEY["condition"]
        raise complaint("unknown-route", f"This form of next is not known; {_HELP}.")
    return _BY_KEY[keys[0]]


Route = Annotated[Forms, PlainValidator(_route)]
