"""Discriminators and partial joins: the first, or the first N, go on."""

import pytest

from runs.engine.simulate import At
from tests.support.patterns import endings, play, play_shuffled, span, starts, taking


def test_wcp09_the_first_branch_goes_on_and_the_others_run_to_their_end_and_are_ignored():
    result = play(9, {"turns": 1}, tools=taking(fast=1, slow=9))
    assert starts(result, "quote") == [1]
    assert span(result, "slow") == (0, 9)
    assert endings(result, "slow") == ["completed"]


@pytest.mark.parametrize(("fast_s", "slow_s"), [(1, 9), (5, 6), (9, 1)])
def test_wcp09_in_the_next_turn_the_join_works_anew_and_a_straggler_does_not_fire_it(fast_s, slow_s):
    result = play_shuffled(9, {"turns": 3}, tools=taking(fast=fast_s, slow=slow_s))
    first_s = min(fast_s, slow_s)
    assert starts(result, "quote") == [first_s, 2 * first_s, 3 * first_s]
    assert set(endings(result, "fast", "slow")) == {"completed"}


def test_wcp28_a_round_that_is_triggered_before_all_have_arrived_is_held_back_until_they_have():
    signals = [At(0, "delegation", "first"), At(2, "delegation", "second")]
    result = play_shuffled(28, signals=signals, tools=taking(ambassador=1, president=9))
    assert starts(result, "welcome") == [1, 10]
    assert starts(result, "ambassador") == [0, 9]
    assert result.state["welcomed"] == ["first", "second"]


def test_wcp28_each_round_is_welcomed_once_whenever_the_worker_dies():
    signals = [At(0, "delegation", "first"), At(2, "delegation", "second")]
    result = play_shuffled(28, signals=signals, kill_at="everywhere")
    assert result.state["welcomed"] == ["first", "second"]


@pytest.mark.parametrize(("archive_s", "expert_s", "source"), [(1, 9, "archive"), (9, 1, "expert")])
def test_wcp29_the_first_branch_goes_on_and_the_others_are_cancelled(archive_s, expert_s, source):
    result = play_shuffled(29, tools=taking(archive=archive_s, expert=expert_s))
    assert result.state == {"answer": f"from the {source}"}
    assert starts(result, "answer") == [1]
    assert sorted(endings(result, "archive", "expert")) == ["cancelled", "completed"]
    assert result.duration_s == 1


def test_wcp30_the_first_two_go_on_and_the_third_is_ignored():
    result = play_shuffled(30, tools=taking(finance=3, legal=9, safety=1))
    assert starts(result, "build") == [3]
    assert endings(result, "legal") == ["completed"]
    assert result.step("build").saw["approvals"] == result.state["approvals"] == ["finance", "safety"]
    assert result.duration_s == 9


def test_wcp31_a_round_that_is_triggered_before_all_have_arrived_is_held_back_until_they_have():
    signals = [At(0, "ship", "Aurora"), At(1, "ship", "Borealis")]
    result = play_shuffled(31, signals=signals, tools=taking(manifest=2, customs=1, health=7))
    assert starts(result, "unload") == [2, 9]
    assert starts(result, "customs") == [0, 7]
    assert result.state["unloaded"] == ["Aurora", "Borealis"]


def test_wcp32_the_first_two_go_on_and_the_third_is_cancelled():
    result = play_shuffled(32, tools=taking(north=3, east=9, south=1))
    assert starts(result, "return") == [3]
    assert endings(result, "north", "east", "south") == ["completed", "cancelled", "completed"]
    assert result.state == {"found": ["north", "south"]}
    assert result.duration_s == 3
