"""How a published sample ends by the model alone, which knows neither engine nor database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from runs.engine.events import Event, Failure, ItemCollected, JsonObject, RunStarted, StepCompleted, StepFailed
from tests.integration.runs.randomized.published import as_seen
from tests.unit.engine.randomized.play import MAX_STEPS, TooLong
from tests.unit.engine.randomized.reference import Reference, Scope, Token
from tests.unit.engine.randomized.samples import DEPTH_OF_CHILDREN, END, MAX_DEPTH, START_STATE, Sample, fingerprint

Json = Any
Error = tuple[str, str, tuple[str, ...]]
"""The node, the type, and the keys in conflict."""


@dataclass(kw_only=True)
class Ending:
    """What must come of a run, whatever happens to its drivers."""

    status: str
    final: Json
    """The state; None if it failed."""
    errors: list[Error] = field(default_factory=list)
    calls: Counter[tuple[str, int]] = field(default_factory=Counter)
    """The steps that call a tool: the node and a hash of what it sees."""

    def differences(self, other: Ending) -> list[str]:
        ours, theirs = vars(self), vars(other)
        return [f"{name} {ours[name]} instead of {theirs[name]}" for name in ours if ours[name] != theirs[name]]


def ending_of(reference: Reference) -> Ending:
    failed = reference.errors() if reference.status == "failed" else ()
    errors = sorted((node, type_, keys) for _, node, type_, keys in failed)
    return Ending(status=reference.status, final=reference.final, errors=errors)


def told_by(sample: Sample, events: Iterable[Event]) -> Ending:
    """What comes of these outcomes in this order. For samples in which the order matters."""
    reference = Reference(sample.definition)
    for event in events:
        reference.apply(event)
    return ending_of(reference)


def predicted(sample: Sample, state: JsonObject = START_STATE) -> Ending:
    """What comes of the sample in any order. Raises TooLong."""
    return _Prediction(sample, state).made()


class _Prediction:
    def __init__(self, sample: Sample, state: JsonObject) -> None:
        self.sample = sample
        self.reference = Reference(sample.definition)
        self.reference.apply(RunStarted(state=state))
        self.calls: Counter[tuple[str, int]] = Counter()
        self.errors_inside: list[Error] = []

    def made(self) -> Ending:
        while self.reference.status == "running":
            if self.reference.collecting():
                self._collect(next(scope for scope in self.reference.scopes() if scope.collecting))
            else:
                self._run_a_step(next(iter(self.reference.running().values())))
            if self.calls.total() > MAX_STEPS:
                raise TooLong
        ending = ending_of(self.reference)
        ending.calls = self.calls
        ending.errors = sorted(ending.errors + self.errors_inside)
        return ending

    def _collect(self, scope: Scope) -> None:
        """The two forms of `collect` that samples have."""
        state = self.reference.state(scope, scope.ended)[0]
        forms = {"coll": [state.get("weird", 0), scope.index]}
        collect = self.sample.definition["nodes"][scope.owner.node]["next"]["collect"]
        values = {key: forms.get(key, state.get("log")) for key in collect}
        self.reference.apply(ItemCollected(step=scope.owner.id, index=scope.index, values=values))

    def _run_a_step(self, token: Token) -> None:
        seen = as_seen(self.reference.view(token))
        if "graph" in self.sample.definition["nodes"][token.node]:
            self.reference.apply(self._called(token, seen))
        else:
            self.calls[token.node, fingerprint(token.node, seen)] += 1
            self.reference.apply(self.sample.call(token.node, token.id, token.attempt, seen))

    def _called(self, token: Token, seen: dict[str, Json]) -> StepCompleted | StepFailed:
        """What `published.CALL` makes of the other graph."""
        inner = predicted(self.sample.child, {"x": seen.get("weird", 0), "depth": DEPTH_OF_CHILDREN})
        self.calls += inner.calls
        if inner.status == "failed":
            self.errors_inside += inner.errors
            error = Failure(type="SubgraphFailed", message="")
            return StepFailed(step=token.id, attempt=token.attempt, error=error)
        depth, result = seen.get("depth", 0) + 1, inner.final
        update = {"weird": result.get("weird", 0) % 997, "depth": depth, "coll": result.get("coll", [])}
        done = {"step": token.id, "attempt": token.attempt, "update": update}
        targets = self.sample.definition["nodes"][token.node]["next"]
        if isinstance(targets, dict):
            return StepCompleted(**done, items=(depth,) if depth <= 3 else ())
        return StepCompleted(**done, route=(END,) if depth >= MAX_DEPTH else tuple(targets))
