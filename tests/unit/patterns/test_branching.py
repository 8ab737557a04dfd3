"""Patterns of branching and synchronization: how branches part and meet."""

from itertools import product

import pytest

from tests.support.patterns import play, play_shuffled, span, starts, taking

TEAMS = {"has_fire": "fire_engine", "has_injured": "ambulance", "has_crime": "police"}
CALLS = [dict(zip(TEAMS, flags, strict=True)) for flags in product([False, True], repeat=3)]


def test_wcp01_each_task_starts_when_the_one_before_it_has_completed():
    result = play(1, tools=taking(take=1, pack=2, ship=3))
    assert [span(result, node) for node in ("take", "pack", "ship")] == [(0, 1), (1, 3), (3, 6)]
    assert play_shuffled(1, kill_at="everywhere").ran == ["take", "pack", "ship"]


def test_wcp02_both_branches_run_at_the_same_time():
    result = play(2, tools=taking(register=1, check=5, tell=5))
    assert span(result, "check") == span(result, "tell") == (1, 6)
    assert play_shuffled(2, kill_at="everywhere").status == "completed"


@pytest.mark.parametrize("times_s", [{"invoice": 2, "parcel": 7}, {"invoice": 7, "parcel": 2}])
def test_wcp03_the_next_task_starts_once_when_the_last_branch_has_completed(times_s):
    result = play(3, tools=taking(**times_s))
    assert starts(result, "send") == [7]
    assert play_shuffled(3, tools=taking(**times_s), kill_at="everywhere").ran.count("send") == 1


@pytest.mark.parametrize(("weight_kg", "chosen"), [(1, "letter"), (30, "parcel"), (31, "freight")])
def test_wcp04_exactly_one_branch_is_chosen_by_the_data(weight_kg, chosen):
    assert play_shuffled(4, {"weight_kg": weight_kg}, kill_at="everywhere").ran == ["weigh", chosen]


@pytest.mark.parametrize(("pays_cash", "way"), [(True, "cash"), (False, "card")])
def test_wcp05_whichever_branch_came_the_next_task_runs_without_waiting_for_the_other(pays_cash, way):
    assert play_shuffled(5, {"pays_cash": pays_cash}, kill_at="everywhere").ran == ["bill", way, "receipt"]


@pytest.mark.parametrize("call", CALLS)
def test_wcp06_every_branch_whose_condition_holds_is_chosen(call):
    chosen = [team for flag, team in TEAMS.items() if call[flag]]
    assert play_shuffled(6, call, kill_at="everywhere").ran == ["call", *(chosen or ["advise"])]


@pytest.mark.parametrize("call", CALLS)
def test_wcp07_the_join_waits_for_exactly_the_branches_that_were_chosen(call):
    times_s = {"fire_engine": 5, "ambulance": 3, "police": 9}
    chosen = [team for flag, team in TEAMS.items() if call[flag]]
    result = play_shuffled(7, call, tools=taking(**times_s), kill_at="everywhere")
    assert result.ran == ["call", *chosen, "report"]
    assert starts(result, "report") == [max([0, *(times_s[team] for team in chosen)])]


def test_wcp08_the_task_runs_once_for_each_branch_that_arrives():
    result = play(8, tools=taking(foundations=1, walls=4, roof=9, inspect=10))
    assert starts(result, "inspect") == [1, 4, 9]
    assert play_shuffled(8, kill_at="everywhere").ran.count("inspect") == 3


def test_wcp33_a_set_is_taken_when_it_is_complete_and_what_is_too_many_waits_for_its_match(deliver):
    signals = deliver(keyboard=[1, 2], screen=[5, 9])
    result = play(33, signals=signals)
    assert starts(result, "ship") == [5, 9]
    assert result.state["shipped"] == [["keyboard 1", "screen 5"], ["keyboard 2", "screen 9"]]
    assert play_shuffled(33, signals=signals, kill_at="everywhere").state == result.state


def test_wcp33_what_has_no_match_fires_nothing(deliver):
    result = play(33, signals=deliver(keyboard=[1, 2], screen=[5]))
    assert (starts(result, "ship"), result.waits_at) == ([5], ["screen"])


@pytest.mark.parametrize(
    ("state", "ran"),
    [
        ({}, ["hotel", "flight", "book"]),
        ({"wants_flight": False}, ["hotel", "book"]),
        ({"is_booked_out": True}, ["hotel", "flight", "book"]),
        ({"is_booked_out": True, "wants_flight": False}, ["hotel"]),
        ({"needs_visa": True}, ["hotel", "flight", "visa", "insure", "book"]),
        ({"needs_visa": True, "wants_hotel": False}, ["flight", "visa", "insure", "book"]),
        ({"wants_hotel": False, "wants_flight": False}, []),
    ],
)
def test_wcp37_the_join_runs_once_with_all_that_are_active_wherever_they_come_from(state, ran):
    times_s = {"hotel": 2, "flight": 1, "visa": 3, "insure": 4}
    result = play_shuffled(37, state, tools=taking(**times_s), kill_at="everywhere")
    assert sorted(result.ran) == sorted(["start", *ran])
    if "book" in ran:
        ends = [result.step(node).ended_at_s for node in ran if node != "book"]
        assert starts(result, "book") == [max(ends)]


@pytest.mark.parametrize("has_picture", [True, False])
@pytest.mark.parametrize(("text_s", "picture_s"), [(1, 9), (5, 1)])
def test_wcp38_the_join_waits_while_a_branch_in_a_cycle_can_still_come(has_picture, text_s, picture_s):
    tools = taking(text=text_s, picture=picture_s)
    result = play_shuffled(38, {"has_picture": has_picture}, tools=tools, kill_at="everywhere")
    first = max(3 * text_s, picture_s)
    assert starts(result, "edit") == [first, first + max(text_s, picture_s)]
    assert (result.ran.count("text"), result.ran.count("picture"), result.ran[-1]) == (4, 2, "print")


def test_wcp41_three_threads_of_one_branch_become_one():
    result = play_shuffled(41, kill_at="everywhere")
    assert result.ran == ["begin", "check", "check", "check", "report"]


def test_wcp42_one_thread_becomes_three_on_the_same_branch():
    result = play_shuffled(42, kill_at="everywhere")
    assert (result.ran.count("ballot"), result.ran.count("count"), result.state) == (3, 3, {"votes": 3})
