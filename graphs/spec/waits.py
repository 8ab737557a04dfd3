"""The two kinds of node that wait for the world: a person, and a timer or signal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AfterValidator, PlainValidator, TypeAdapter, ValidationInfo

from graphs.spec.fields import (
    FILLED,
    Count,
    Delay,
    Line,
    LiteralWord,
    Moment,
    Patience,
    Seconds,
    SignalName,
    SingleTarget,
    Targets,
    Text,
)
from graphs.spec.part import Complaint, Json, Part, complaint, did_you_mean, quoted

_CAUSES = ("seconds", "until", "signal", "any")
ROLES = ("viewer", "operator", "editor", "admin")
"""The roles of members, which are the same in every organization."""


def _role(name: str) -> str:
    if name not in ROLES:
        hint = did_you_mean(name, ROLES)
        raise complaint("unknown-word", f"There is no role {quoted(name)}.{hint} Roles are {', '.join(ROLES)}.")
    return name


RoleName = Annotated[LiteralWord, AfterValidator(_role)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignees(Part):
    """Who may answer; nobody named means everybody with the role operator."""

    users: tuple[LiteralWord, ...] = ()
    roles: tuple[RoleName, ...] = ()
    groups: tuple[LiteralWord, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DueAnswer(Part):
    """The answer that is taken when nobody answered in time."""

    answer: Any


def _on_due(value: Json, info: ValidationInfo) -> str | DueAnswer:
    if isinstance(value, dict):
        return _DUE_ANSWER.validate_python(value, context=info.context)
    return _SINGLE_TARGET.validate_python(value, context=info.context)


@dataclass(frozen=True, slots=True, kw_only=True)
class HumanSpec(Part):
    """A form that people answer."""

    title: Line
    instructions: Text = ""
    form: dict[str, Any] | None = None
    """JSON Schema of the answer; None takes any object."""
    assignees: Assignees = field(default_factory=Assignees)
    quorum: Count = 1
    due_s: Seconds | None = None
    on_due: Annotated[str | DueAnswer, PlainValidator(_on_due)] | None = None

    @classmethod
    def rules(cls, given: Mapping[str, Json]) -> Iterator[Complaint]:
        if given.get("on_due") is not None and given.get("due_s") is None:
            yield Complaint(code="option-without-effect", message='"on_due" needs "due_s"; add it.', loc=("on_due",))


def _one_cause(given: Mapping[str, Json], causes: tuple[str, ...]) -> Iterator[Complaint]:
    named = [cause for cause in causes if given.get(cause) is not None]
    if len(named) > 1:
        words = " and ".join(f'"{cause}"' for cause in named)
        yield Complaint(code="several-waits", message=f"Decide between {words}; for both use any.", loc=(named[1],))
    if not named:
        words = ", ".join(f'"{cause}"' for cause in causes)
        yield Complaint(code="missing-key", message=f"Say what to wait for: one of {words}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitEntry(Part):
    """One of several things of which the first one wins; `next` None goes where the node goes."""

    seconds: Delay | None = None
    until: Moment | None = None
    signal: SignalName | None = None
    next: Targets | None = None

    @classmethod
    def rules(cls, given: Mapping[str, Json]) -> Iterator[Complaint]:
        return _one_cause(given, ("seconds", "until", "signal"))


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitSpec(Part):
    """A timer, a signal, or the first of several."""

    seconds: Delay | None = None
    until: Moment | None = None
    signal: SignalName | None = None
    any: Annotated[tuple[WaitEntry, ...], FILLED] | None = None
    timeout_s: Patience | None = None
    on_timeout: Targets | None = None

    @classmethod
    def rules(cls, given: Mapping[str, Json]) -> Iterator[Complaint]:
        yield from _one_cause(given, _CAUSES)
        if given.get("timeout_s") is not None and given.get("signal") is None:
            yield Complaint(
                code="option-without-effect", message='"timeout_s" goes with "signal" only.', loc=("timeout_s",)
            )
        if given.get("on_timeout") is not None and given.get("timeout_s") is None:
            yield Complaint(
                code="option-without-effect", message='"on_timeout" needs "timeout_s"; add it.', loc=("on_timeout",)
            )


_SINGLE_TARGET: TypeAdapter[str] = TypeAdapter(SingleTarget)
_DUE_ANSWER: TypeAdapter[DueAnswer] = TypeAdapter(DueAnswer)
