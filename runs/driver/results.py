"""What becomes of a call's end: an outcome for the engine, checked against JSON, sizes and the state's schema."""

from __future__ import annotations

from collections.abc import Mapping

from django.conf import settings

from graphs.plan import Plan
from runs.driver.invoke import Finished
from runs.driver.logs import clean, cut
from runs.engine import Raised, Returned, RunState, collect, resolve, view
from runs.engine.decisions import CollectItem, StartStep
from runs.engine.events import Failure, ItemCollected, ItemFailed, Json, JsonObject, StepCompleted, StepFailed, StepId
from runs.schema import state_schema
from tools import Command, strict_json
from tools.errors import ToolsError
from tools.results import check_result

MAX_MESSAGE_BYTES = 16 * 1024


class Settler:
    """Settles the steps of one run."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._schema = state_schema(plan.spec.state.schema)
        self._limits = settings.WORKFLOW
        self._bound_bytes = self._limits.max_state_bytes
        """No branch's state is larger. Measured where it passes the limit, so before the first update, too."""

    def settle(self, state: RunState, start: StartStep, finished: Finished) -> StepCompleted | StepFailed:
        """The outcome of one attempt. Nothing is raised for what a tool did."""
        changed: dict[str, Json] = {}

        def check(values: Mapping[str, Json]) -> Failure | None:
            changed.update(values)
            return self._breach_of_schema(changed)

        result = self._returned(finished.value) if finished.error is None else _raised(finished.error)
        outcome = resolve(self._plan, state, start.step, start.attempt, result, check=check)
        if not isinstance(outcome, StepCompleted):
            return outcome
        failure = None
        if self._plan.node(start.node).outputs is not None:  # else it is the tool's result, which is checked
            failure = self._breach_of_json({**outcome.update, **outcome.replace})
        failure = failure or self._breach_of_size(state, outcome, changed)
        return (
            outcome if failure is None else resolve(self._plan, state, start.step, start.attempt, Raised(error=failure))
        )

    def collect(self, state: RunState, decision: CollectItem) -> ItemCollected | ItemFailed:
        """What an item of a map gives."""
        outcome = collect(self._plan, state, decision)
        if isinstance(outcome, ItemCollected) and (failure := self._breach_of_json(outcome.values)):
            return ItemFailed(step=decision.step, index=decision.index, error=failure)
        return outcome

    def crash(self, state: RunState, step: StepId, attempt: int, crashes: int) -> StepCompleted | StepFailed:
        """The outcome of a step that has killed too many workers."""
        message = f"The worker process died {crashes} times while it ran this step."
        failure = Failure(type="WorkerCrashed", message=message)
        return resolve(self._plan, state, step, attempt, Raised(error=failure))

    def _returned(self, value: object) -> Returned | Raised:
        limits = self._limits
        try:
            checked = check_result(value, max_bytes=limits.max_update_bytes, max_depth=limits.max_json_depth)
        except ToolsError as error:
            return _raised(error)
        if isinstance(checked, Command):
            return Returned(
                value=checked.update,
                replace=dict(checked.set),
                delete=tuple(checked.delete),
                goto=tuple(send.node for send in checked.targets) or None,
            )
        return Returned(value=checked)

    def _breach_of_schema(self, changed: Mapping[str, Json]) -> Failure | None:
        details = self._schema.check_values(changed.items()) if self._schema else []
        if not details:
            return None
        message = " ".join(f"{detail.path}: {detail.message}" for detail in details)
        return Failure(type="StateSchemaError", message=cut(message, MAX_MESSAGE_BYTES), keys=tuple(changed))

    def _breach_of_json(self, values: JsonObject) -> Failure | None:
        """Expressions can nest deeper at each turn of a loop than any parser would let pass."""
        try:
            strict_json.encode(values, max_bytes=self._limits.max_update_bytes, max_depth=self._limits.max_json_depth)
        except strict_json.JsonInvalid as error:
            return Failure(type="UpdateInvalid", message=cut(str(error), MAX_MESSAGE_BYTES))
        return None

    def _breach_of_size(self, state: RunState, outcome: StepCompleted, changed: JsonObject) -> Failure | None:
        limits = self._limits
        if outcome.items is not None and len(outcome.items) > limits.max_map_items:
            message = f"The map has {len(outcome.items)} items; the limit is {limits.max_map_items}."
            return Failure(type="MapTooLarge", message=message)
        update_bytes = _size(outcome.update) + _size(outcome.replace)
        if update_bytes > limits.max_update_bytes:
            message = f"The update has {update_bytes} bytes; the limit is {limits.max_update_bytes}."
            return Failure(type="UpdateTooLarge", message=message)
        # Measuring the state at every step would cost more than the step. So updates are added up as if nothing were
        # ever replaced, and the state is measured when the sum passes the limit.
        self._bound_bytes += update_bytes
        if self._bound_bytes > limits.max_state_bytes:
            self._bound_bytes = _size({**view(self._plan, state, outcome.step).state, **changed})
            if self._bound_bytes > limits.max_state_bytes:
                message = (
                    f"The state would have {self._bound_bytes} bytes; the limit is {limits.max_state_bytes}. "
                    "Keep large data elsewhere and a reference to it in the state."
                )
                return Failure(type="StateTooLarge", message=message)
        return None


def _raised(error: BaseException) -> Raised:
    try:
        message = cut(clean(error), MAX_MESSAGE_BYTES)
    except BaseException:  # an exception's own __str__ is a tool's code, too
        message = "(its message cannot be read)"
    names = tuple(cls.__name__ for cls in type(error).__mro__[1:-1])
    return Raised(error=Failure(type=type(error).__name__, message=message), names=names)


def _size(value: JsonObject) -> int:
    return len(strict_json.dumps(value).encode()) if value else 0
