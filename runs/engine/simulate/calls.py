"""From a step that starts to its outcome: what its script does, when that is over, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from graphs.errors import GraphsError
from graphs.plan import NodePlan, Plan
from graphs.spec import RetrySpec
from runs.engine import RunState, child_result, collect, depth_breach, failures_of, resolve, view
from runs.engine.compensating import undoing_call
from runs.engine.decisions import CollectItem, FinishChild, StartStep
from runs.engine.events import (
    ChildStarted,
    ItemCollected,
    ItemFailed,
    JsonObject,
    Outcome,
    StepCompleted,
    StepFailed,
    StepId,
)
from runs.engine.resolving import Raised, Returned
from runs.engine.retries import NO_RETRY, asked_for_s, matching, retrying, what_follows
from runs.engine.simulate.definitions import Known, check
from runs.engine.simulate.outcomes import input_breach, json_breach, raised, returned, schema_check
from runs.engine.simulate.scripts import Done
from tools import Context
from tools.calling import NO_NAMES
from tools.errors import ToolsError


@dataclass(slots=True, kw_only=True)
class Calls:
    """Makes the calls of one run. `since` has the time at which each step was first given out."""

    known: Known
    default_timeout_s: float
    since: dict[StepId, datetime] = field(default_factory=dict)
    plans: dict[str, Plan] = field(default_factory=dict)
    """Of the subgraphs that were called, by digest."""
    checked: dict[str, Plan] = field(default_factory=dict)
    """The same by reference."""

    # ---- tools

    def call(self, state: RunState, start: StartStep, context: Context, *, now: datetime) -> Done:
        """What the tool of a step does. What takes too long is cut off, and has raised a TimeoutError."""
        branch = state.branches[start.step]
        node = branch.node_plan
        undoing = None if branch.undoes is None else undoing_call(state)
        try:
            seen = view(state, start.step)
            inputs = {name: value(seen) for name, value in node.inputs.items()} if undoing is None else undoing.inputs
        except GraphsError as error:
            return Done(error=error)
        script = self.known.script(branch.tool or "")
        names, local_names = (seen.state, seen.local_names) if undoing is None else (undoing.state, NO_NAMES)
        failures = failures_of(state, start.step)
        done = script.run(inputs=inputs, local_names=local_names, state=names, context=context, failures=failures)
        timeout_s, name = node.spec.timeout_s or self.default_timeout_s, "timeout_s"
        deadline = self.deadline(node, start.step)
        if deadline is not None and (left_s := (deadline - now).total_seconds()) < timeout_s:
            timeout_s, name = left_s, "deadline_s"
        if done.takes_s <= timeout_s:
            return done
        limit_s = node.spec.deadline_s if name == "deadline_s" else timeout_s
        too_long = TimeoutError(f"The tool ran longer than its {name} of {limit_s:g} s.")
        return replace(done, takes_s=timeout_s, value=None, error=too_long)

    def deadline(self, node: NodePlan, step: StepId) -> datetime | None:
        """When all attempts of the step must be over."""
        limit_s = node.spec.deadline_s
        return None if limit_s is None else self.since[step] + timedelta(seconds=limit_s)

    def outcome(self, state: RunState, start: StartStep, done: Done, *, now: datetime) -> tuple[Outcome, ...]:
        """What came of a call, and what else the node's policy makes of it, in order."""
        if done.error is None:
            return (self.resolved(state, start.step, start.attempt, returned(done.value)),)
        return self.raised(state, start.step, done.error, now=now)

    def raised(self, state: RunState, step: StepId, error: BaseException, *, now: datetime) -> tuple[Outcome, ...]:
        """What follows from an exception that ended a step's present attempt."""
        branch = state.branches[step]
        tool = None if branch.tool is None else self.known.script(branch.tool).tool
        place = retrying(branch.node_plan.spec.retry, tool, error)
        pause_s = asked_for_s(error, now=now)
        return self.failed(state, step, raised(error), policy=place, now=now, asked_for_s=pause_s)

    def failed(
        self,
        state: RunState,
        step: StepId,
        error: Raised,
        *,
        policy: int | None,
        now: datetime,
        asked_for_s: float = 0.0,
    ) -> tuple[Outcome, ...]:
        """What follows from the failure of a step's present attempt, by the retry policy at that place, if any."""
        branch = state.branches[step]
        outcome = self.resolved(state, step, branch.attempt, error)
        if policy is None or not isinstance(outcome, StepFailed):
            return (outcome,)
        node = branch.node_plan
        deadline = self.deadline(node, step)
        return what_follows(
            state, outcome, _policies(node), policy, now=now, deadline=deadline, asked_for_s=asked_for_s
        )

    def resolved(
        self, state: RunState, step: StepId, attempt: int, result: Returned | Raised
    ) -> StepCompleted | StepFailed:
        """The outcome of an attempt, held against the state's schema."""
        branch = state.branches[step]
        outcome = resolve(state, step, attempt, result, check=schema_check(branch.scope.graph))
        if branch.node_plan.outputs is None or not isinstance(outcome, StepCompleted):
            return outcome
        breach = json_breach({**outcome.update, **outcome.replace})
        return outcome if breach is None else resolve(state, step, attempt, Raised(error=breach))

    def collected(self, state: RunState, decision: CollectItem) -> ItemCollected | ItemFailed:
        """What an item of a map gives."""
        outcome = collect(state, decision)
        if isinstance(outcome, ItemCollected) and (breach := json_breach(outcome.values)) is not None:
            return ItemFailed(step=decision.step, index=decision.index, error=breach)
        return outcome

    # ---- subgraphs

    def open_child(self, state: RunState, start: StartStep) -> Outcome:
        """What comes of a step that calls a graph. Raises NotScripted."""
        node, seen = state.branches[start.step].node_plan, view(state, start.step)
        breach = depth_breach(state, start.step)
        if breach is not None:
            return self.resolved(state, start.step, start.attempt, Raised(error=breach))
        try:
            reference = None if node.graph is None else node.graph(seen)
            inputs = {name: value(seen) for name, value in node.inputs.items()}
            plan = self._plan_of(reference)
        except (GraphsError, ToolsError) as error:
            return self.resolved(state, start.step, start.attempt, raised(error))
        values = {**plan.spec.state.defaults, **inputs}
        breach = input_breach(plan, values)
        if breach is not None:
            return self.resolved(state, start.step, start.attempt, Raised(error=breach))
        digest = plan.spec.sha256
        self.plans[digest] = state.plans[digest] = plan
        return ChildStarted(
            step=start.step,
            attempt=start.attempt,
            graph=reference if isinstance(reference, str) else "",
            digest=digest,
            state=values,
            definition=None if isinstance(reference, str) else reference,
        )

    def child_timeout_at(self, state: RunState, step: StepId, *, now: datetime) -> datetime | None:
        """When a subgraph that begins now has used up its time: its own, or that of the step that calls it."""
        branch = state.branches[step]
        limits_s = [branch.node_plan.spec.timeout_s]
        if branch.child is not None:
            limits_s.append(branch.child.scope.graph.limits.timeout_s)
        moments = [now + timedelta(seconds=limit_s) for limit_s in limits_s if limit_s is not None]
        deadline = self.deadline(branch.node_plan, step)
        return min([*moments, *([] if deadline is None else [deadline])], default=None)

    def child_over(self, state: RunState, decision: FinishChild, *, now: datetime) -> tuple[Outcome, ...]:
        """What comes of a step whose subgraph is over or stuck."""
        branch = state.branches[decision.step]
        result = child_result(state, decision.step)
        if isinstance(result, Raised):
            place = matching(branch.node_plan.spec.retry, result.names)
            return self.failed(state, decision.step, result, policy=place, now=now)
        return (self.resolved(state, decision.step, decision.attempt, result),)

    def child_too_long(self, state: RunState, step: StepId, *, now: datetime) -> tuple[Outcome, ...]:
        """What comes of a step whose subgraph has used up its time."""
        return self.raised(state, step, TimeoutError("The subgraph has used up its time."), now=now)

    def find_plan(self, digest: str, definition: JsonObject | None) -> Plan:
        """For the fold of a journal."""
        return self.plans[digest]

    def _plan_of(self, reference: object) -> Plan:
        if not isinstance(reference, str):
            return check(reference, self.known)
        if reference not in self.checked:
            self.checked[reference] = check(self.known.graph(reference), self.known)
        return self.checked[reference]


def _policies(node: NodePlan) -> list[RetrySpec]:
    """Without jitter: a simulation is the same each time."""
    return [replace(policy, jitter=False) for policy in node.spec.retry or NO_RETRY]
