"""Patterns of state: what may run depends on where the case is, and on what the world does."""

import pytest

from runs.engine.simulate import At
from tests.support.patterns import endings, play_shuffled, starts, taking


@pytest.mark.parametrize(
    ("signals", "chosen", "at_s"),
    [
        ([At(5, "agent takes it"), At(9, "manager takes it")], "answer", 5),
        ([At(9, "agent takes it"), At(5, "manager takes it")], "call", 5),
        ([], "escalate", 86400),
        ([At(86401, "agent takes it")], "escalate", 86400),
    ],
)
def test_wcp16_the_event_that_comes_first_chooses_and_the_others_are_withdrawn(signals, chosen, at_s):
    result = play_shuffled(16, signals=signals, kill_at="everywhere")
    assert result.ran == ["complaint", "choose", chosen]
    assert starts(result, chosen) == [at_s]


def test_wcp18_the_task_runs_while_the_case_is_in_the_state_and_does_not_end_it():
    signals = [At(2, "change"), At(3, "change"), At(5, "issue")]
    result = play_shuffled(18, signals=signals, tools=taking(book=1, change=9))
    assert starts(result, "change") == [2, 3]
    assert starts(result, "issue") == [5]
    assert set(endings(result, "change")) == {"completed"}


def test_wcp18_before_the_state_the_task_waits_and_after_it_it_never_runs():
    signals = [At(0, "change"), At(5, "issue"), At(6, "change")]
    result = play_shuffled(18, signals=signals, tools=taking(book=1, issue=9))
    assert starts(result, "change") == [1]
    assert result.status == "completed"
