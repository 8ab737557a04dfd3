"""What a node is and does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field, PlainValidator, TypeAdapter, ValidationInfo

from graphs.spec.fields import (
    FILLED,
    TARGETS,
    Count,
    ExpressionText,
    Flag,
    NameOrExpression,
    Number,
    Seconds,
    Targets,
    Text,
    ToolName,
    Values,
    Word,
)
from graphs.spec.part import Complaint, Json, JsonObject, Part, complaint, describe
from graphs.spec.routes import Route
from graphs.spec.waits import HumanSpec, WaitSpec

KINDS = ("tool", "graph", "human", "wait")
_CALLS = frozenset({"tool", "graph"})
_OPTION_KINDS: dict[str, frozenset[str]] = {
    "inputs": _CALLS,
    "retry": _CALLS,
    "timeout_s": _CALLS,
    "deadline_s": _CALLS,
    "heartbeat_timeout_s": frozenset({"tool"}),
    "cache": frozenset({"tool"}),
    "lock": _CALLS,
    "executor": frozenset({"tool"}),
    "compensate": _CALLS,
}
"""Options that mean something only where something is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinSpec(Part):
    """How a node waits for the branches that reach it. A `count` of 0 stands for all of them."""

    count: Count
    rest: Literal["cancel", "ignore"] = "cancel"

    @property
    def kind(self) -> Literal["all", "count"]:
        return "count" if self.count else "all"

    def to_json(self) -> Json:
        if self == JOIN_ALL:
            return "all"
        return "any" if self == JOIN_ANY else {"count": self.count, "rest": self.rest}


JOIN_ALL = JoinSpec(count=0)
JOIN_ANY = JoinSpec(count=1)
_COUNTED: TypeAdapter[JoinSpec] = TypeAdapter(JoinSpec)


def _join(value: Json) -> JoinSpec:
    match value:
        case "all":
            return JOIN_ALL
        case "any":
            return JOIN_ANY
        case dict():
            return _COUNTED.validate_python(value)
        case _:
            raise complaint("unknown-word", f'Write "all", "any" or {{"count": n}} here, not {describe(value)}.')


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySpec(Part):
    """When a failed attempt is followed by another. The n-th pause is interval times factor to the n-1."""

    max_attempts: Annotated[Count, Field(le=10_000)] = 1
    initial_interval_s: Seconds = 0.5
    backoff_factor: Annotated[Number, Field(ge=1, le=100)] = 2
    max_interval_s: Seconds = 128
    jitter: Flag = True
    on: tuple[Word, ...] | None = None
    """Names of exceptions; None stands for every retryable one."""
    on_exhausted: Literal["fail", "pause"] = "fail"


def _retries(value: Json) -> tuple[RetrySpec, ...]:
    """One policy, or a list of policies of which the first that names the exception counts."""
    if not isinstance(value, list):
        return (_POLICY.validate_python(value),)
    policies = _POLICIES.validate_python(value)
    if any(policy.on is None for policy in policies[:-1]):
        raise complaint("unreachable-case", "The policy without on takes every error; put it last.")
    return policies


_POLICY: TypeAdapter[RetrySpec] = TypeAdapter(RetrySpec)
_POLICIES: TypeAdapter[tuple[RetrySpec, ...]] = TypeAdapter(Annotated[tuple[RetrySpec, ...], FILLED])


def _as_words(value: Json) -> Json:
    return [value] if isinstance(value, str) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCase(Part):
    """Where a failure leads; `match` names exceptions, none stands for every one."""

    match: Annotated[tuple[Word, ...], FILLED, BeforeValidator(_as_words)] = ()
    to: Targets

    def to_json(self) -> JsonObject:
        written: JsonObject = Part.to_json(self)
        if len(self.match) == 1:
            (written["match"],) = self.match
        return written


def _error_cases(value: Json, info: ValidationInfo) -> tuple[ErrorCase, ...]:
    """A target, or a list of targets, is one case that takes every error."""
    is_list_of_cases = isinstance(value, list) and (not value or any(isinstance(item, dict) for item in value))
    if not is_list_of_cases:
        return (ErrorCase(to=TARGETS.validate_python(value, context=info.context)),)
    cases = _CASES.validate_python(value, context=info.context)
    if any(not case.match for case in cases[:-1]):
        raise complaint("unreachable-case", "The case without match takes every error; put it last.")
    return cases


_CASES: TypeAdapter[tuple[ErrorCase, ...]] = TypeAdapter(Annotated[tuple[ErrorCase, ...], FILLED])


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSpec(Part):
    """Reuse of an earlier result, for as long as `ttl_s`, where `key` (all arguments, if None) is equal."""

    ttl_s: Seconds
    key: ExpressionText | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompensateSpec(Part):
    """The tool that undoes this node's effect when the run fails later."""

    tool: ToolName
    inputs: Values = field(default_factory=dict)

    def to_json(self) -> Json:
        return Part.to_json(self) if self.inputs else self.tool


@dataclass(frozen=True, slots=True, kw_only=True)
class Position(Part):
    """Where the editor draws the node. Not part of the meaning, so not of the hash."""

    x: Number
    y: Number


def _compensation(value: Json, info: ValidationInfo) -> CompensateSpec:
    if isinstance(value, str):
        return CompensateSpec(tool=_TOOL_NAME.validate_python(value, context=info.context))
    return _COMPENSATION.validate_python(value, context=info.context)


_TOOL_NAME: TypeAdapter[str] = TypeAdapter(ToolName)
_COMPENSATION: TypeAdapter[CompensateSpec] = TypeAdapter(CompensateSpec)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSpec(Part):
    """A step of the definition: exactly one of tool, graph, human and wait, or none (a routing point)."""

    label: Annotated[Text, Field(max_length=200)] = ""
    description: Text = ""
    tool: ToolName | None = None
    graph: NameOrExpression | None = None
    human: HumanSpec | None = None
    wait: WaitSpec | None = None
    inputs: Values = field(default_factory=dict)
    outputs: Values | None = None
    """None: the tool's returned object is the update. Empty: nothing of it is kept."""
    next: Route | None = None
    """None: the branch ends."""
    join: Annotated[JoinSpec, PlainValidator(_join)] | None = None
    """None: the node runs once for each branch that reaches it."""
    retry: Annotated[tuple[RetrySpec, ...], PlainValidator(_retries)] = ()
    timeout_s: Seconds | None = None
    deadline_s: Seconds | None = None
    heartbeat_timeout_s: Seconds | None = None
    on_error: Annotated[tuple[ErrorCase, ...], PlainValidator(_error_cases)] = ()
    cache: CacheSpec | None = None
    lock: NameOrExpression | None = None
    executor: Literal["inline", "thread", "process", "cluster"] | None = None
    compensate: Annotated[CompensateSpec, PlainValidator(_compensation)] | None = None
    position: Position | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> Literal["tool", "graph", "human", "wait", "none"]:
        kinds = cast(tuple[Literal["tool", "graph", "human", "wait"], ...], KINDS)
        return next((kind for kind in kinds if getattr(self, kind) is not None), "none")

    @property
    def is_wait(self) -> bool:
        """Whether the node only waits, for a person or for something else."""
        return self.human is not None or self.wait is not None

    @classmethod
    def rules(cls, given: Mapping[str, Json]) -> Iterator[Complaint]:
        kinds = [kind for kind in KINDS if given.get(kind) is not None]
        if len(kinds) > 1:
            words = " and ".join(f'"{kind}"' for kind in kinds)
            yield Complaint(
                code="several-kinds", message=f"Decide between {words}: a node does exactly one thing.", loc=(kinds[1],)
            )
        for option, allowed in _OPTION_KINDS.items():
            if given.get(option) is not None and not allowed.intersection(kinds):
                yield Complaint(code="option-without-effect", message=_no_effect(option, allowed), loc=(option,))
        route = given.get("next")
        if isinstance(route, dict) and "dynamic" in route and "tool" not in kinds:
            yield Complaint(
                code="option-without-effect",
                message="Only a tool can choose among dynamic targets; give the node a tool or another form of next.",
                loc=("next", "dynamic"),
            )

    def to_json(self) -> JsonObject:
        written: JsonObject = Part.to_json(self)
        if len(self.retry) == 1:
            (written["retry"],) = written["retry"]
        match self.on_error:
            case (ErrorCase(match=()) as only,):
                written["on_error"] = only.to_json()["to"]
        return written


def _no_effect(option: str, allowed: frozenset[str]) -> str:
    kinds = " or a ".join(sorted(allowed, reverse=True))
    return f'"{option}" has an effect only on a node with a {kinds}; remove it.'
