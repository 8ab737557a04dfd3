"""What the end of a call, a wait or a subgraph is to the run: an outcome for the engine.

Here a failed attempt becomes another attempt, if the node's policy says so, and a step that only began to wait, or
found its subgraph, tells the engine that.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from graphs.errors import GraphsError
from graphs.plan import Plan
from graphs.spec import NodeSpec
from runs.driver.invoke import Finished
from runs.driver.locking import LockBusy
from runs.driver.people import new_task
from runs.driver.results import Results, raised
from runs.driver.subgraphs import FoundChild
from runs.engine import (
    Raised,
    Returned,
    RunState,
    child_result,
    depth_breach,
    locks,
    retries,
    view,
    wait_of,
    waits,
)
from runs.engine.branches import Branch
from runs.engine.decisions import CollectItem, FinishChild, StartStep
from runs.engine.events import (
    ChildStarted,
    Failure,
    ItemCollected,
    ItemFailed,
    Json,
    JsonObject,
    Outcome,
    PartRecorded,
    StateEdited,
    StepFailed,
    StepId,
    StepWaiting,
)
from runs.engine.people import begin_interrupt, begin_task, said
from runs.questions import masked_question
from tools import registry
from tools.base import Tool
from tools.errors import PartInvalid
from tools.parts import Interrupt, interrupt_in

logger = logging.getLogger(__name__)


class Settler:
    """Settles the steps of one run."""

    def __init__(self, former: Iterable[Plan] = ()) -> None:
        """`former` are the graphs that the run had before."""
        self._results = Results(former)

    def settle(
        self, state: RunState, start: StartStep, finished: Finished, *, deadline: datetime | None
    ) -> tuple[Outcome, ...]:
        """The outcome of a call, and what else the node's policy makes of it, in order.

        `deadline` is when the step has to be over, all its attempts together.
        """
        try:
            return self._settle(state, start, finished, deadline)
        except Exception as error:  # what a tool returned or raised can break whoever looks at it
            logger.exception("The end of the step %s could not be taken in; it fails.", start.step.hex())
            return (self._results.outcome(state, start.step, start.attempt, raised(error)),)

    def _settle(
        self, state: RunState, start: StartStep, finished: Finished, deadline: datetime | None
    ) -> tuple[Outcome, ...]:
        step, attempt, branch = start.step, start.attempt, state.branches.get(start.step)
        asked = None if branch is None else interrupt_in(finished.error)
        if branch is not None and asked is not None:
            return (self._begin_interrupt(state, branch, attempt, asked),)
        if finished.error is not None:
            return self._failed(state, step, attempt, finished.error, deadline, finished.heartbeat)
        if branch is not None and isinstance(finished.value, FoundChild):
            return (self._begin_child(state, branch, attempt, finished.value, deadline),)
        if isinstance(finished.value, LockBusy):
            busy, now = finished.value, datetime.now(UTC)
            wait = locks.wait_for(busy.name, step=step, holder=busy.holder, now=now, deadline=deadline)
            return (StepWaiting(step=step, attempt=attempt, wait=wait),)
        if branch is not None and branch.undoes is None and branch.node_plan.spec.is_wait:
            return (self._begin_wait(state, branch, attempt),)
        return (self._results.outcome(state, step, attempt, self._results.returned(finished.value)),)

    def remember(self, former: Plan) -> None:
        """The run goes on as another version; what this one marked secret stays so."""
        self._results.remember(former)

    def forget_sizes(self) -> None:
        """The state was edited: how large it is has to be measured anew."""
        self._results.forget_sizes()

    def conceal(self, state: RunState, step: StepId, text: str) -> str:
        """The text without the secrets that the step sees."""
        return self._results.conceal(state, step, text)

    def part(self, state: RunState, step: StepId, attempt: int, *, name: str, value: Json) -> PartRecorded:
        """That a part of the step's tool gave a value."""
        shown = self.conceal(state, step, name) if step in state.branches else name
        return PartRecorded(step=step, attempt=attempt, name=name, value=value, shown_as="" if shown == name else shown)

    def hidden_keys(self, state: RunState, outcome: Outcome) -> tuple[str, ...]:
        """The state keys in an outcome that the schema of a subgraph marks secret; the run's own schema is known."""
        plan = _graph_of(state, outcome)
        return () if plan is None or plan is state.root.graph else self._results.keys_hidden_in(outcome, plan)

    def collect(self, state: RunState, decision: CollectItem) -> ItemCollected | ItemFailed:
        """What an item of a map gives."""
        return self._results.collect(state, decision)

    def crash(self, state: RunState, step: StepId, attempt: int, crashes: int) -> Outcome:
        """The outcome of a step that has killed too many workers."""
        message = f"The worker process died {crashes} times while it ran this step."
        return self.undone(state, step, attempt, Failure(type="WorkerCrashed", message=message))

    def undone(self, state: RunState, step: StepId, attempt: int, error: Failure) -> Outcome:
        """The outcome of an attempt that another driver has seen fail."""
        return self._results.outcome(state, step, attempt, Raised(error=error))

    # ---- failures

    def _failed(
        self,
        state: RunState,
        step: StepId,
        attempt: int,
        error: BaseException,
        deadline: datetime | None,
        heartbeat: Json = None,
    ) -> tuple[Outcome, ...]:
        outcome = self._results.outcome(state, step, attempt, raised(error))
        branch = state.branches.get(step)
        if branch is None or not isinstance(outcome, StepFailed):
            return (outcome,)
        node = branch.node_plan.spec
        place = retries.retrying(node.retry, _tool_of(branch), error)
        if place is None:
            return (outcome,)
        now = datetime.now(UTC)
        return retries.what_follows(
            state,
            outcome,
            node.retry,
            place,
            now=now,
            deadline=deadline,
            asked_for_s=retries.asked_for_s(error, now=now),
            heartbeat=heartbeat,
        )

    # ---- waits

    def _begin_wait(self, state: RunState, branch: Branch, attempt: int) -> Outcome:
        node, now = branch.node_plan.spec, datetime.now(UTC)
        if node.human is not None:
            return StepWaiting(step=branch.id, attempt=attempt, wait=begin_task(node.human, task=new_task(), now=now))
        assert node.wait is not None  # noqa: S101 - the caller looked
        try:
            wait = waits.begin_wait(node.wait, view(state, branch.id), now=now)
        except (waits.WaitInvalid, GraphsError) as error:
            return self._results.outcome(state, branch.id, attempt, raised(error))
        return StepWaiting(step=branch.id, attempt=attempt, wait=wait)

    def _begin_interrupt(self, state: RunState, branch: Branch, attempt: int, asked: Interrupt) -> Outcome:
        try:
            shown = masked_question(asked, self._results.mask_of(state, branch.id))
            wait = begin_interrupt(shown, task=new_task(), now=datetime.now(UTC))
        except PartInvalid as error:
            return self._results.outcome(state, branch.id, attempt, raised(error))
        return StepWaiting(step=branch.id, attempt=attempt, wait=wait)

    def waited(self, state: RunState, step: StepId, result: Returned | Raised) -> Outcome:
        """The outcome of a step whose wait is over with this result; of a tool's question, a part of the step."""
        wait = wait_of(state, step)
        if wait is not None and "interrupt" in wait and isinstance(result, Returned):
            return self.part(state, step, state.branches[step].attempt, name=wait["interrupt"], value=said(result))
        return self._results.outcome(state, step, state.branches[step].attempt, result)

    # ---- locks

    def lock_late(self, state: RunState, step: StepId, wait: JsonObject) -> tuple[Outcome, ...]:
        """The outcome of a step whose lock did not come in time."""
        deadline = datetime.fromisoformat(wait["timeout_at"])
        return self._failed(state, step, state.branches[step].attempt, locks.too_late(wait), deadline)

    # ---- subgraphs

    def _begin_child(
        self, state: RunState, branch: Branch, attempt: int, found: FoundChild, deadline: datetime | None
    ) -> Outcome:
        initial = {**found.plan.spec.state.defaults, **found.inputs}
        failure = depth_breach(state, branch.id) or self._results.breach_of_input(found.plan, initial)
        if failure is not None:
            return self._results.outcome(state, branch.id, attempt, Raised(error=failure))
        state.plans[found.digest] = found.plan
        return ChildStarted(
            step=branch.id,
            attempt=attempt,
            graph=found.graph,
            digest=found.digest,
            state=initial,
            timeout_at=_timeout_of(branch.node_plan.spec, found, deadline),
            definition=found.definition,
        )

    def finish_child(self, state: RunState, decision: FinishChild, *, deadline: datetime | None) -> tuple[Outcome, ...]:
        """The outcome of a step whose subgraph is over or stuck."""
        result = child_result(state, decision.step)
        outcome = self._results.outcome(state, decision.step, decision.attempt, result)
        if not isinstance(result, Raised) or not isinstance(outcome, StepFailed):
            return (outcome,)
        policies = state.branches[decision.step].node_plan.spec.retry
        place = retries.matching(policies, result.names)
        if place is None:
            return (outcome,)
        return retries.what_follows(state, outcome, policies, place, now=datetime.now(UTC), deadline=deadline)

    def time_out_child(
        self, state: RunState, step: StepId, attempt: int, *, deadline: datetime | None
    ) -> tuple[Outcome, ...]:
        """The outcome of a step whose subgraph has used up its time."""
        return self._failed(state, step, attempt, TimeoutError("The subgraph has used up its time."), deadline)


def _graph_of(state: RunState, outcome: Outcome) -> Plan | None:
    """The graph whose state keys the outcome has, if it is that of a step."""
    if isinstance(outcome, StateEdited):
        edited = state.branches.get(outcome.within or b"")
        return None if edited is None or edited.child is None else edited.child.scope.graph
    branch = state.branches.get(getattr(outcome, "step", b""))
    if branch is None:
        return None
    return state.plans[outcome.digest] if isinstance(outcome, ChildStarted) else branch.scope.graph


def _tool_of(branch: Branch) -> Tool | None:
    try:
        return None if branch.tool is None else registry.get(branch.tool)
    except registry.UnknownTool:
        return None


def _timeout_of(node: NodeSpec, found: FoundChild, deadline: datetime | None) -> str:
    """When a subgraph that begins now has used up its time: the step's, its own, or that of all attempts together."""
    now = datetime.now(UTC)
    limits_s = [limit_s for limit_s in (node.timeout_s, found.plan.limits.timeout_s) if limit_s is not None]
    moments = [now + timedelta(seconds=limit_s) for limit_s in limits_s]
    if deadline is not None:
        moments.append(deadline)
    return min(moments).isoformat() if moments else ""
