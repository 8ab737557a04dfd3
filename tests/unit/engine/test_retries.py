"""Whether a failed attempt is followed by another, and when."""

import sys
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from graphs.errors import GraphsError
from graphs.spec import RetrySpec
from runs.engine import retries
from runs.engine.retries import asked_for_s, is_retryable, matching, next_at, pause_s, retrying
from tools.errors import ToolError, ToolInputError

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
POLICY = RetrySpec(max_attempts=3)


class Asks(Exception):
    def __init__(self, retry_after: Any) -> None:
        super().__init__("later")
        self.retry_after = retry_after


class Incomparable(int):
    def __gt__(self, other: object) -> bool:
        raise RuntimeError("no order")


class CannotSay(Exception):
    @property
    def retry_after(self) -> float:
        raise KeyError("Retry-After")


class ExitsWhenAsked(Exception):
    @property
    def retry_after(self) -> float:
        sys.exit(3)


@pytest.mark.parametrize(
    ("on", "retryable", "error", "expected"),
    [
        (None, None, ValueError(), True),
        (None, None, ToolError("x"), True),
        (None, None, TimeoutError(), True),
        (None, None, ToolInputError("the arguments do not fit"), False),
        (None, None, GraphsError("no route"), False),
        (None, None, KeyboardInterrupt(), False),
        (None, (TimeoutError, OSError), ConnectionError(), True),
        (None, (TimeoutError,), ValueError(), False),
        (("OSError",), None, ConnectionError(), True),
        (("ConnectionError",), None, OSError(), False),
        (("ValueError",), (TimeoutError,), ValueError(), True),
        (("ValueError",), (TimeoutError,), TimeoutError(), False),
        (("ToolInputError",), None, ToolInputError("x"), False),
    ],
)
def test_what_is_worth_another_attempt(on: Any, retryable: Any, error: BaseException, expected: bool):
    tool: Any = SimpleNamespace(retryable=retryable)
    assert is_retryable(RetrySpec(max_attempts=2, on=on), tool, error) is expected


@pytest.mark.parametrize(
    ("error", "place"), [(ConnectionError(), 0), (TimeoutError(), 0), (ValueError(), 1), (KeyError(), None)]
)
def test_the_first_policy_that_names_the_error_decides(error: BaseException, place: int | None):
    policies = [RetrySpec(on=("OSError",)), RetrySpec(on=("ValueError", "TimeoutError"))]
    assert retrying(policies, None, error) == place
    assert matching(policies, [cls.__name__ for cls in type(error).__mro__]) == place


def test_a_step_without_a_tool_may_be_tried_again_after_any_error():
    assert is_retryable(POLICY, None, ValueError())


def test_the_pause_grows_by_its_factor_up_to_its_bound():
    policy = RetrySpec(max_attempts=9, initial_interval_s=1, backoff_factor=3, max_interval_s=20, jitter=False)
    assert [pause_s(policy, failures) for failures in (1, 2, 3, 4, 5, 1_000)] == [1, 3, 9, 20, 20, 20]


def test_jitter_takes_off_up_to_half_of_it():
    policy = RetrySpec(max_attempts=9, initial_interval_s=8)
    pauses = [pause_s(policy, 1) for _ in range(200)]
    assert 4 <= min(pauses) < 5 < 7 < max(pauses) <= 8


def test_an_attempt_is_due_after_its_pause_as_long_as_one_is_left():
    policy = RetrySpec(max_attempts=3, initial_interval_s=10, jitter=False)
    at = next_at(policy, failures=2, now=NOW, deadline=None)
    assert at == NOW + timedelta(seconds=20)
    assert next_at(policy, failures=3, now=NOW, deadline=None) is None


def test_an_attempt_that_would_come_after_the_deadline_does_not_follow():
    policy = RetrySpec(max_attempts=3, initial_interval_s=10, jitter=False)
    soon, late = (NOW + timedelta(seconds=seconds) for seconds in (5, 60))
    assert next_at(policy, failures=1, now=NOW, deadline=soon) is None
    assert next_at(policy, failures=1, now=NOW, deadline=late) is not None
    assert next_at(policy, failures=1, now=NOW, deadline=late, asked_for_s=90) is None


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (5, 5),
        (2.5, 2.5),
        (timedelta(minutes=1), 60),
        (-1, 0),
        (True, 0),
        ("5", 0),
        (float("nan"), 0),
        (None, 0),
        (datetime(2026, 1, 1), 0),
        (10**9, retries.MAX_RETRY_AFTER_S),
        (10**400, retries.MAX_RETRY_AFTER_S),
        (Incomparable(5), 0),
    ],
)
def test_an_error_may_ask_for_a_pause(wanted: Any, expected: float):
    assert asked_for_s(Asks(wanted), now=NOW) == expected


@pytest.mark.parametrize("error", [CannotSay(), ExitsWhenAsked()])
def test_an_error_that_breaks_when_it_is_asked_asks_for_no_pause(error: Exception):
    assert asked_for_s(error, now=NOW) == 0


def test_an_error_may_name_the_moment():
    assert asked_for_s(Asks(NOW + timedelta(minutes=1)), now=NOW) == 60
