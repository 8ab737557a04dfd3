"""Patterns of cancellation and termination."""

import pytest

from runs.engine.simulate import At
from tests.support.patterns import endings, play_shuffled, span, starts, taking


def test_wcp11_the_case_ends_when_its_last_branch_has_ended():
    result = play_shuffled(11, tools=taking(file=2, pay=3, tell=4), kill_at="everywhere")
    assert (result.status, result.duration_s) == ("completed", 7)
    assert (span(result, "file"), span(result, "tell")) == ((0, 2), (3, 7))


def test_wcp19_a_task_that_runs_is_withdrawn_and_the_case_goes_on():
    result = play_shuffled(19, signals=[At(3, "withdraw")], tools=taking(offer=1, assess=10))
    assert endings(result, "assess") == ["cancelled"]
    assert (starts(result, "settle"), result.state) == ([3], {"is_assessed": False})
    assert (result.status, result.duration_s) == ("completed", 3)


def test_wcp19_a_task_that_was_withdrawn_before_it_began_does_not_delay_the_case():
    result = play_shuffled(19, signals=[At(0, "withdraw")], tools=taking(offer=1, assess=10))
    assert endings(result, "assess") == ["cancelled"]
    assert (result.state, result.duration_s) == ({"is_assessed": False}, 1)


def test_wcp19_a_task_that_completes_first_cannot_be_withdrawn_any_more():
    result = play_shuffled(19, signals=[At(30, "withdraw")], tools=taking(assess=10))
    assert endings(result, "assess", "withdrawn") == ["completed", "cancelled"]
    assert result.state == {"is_assessed": True}


def test_wcp20_the_case_is_removed_with_all_that_runs_in_it():
    result = play_shuffled(20, cancel_at_s=5, tools=taking(value=9, ask=9))
    assert (result.status, result.duration_s) == ("cancelled", 5)
    assert endings(result, "value", "ask", "signature") == ["cancelled"] * 4
    assert starts(result, "decide") == []


def test_wcp20_a_case_that_nobody_cancels_is_decided():
    result = play_shuffled(20, signals=[At(5, "signed")], kill_at="everywhere")
    assert (result.status, starts(result, "decide")) == ("completed", [5])


@pytest.mark.parametrize(
    ("refused_at_s", "withdrawn"), [(1, {"badge", "escort"}), (5, {"photo", "escort"}), (8, {"photo"})]
)
def test_wcp25_the_tasks_of_the_region_are_withdrawn_together_and_the_rest_goes_on(refused_at_s, withdrawn):
    tools = taking(badge=4, photo=9, escort=6, guard=20)
    result = play_shuffled(25, signals=[At(refused_at_s, "refuse")], tools=tools)
    assert {step.node for step in result.steps if step.ending == "cancelled"} == withdrawn
    assert (starts(result, "over"), starts(result, "ready")) == ([refused_at_s], [])
    assert endings(result, "guard") == ["completed"]
    assert (result.status, result.state) == ("completed", {"is_ready": False})


def test_wcp25_a_region_that_completes_cannot_be_withdrawn_any_more():
    result = play_shuffled(25, signals=[At(99, "refuse")], kill_at="everywhere")
    assert (result.state, result.duration_s) == ({"is_ready": True}, 0)


@pytest.mark.parametrize(
    ("signals", "bids_s", "over_at_s"),
    [([At(100, "buy now")], 10**6, 100), ([], 200, 200), ([At(10**6, "buy now")], 200, 200)],
)
def test_wcp43_the_case_ends_when_the_node_is_reached_and_what_else_runs_is_cancelled(signals, bids_s, over_at_s):
    tools = taking(bids=bids_s)
    result = play_shuffled(43, signals=signals, tools=tools, default_timeout_s=10**7)
    assert (result.status, result.duration_s) == ("completed", over_at_s)
    assert starts(result, "over") == [over_at_s]
    assert endings(result, "bids", "buy", "advertise").count("cancelled") == 2
