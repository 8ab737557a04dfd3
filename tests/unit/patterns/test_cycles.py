"""Patterns of iteration."""

import pytest

from tests.support.patterns import pattern, play, play_shuffled


@pytest.mark.parametrize(
    ("state", "log"),
    [
        ({}, ["write", "check", "write", "check", "publish"]),
        ({"is_new": False}, ["check", "write", "check", "write", "check", "publish"]),
        ({"is_new": False, "version": 2}, ["check", "publish"]),
        ({"good_at": 9, "given_up_at": 2}, ["write", "check", "write", "give up"]),
    ],
)
def test_wcp10_a_cycle_is_entered_and_left_at_more_than_one_place(state, log):
    assert play_shuffled(10, state, kill_at="everywhere").state["log"] == log


@pytest.mark.parametrize(("paid", "coins"), [(0, 3), (2, 1), (3, 0)])
def test_wcp21_a_condition_before_the_task_may_skip_it(paid, coins):
    assert play_shuffled(21, {"paid": paid}, kill_at="everywhere").ran.count("coin") == coins


@pytest.mark.parametrize(("needed", "prints"), [(0, 1), (1, 1), (4, 4)])
def test_wcp21_a_condition_after_the_task_lets_it_run_at_least_once(needed, prints):
    assert play_shuffled(21, {"needed_prints": needed}, kill_at="everywhere").ran.count("print") == prints


@pytest.mark.parametrize(("n", "factorial"), [(1, 1), (2, 2), (5, 120)])
def test_wcp22_a_graph_calls_itself_for_the_smaller_case(n, factorial):
    graphs = {"wcp-22-recursion": pattern(22)}
    result = play_shuffled(22, {"n": n}, graphs=graphs, kill_at="everywhere")
    assert result.state == {"n": n, "factorial": factorial}


def test_wcp22_a_recursion_without_end_fails_at_the_limit_of_its_depth():
    result = play(22, {"n": 100}, graphs={"wcp-22-recursion": pattern(22)})
    assert result.status == "failed"
    assert "max_depth" in result.errors[0].message
