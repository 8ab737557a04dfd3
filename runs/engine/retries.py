"""Whether a failed attempt is followed by another, and when.

Every exception that a tool raises is worth another attempt, but what the engine refuses is not: arguments that do not
fit, expressions without a value, routes, limits. A tool that names its exceptions (`retryable=`) narrows that down, and
a node's `retry.on` has the last word. An error may say itself when to come back (`retry_after`).
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from graphs.errors import GraphsError
from graphs.spec import RetrySpec
from runs.engine.attempts import failures_counted, heartbeat_of
from runs.engine.events import AttemptFailed, Json, Outcome, RunPaused, StepFailed
from runs.engine.state import RunState
from tools.base import Tool
from tools.errors import ToolsError

NO_RETRY = (RetrySpec(),)
MAX_RETRY_AFTER_S = 7 * 24 * 3600.0
"""What a tool's error may ask for at most."""
MAX_EXPONENT = 100
"""A float has an end."""

_NEVER = (ToolsError, GraphsError)


class DeadlineExceeded(TimeoutError):
    """All attempts of a step together took too long."""


def retrying(policies: Sequence[RetrySpec], tool: Tool | None, error: BaseException) -> int | None:
    """The place of the policy by which another attempt makes sense after this error; None if there is none."""
    return next((n for n, policy in enumerate(policies or NO_RETRY) if is_retryable(policy, tool, error)), None)


def matching(policies: Sequence[RetrySpec], names: Collection[str]) -> int | None:
    """The same for a failure that goes by these names."""
    return next((n for n, policy in enumerate(policies or NO_RETRY) if matches(policy, names)), None)


def is_retryable(policy: RetrySpec, tool: Tool | None, error: BaseException) -> bool:
    """Whether another attempt makes sense after this error."""
    if isinstance(error, _NEVER):
        return False
    if policy.on is not None:
        return matches(policy, [cls.__name__ for cls in type(error).__mro__])
    if tool is not None and tool.retryable is not None:
        return isinstance(error, tool.retryable)
    return isinstance(error, Exception)


def matches(policy: RetrySpec, names: Collection[str]) -> bool:
    """Whether a failure that goes by these names is one of those which the policy names, if it names any."""
    return policy.on is None or any(name in policy.on for name in names)


def next_at(
    policy: RetrySpec, *, failures: int, now: datetime, deadline: datetime | None, asked_for_s: float = 0.0
) -> datetime | None:
    """When the next attempt is due; None if there is none left, or it would come after the step's `deadline`.

    `failures` counts the attempts that have failed, the last one included, which was `now`.
    """
    if failures >= policy.max_attempts:
        return None
    at = now + timedelta(seconds=max(pause_s(policy, failures), asked_for_s))
    return None if deadline is not None and at >= deadline else at


def what_follows(
    state: RunState,
    failed: StepFailed,
    policies: Sequence[RetrySpec],
    place: int,
    *,
    now: datetime,
    deadline: datetime | None,
    asked_for_s: float = 0.0,
    heartbeat: Json = None,
) -> tuple[Outcome, ...]:
    """What a failure, which was `now`, is by the policy at that place: in order, what the engine is to take in.

    Each policy counts the failures that it allows for, and no others.
    A step that has used up its attempts may pause the run, which then holds the next one. An attempt without a
    heartbeat leaves the one before.
    """
    policy = (policies or NO_RETRY)[place]
    failures = failures_counted(state, failed.step, place) + 1
    at = next_at(policy, failures=failures, now=now, deadline=deadline, asked_for_s=asked_for_s)
    pauses = at is None and policy.on_exhausted == "pause"
    if at is None and not pauses:
        return (failed,)
    next_attempt = AttemptFailed(
        step=failed.step,
        attempt=failed.attempt,
        error=failed.error,
        retry_at="" if at is None else at.isoformat(),
        heartbeat=heartbeat_of(state, failed.step) if heartbeat is None else heartbeat,
        policy=place,
    )
    if not pauses:
        return (next_attempt,)
    reason = f'The step at "{state.branches[failed.step].node_plan.name}" failed {failures} times.'
    return next_attempt, RunPaused(reason=reason, held=(failed.step,))


def pause_s(policy: RetrySpec, failures: int) -> float:
    """The pause after so many failures; with jitter somewhere between half of it and all."""
    grown = policy.initial_interval_s * policy.backoff_factor ** min(failures - 1, MAX_EXPONENT)
    longest = min(grown, policy.max_interval_s)
    return random.uniform(longest / 2, longest) if policy.jitter else longest  # noqa: S311 - it spreads load


def asked_for_s(error: BaseException, *, now: datetime) -> float:
    """The pause that an error's `retry_after` asks for: seconds, a timedelta, or an aware moment. Else none."""
    try:
        return _seconds_of(getattr(error, "retry_after", None), now)
    except BaseException:  # it may be a property, which is a tool's code, too
        return 0.0


def _seconds_of(wanted: object, now: datetime) -> float:
    if isinstance(wanted, datetime) and wanted.tzinfo is not None:
        wanted = wanted - now
    if isinstance(wanted, timedelta):
        wanted = wanted.total_seconds()
    if isinstance(wanted, bool) or not isinstance(wanted, int | float) or not wanted > 0:
        return 0.0
    return float(min(wanted, MAX_RETRY_AFTER_S))  # in this order: not every integer is a float
