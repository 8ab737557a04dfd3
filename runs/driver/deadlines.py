"""When the time of a run is used up, that of a step with all its attempts, and that of a step's subgraph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from graphs.plan import Plan
from runs.driver.driven import Driven
from runs.engine.events import Outcome, RunTimedOut, StepId
from runs.store import ClaimedRun, RunWrite

RUN = "run"
"""The owner of the alarm that ends the run's own time; the others belong to steps."""


class Deadlines:
    """The deadlines of one run. Belongs to the event loop's thread."""

    def __init__(
        self,
        driven: Driven,
        *,
        end_run: Callable[[Outcome], None],
        end_child: Callable[[Sequence[Outcome]], None],
    ) -> None:
        """`end_run` takes in that the run's time is over; `end_child` what comes of a subgraph whose time is."""
        self._run = driven.run
        self._state = driven.state
        self._journal = driven.journal
        self._alarms = driven.alarms
        self._settler = driven.settler
        self._end_run = end_run
        self._end_child = end_child
        self._ends_at = _end_of(driven.run, driven.state.root.graph)

    # ---- the run

    def begin(self) -> bool:
        """Whether the run may go on: it is not over, and its time has not run out, which ends it at once."""
        if self._ends_at is not None and self._state.status == "running":
            if self._ends_at <= datetime.now(UTC):
                self._time_out()
            else:
                self._alarms.set(RUN, RUN, self._ends_at, self._time_out)
        return self._state.status == "running"

    def begin_again(self, write: RunWrite) -> None:
        """The run was over, and goes on with all its time before it again."""
        limit_s = self._state.root.graph.limits.timeout_s
        if limit_s is not None:
            write.deadline_at = self._ends_at = write.at + timedelta(seconds=limit_s)
            self._alarms.set(RUN, RUN, self._ends_at, self._time_out)

    def renew(self) -> None:
        """The run goes on as another version, which may have other limits. Its time has not begun yet."""
        self._ends_at = _end_of(self._run, self._state.root.graph)

    def _time_out(self) -> None:
        limit_s = self._state.root.graph.limits.timeout_s
        if limit_s is not None and self._state.status == "running":
            self._end_run(RunTimedOut(limit_s=limit_s))

    # ---- its steps

    def of_step(self, step: StepId) -> datetime | None:
        """When the step has to be over, all its attempts together."""
        branch = self._state.branches.get(step)
        limit_s = None if branch is None else branch.node_plan.spec.deadline_s
        return None if limit_s is None else self._journal.row(step).scheduled_at + timedelta(seconds=limit_s)

    def time_child(self, step: StepId, attempt: int, timeout_at: str) -> None:
        """Let the step's subgraph end when its time is used up."""
        if timeout_at:
            at = datetime.fromisoformat(timeout_at)
            self._alarms.set(step, "subgraph", at, partial(self._child_timed_out, step, attempt))

    def _child_timed_out(self, step: StepId, attempt: int) -> None:
        deadline = self.of_step(step)
        self._end_child(self._settler.time_out_child(self._state, step, attempt, deadline=deadline))


def _end_of(run: ClaimedRun, plan: Plan) -> datetime | None:
    """When the run has used up its time."""
    limit_s = plan.limits.timeout_s
    return None if limit_s is None else run.deadline_at or run.started_at + timedelta(seconds=limit_s)
