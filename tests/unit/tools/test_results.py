import math

import pytest

from tools import Command, Send
from tools.errors import ToolResultError
from tools.results import check_result, packed, unpacked
from tools.strict_json import JsonInvalid

LIMITS = {"max_bytes": 1_000, "max_depth": 8}


@pytest.mark.parametrize("value", [None, {}, {"a": (1, 2)}, [1], "text", 1.5, True])
def test_json_comes_out_plain(value):
    assert check_result(value, **LIMITS) == ({"a": [1, 2]} if value == {"a": (1, 2)} else value)


def test_the_checked_result_is_independent_of_what_the_tool_keeps():
    kept = {"a": [1]}
    checked = check_result(Command(update=kept, set=kept), **LIMITS)
    kept["a"].append(2)
    assert checked.update == checked.set == {"a": [1]}


def test_a_command_is_normalised():
    command = Command(update={"a": (1,)}, set={"b": 2}, delete=["c"], goto=["x", Send("y", {"item": (1,)})])
    assert check_result(command, **LIMITS) == Command(
        update={"a": [1]}, set={"b": 2}, delete=("c",), goto=[Send("x"), Send("y", {"item": [1]})]
    )
    assert check_result(Command(goto="x"), **LIMITS).targets == (Send("x"),)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": math.nan}, "/a"),
        (Command(update={"a": {1}}), "/a"),
        (Command(set={"a": [math.inf]}), "/a/0"),
        (Command(goto=[Send("x", {"a": object()})]), "/a"),
        (Command(delete=["a", "\ud800"]), "/1"),
        (Command(goto="\x00"), ""),
        ({"a": "x" * 1_000}, ""),
        (Command(set={"a": "x" * 1_000}), ""),
    ],
)
def test_what_json_cannot_hold_is_refused_with_its_path(value, path):
    with pytest.raises(JsonInvalid) as caught:
        check_result(value, **LIMITS)
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (Command(update=[1]), r"Command\(update=…\) was given a value of type list; give an object of state keys\."),
        (Command(set="a"), r"Command\(set=…\) was given a value of type str"),
        (Command(delete="key"), r"Command\(delete=…\) was given a value of type str; give a list of state keys\."),
        (Command(delete=[1]), r"Command\(delete=…\)"),
        (Command(delete=None), r"Command\(delete=…\)"),
        (Command(goto=[1]), r"Command\(goto=…\) was given a value of type int"),
        (Command(goto=5), r"Command\(goto=…\) was given a value of type int"),
        (Command(goto=Send(1)), r"Command\(goto=…\) was given a value of type Send"),
        (Command(goto=Send("x", [1])), r"Command\(goto=Send=…\) was given a value of type list"),
    ],
)
def test_a_command_with_wrong_parts_is_refused_in_a_sentence(command, sentence):
    with pytest.raises(ToolResultError, match=sentence):
        check_result(command, **LIMITS)


def test_the_targets_of_a_command_are_sends_in_order():
    assert Command(goto="x").targets == Command(goto=Send("x")).targets == (Send("x"),)
    assert Command(goto=["x", Send("y", {"a": 1})]).targets == (Send("x"), Send("y", {"a": 1}))
    assert Command().targets == Command(goto=[]).targets == ()


@pytest.mark.parametrize("goto", [None, [], [Send("x", {"a": 1})]])
def test_whether_a_command_says_where_to_go_is_kept(goto):
    checked = check_result(Command(goto=goto), **LIMITS)
    assert checked.goto == unpacked(packed(checked)).goto == goto
