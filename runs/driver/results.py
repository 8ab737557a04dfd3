"""From a result to an outcome for the engine, checked against JSON, sizes and the state's schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from django.conf import settings

from graphs.plan import Plan
from runs import returning
from runs.driver.logs import clean, cut
from runs.driver.sizes import StateBounds, nulls_bytes, size_of
from runs.engine import Raised, Returned, RunState, collect, resolve, view, view_of_item
from runs.engine.branches import Branch
from runs.engine.decisions import CollectItem
from runs.engine.events import (
    Event,
    Failure,
    ItemCollected,
    ItemFailed,
    Json,
    JsonObject,
    StepCompleted,
    StepFailed,
    StepId,
)
from runs.engine.merging import Changed
from runs.engine.schemas import STATE_SCHEMA_ERROR
from runs.redaction import Mask, Redaction, StayingSecret
from runs.schema import StateSchema, schema_message, state_schema
from tools import Command, strict_json
from tools.errors import Detail
from tools.results import check_result

MAX_MESSAGE_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a graph's state schema says."""

    schema: StateSchema | None
    redaction: Redaction


@dataclass(slots=True)
class _Check:
    """The check of one step's new values, which are kept in `changed`."""

    schema: StateSchema | None
    changed: Mapping[str, Json] = field(default_factory=dict)

    def __call__(self, values: Changed) -> Failure | None:
        self.changed = values
        return _breach_of_schema(self.schema, values)


class Results:
    """Checks the results of one run's steps."""

    def __init__(self, former: Iterable[Plan] = ()) -> None:
        """`former` are the graphs that the run had before: what they marked secret stays so."""
        self._rules: dict[int, Rules] = {}
        """By the identity of the plan, which the run's state keeps alive."""
        self._former = [Redaction(plan.spec.state.schema) for plan in former]
        self._limits = settings.WORKFLOW
        self._bounds = StateBounds(max_bytes=self._limits.max_state_bytes)
        self._measured: tuple[Json, int] = (None, 0)
        """What a tool returned last, and how many bytes of JSON that is: it mostly is the update."""

    def outcome(
        self, state: RunState, step: StepId, attempt: int, result: Returned | Raised
    ) -> StepCompleted | StepFailed:
        """The outcome of an attempt. Nothing is raised for what a tool did, and no secret is in what went wrong."""
        branch = state.branches.get(step)
        if branch is None:  # nobody waits for it
            return resolve(state, step, attempt, result)
        check = _Check(self._rules_of(branch.scope.graph).schema)
        redaction = self._redaction_of(state, branch)
        outcome = self._checked(state, branch, attempt, result, check)
        if redaction and isinstance(outcome, StepFailed):
            message = redaction.mask(outcome.error.message, check.changed)
            message = self.conceal(state, step, message)
            return replace(outcome, error=replace(outcome.error, message=message))
        return outcome

    def breach_of_input(self, plan: Plan, state: JsonObject) -> Failure | None:
        """Why a run or a subgraph of this plan cannot begin with such a state."""
        schema = self._rules_of(plan).schema
        details = schema.check_input(state) if schema else []
        if details:
            return _schema_error(details, tuple(state))
        if size_of(state) > self._limits.max_state_bytes:
            message = (
                f"The subgraph's state would have {size_of(state)} bytes; the limit is {self._limits.max_state_bytes}."
            )
            return Failure(type="StateTooLarge", message=message)
        return None

    def conceal(self, state: RunState, step: StepId, text: str) -> str:
        """The text without the secrets that the step sees."""
        return self.mask_of(state, step)(text)

    def mask_of(self, state: RunState, step: StepId) -> Mask:
        """What conceals the secrets that the step sees."""
        redaction = self._redaction_of(state, state.branches[step])
        return redaction.masker(*([view(state, step).state] if redaction else ()))

    def _checked(
        self, state: RunState, branch: Branch, attempt: int, result: Returned | Raised, check: _Check
    ) -> StepCompleted | StepFailed:
        """What the step came to, its errors in their own words."""
        outcome = resolve(state, branch.id, attempt, result, check=check)
        if not isinstance(outcome, StepCompleted):
            return outcome
        failure = None
        if branch.node_plan.outputs is not None:  # else it is the tool's result, which is checked
            failure = self._breach_of_json({**outcome.update, **outcome.replace})
        failure = failure or self._breach_of_size(state, outcome, check.changed)
        return outcome if failure is None else resolve(state, branch.id, attempt, Raised(error=failure))

    def collect(self, state: RunState, decision: CollectItem) -> ItemCollected | ItemFailed:
        """What an item of a map gives. No secret is in what went wrong."""
        outcome = collect(state, decision)
        if isinstance(outcome, ItemCollected) and (failure := self._breach_of_json(outcome.values)):
            outcome = ItemFailed(step=decision.step, index=decision.index, error=failure)
        branch = state.branches.get(decision.step)
        if branch is None:  # nobody waits for it
            return outcome
        if isinstance(outcome, ItemCollected):
            self._bounds.add(branch.scope, size_of(outcome.values))
            return outcome
        redaction, seen = self._redaction_of(state, branch), view_of_item(state, decision)
        if not redaction or seen is None:
            return outcome
        message = redaction.mask(outcome.error.message, seen.state)
        return replace(outcome, error=replace(outcome.error, message=message))

    def forget_sizes(self) -> None:
        """Measure states anew before the next update: they may have grown in another way."""
        self._bounds = StateBounds(max_bytes=self._limits.max_state_bytes)

    def keys_hidden_in(self, event: Event, plan: Plan) -> tuple[str, ...]:
        """The state keys of which the schema of the event's graph marks something secret."""
        return self._rules_of(plan).redaction.keys_hidden_in(event)

    def returned(self, value: object) -> Returned | Raised:
        bounds = {"max_bytes": self._limits.max_update_bytes, "max_depth": self._limits.max_json_depth}
        try:
            if isinstance(value, Command):
                return returning.returned(check_result(value, **bounds))
            text, checked = strict_json.encode(value, **bounds)
        except BaseException as error:  # a result's own methods are a tool's code, too
            return raised(error)
        self._measured = checked, strict_json.text_bytes(text)
        return returning.returned(checked)

    def remember(self, former: Plan) -> None:
        """The run goes on as another version; the secrets of this one stay."""
        self._former.append(Redaction(former.spec.state.schema))

    def _redaction_of(self, state: RunState, branch: Branch) -> Redaction:
        redaction = self._rules_of(branch.scope.graph).redaction
        if not self._former or branch.scope.home is not state.root:
            return redaction
        return StayingSecret([redaction, *self._former])

    def _rules_of(self, plan: Plan) -> Rules:
        rules = self._rules.get(id(plan))
        if rules is None:
            schema = plan.spec.state.schema
            rules = self._rules[id(plan)] = Rules(schema=state_schema(schema), redaction=Redaction(schema))
        return rules

    def _breach_of_json(self, values: JsonObject) -> Failure | None:
        """Expressions can nest deeper at each turn of a loop than any parser would let pass."""
        try:
            strict_json.encode(values, max_bytes=self._limits.max_update_bytes, max_depth=self._limits.max_json_depth)
        except strict_json.JsonInvalid as error:
            return Failure(type="UpdateInvalid", message=cut(str(error), MAX_MESSAGE_BYTES))
        return None

    def _breach_of_size(self, state: RunState, outcome: StepCompleted, changed: Mapping[str, Json]) -> Failure | None:
        limits = self._limits
        if outcome.items is not None and len(outcome.items) > limits.max_map_items:
            message = f"The map has {len(outcome.items)} items; the limit is {limits.max_map_items}."
            return Failure(type="MapTooLarge", message=message)
        sent_bytes = sum(size_of(payload or {}) for payload in outcome.payloads)
        result, result_bytes = self._measured
        update_bytes = result_bytes if outcome.update is result else size_of(outcome.update)
        update_bytes += size_of(outcome.replace) + sent_bytes
        if update_bytes > limits.max_update_bytes:
            message = f"The update has {update_bytes} bytes; the limit is {limits.max_update_bytes}."
            return Failure(type="UpdateTooLarge", message=message)
        branch = state.branches.get(outcome.step)
        if branch is None:  # nobody waits for it
            return None
        map_plan = branch.node_plan.map
        added_bytes = update_bytes + (nulls_bytes(map_plan, len(outcome.items or ())) if map_plan else 0)
        if not self._bounds.may_exceed(branch.scope, added_bytes):
            return None
        values = {**branch.state(), **changed}
        state_bytes = size_of({key: value for key, value in values.items() if key not in outcome.delete})
        if state_bytes <= limits.max_state_bytes:
            return None
        message = (
            f"The state would have {state_bytes} bytes; the limit is {limits.max_state_bytes}. "
            "Keep large data elsewhere and a reference to it in the state."
        )
        return Failure(type="StateTooLarge", message=message)


def _breach_of_schema(schema: StateSchema | None, changed: Changed) -> Failure | None:
    details = schema.check_changes(changed) if schema else []
    if not details:
        return None
    return _schema_error(details, tuple(changed))


def _schema_error(details: Iterable[Detail], keys: tuple[str, ...]) -> Failure:
    return Failure(type=STATE_SCHEMA_ERROR, message=cut(schema_message(details), MAX_MESSAGE_BYTES), keys=keys)


def raised(error: BaseException) -> Raised:
    """What an exception is to the engine."""
    try:
        message = cut(clean(error), MAX_MESSAGE_BYTES)
    except BaseException:  # an exception's own __str__ is a tool's code, too
        message = "(its message cannot be read)"
    return returning.raised(error, message)
