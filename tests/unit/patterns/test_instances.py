"""Patterns of multiple instances: one task, several times at once."""

import pytest

from runs.engine.simulate import At
from tests.support.patterns import endings, play, play_shuffled, span, starts, taking


def test_wcp12_instances_run_while_the_branch_that_started_them_goes_on():
    result = play(12, tools=taking(note=9, fine=1))
    assert starts(result, "note") == [0, 0, 0]
    assert span(result, "fine") == (0, 1)
    assert (result.status, result.duration_s) == ("completed", 9)
    assert play_shuffled(12, {"cameras": []}, kill_at="everywhere").ran == ["offence", "cameras", "fine"]


def test_wcp13_as_many_instances_run_as_the_graph_says_and_all_are_waited_for():
    result = play_shuffled(13, tools=taking(sign=lambda values: values["signature"]), kill_at="everywhere")
    assert starts(result, "sign") == [0] * 6
    assert starts(result, "publish") == [6]
    assert result.state == {"signatures": [1, 2, 3, 4, 5, 6]}


@pytest.mark.parametrize("hours", [[], [5], [1, 2, 3, 4]])
def test_wcp14_as_many_instances_run_as_the_data_says_and_all_are_waited_for(hours):
    state = {"parts": [{"name": "part", "hours": one} for one in hours]}
    tools = taking(assess=lambda values: values["damage"] / 80)
    result = play_shuffled(14, state, tools=tools, kill_at="everywhere")
    assert starts(result, "assess") == [0] * len(hours)
    assert starts(result, "settle") == [max([0, *hours])]
    assert result.state["total"] == 80 * sum(hours)


def test_wcp15_instances_are_added_while_others_run_and_all_are_waited_for():
    signals = [At(at_s, "transport", f"load {at_s}") for at_s in (0, 2, 4)] + [At(5, "that was all")]
    result = play_shuffled(15, signals=signals, tools=taking(ship=10))
    assert starts(result, "ship") == [0, 2, 4]
    assert starts(result, "assemble") == [14]
    assert result.state["shipped"] == ["load 0", "load 2", "load 4"]
    assert play_shuffled(15, signals=signals, kill_at="everywhere").state["shipped"] == result.state["shipped"]


def test_wcp15_while_more_may_come_nothing_goes_on():
    result = play(15, signals=[At(0, "transport", "load")])
    assert (starts(result, "assemble"), result.waits_at) == ([], ["order"])


def test_wcp26_all_instances_that_run_are_withdrawn_and_the_case_goes_on():
    result = play_shuffled(26, signals=[At(3, "call off")], tools=taking(test=9))
    assert endings(result, "test") == ["cancelled"] * 3
    assert starts(result, "over") == [3]
    assert (result.status, result.state["results"]) == ("completed", [])


def test_wcp26_without_the_signal_all_instances_complete():
    result = play_shuffled(26, tools=taking(test=9))
    assert starts(result, "over") == [9]
    assert result.state["results"] == ["actin tested", "myosin tested", "titin tested"]


REVIEW_S = {"by ann": 1, "by bob": 20, "by cem": 30}
REVIEWING = taking(review=lambda values: REVIEW_S[values["review"]])


def test_wcp27_at_the_deadline_the_rest_is_withdrawn_and_the_results_so_far_are_kept():
    result = play_shuffled(27, {"patience_s": 10}, tools=REVIEWING)
    assert endings(result, "review") == ["completed", "cancelled", "cancelled"]
    assert starts(result, "decide") == [10]
    assert result.state["reviews"] == ["by ann", None, None]


def test_wcp27_a_signal_lets_off_one_instance():
    one = play(27, tools=REVIEWING, signals=[At(5, "let off")])
    assert (starts(one, "decide"), endings(one, "review").count("cancelled")) == ([30], 1)
    both = play(27, tools=REVIEWING, signals=[At(5, "let off"), At(6, "let off")])
    assert starts(both, "decide") == [6]


def examination_s(values):
    return {"a": 9, "b": 1, "c": 3}[values["examined"]]


def test_wcp34_the_first_two_instances_go_on_and_the_others_run_to_their_end():
    result = play_shuffled(34, tools=taking(examine=examination_s))
    assert starts(result, "examine") == [0, 0, 0]
    assert starts(result, "enough") == [3]
    assert endings(result, "examine") == ["completed"] * 3
    assert (result.state["examined"], result.duration_s) == (["b", "c"], 9)


def test_wcp34_fewer_instances_than_are_needed_fail_the_run():
    [error] = play_shuffled(34, {"samples": ["a"]}, kill_at="everywhere").errors
    assert (error.node, error.type) == ("enough", "JoinUnsatisfied")


def test_wcp35_the_first_two_instances_go_on_and_the_others_are_cancelled():
    search_s = {"city": 9, "college": 1, "state": 3}
    result = play_shuffled(35, tools=taking(search=lambda values: search_s[values["found"]]))
    assert starts(result, "order") == [3]
    assert sorted(endings(result, "search")) == ["cancelled", "completed", "completed"]
    assert (result.state["found"], result.duration_s) == (["college", "state"], 3)


def test_wcp36_instances_are_added_and_the_condition_is_asked_after_each_one_that_completes():
    sent = [At(at_s, "transport", f"load {at_s}") for at_s in (0, 1, 2, 5)]
    arrived = [At(at_s, "arrived") for at_s in (3, 4, 6, 7)]
    result = play_shuffled(36, {"share": 0.75}, signals=[*sent, *arrived], kill_at="everywhere")
    assert starts(result, "send_off") == [0, 1, 2, 5]
    assert starts(result, "arrival") == [3, 4, 6]
    assert starts(result, "invoice") == [6]


def test_wcp36_after_the_next_task_has_begun_no_instance_is_added():
    signals = [At(0, "transport", "load"), At(1, "arrived"), At(2, "transport", "late"), At(2, "arrived")]
    result = play(36, signals=signals)
    assert (result.status, result.ran) == ("completed", ["rig", "send_off", "rig", "arrival", "invoice"])
