"""Two definitions, place by place."""

from typing import Any

import pytest

from graphs.diff import Difference, differences

OLD = {"name": "review", "nodes": {"a": {"tool": "x", "next": ["b", "c"]}, "b": {"tool": "y"}}}


def test_equal_definitions_have_no_difference() -> None:
    assert differences(OLD, {**OLD}) == []


def test_each_place_that_differs_is_named_once() -> None:
    new = {"name": "review", "nodes": {"a": {"tool": "z", "next": ["c", "b"]}, "c/d": {"tool": "y"}}}
    assert differences(OLD, new) == [
        Difference(path="/nodes/a/next", change="changed", old=["b", "c"], new=["c", "b"]),
        Difference(path="/nodes/a/tool", change="changed", old="x", new="z"),
        Difference(path="/nodes/b", change="removed", old={"tool": "y"}),
        Difference(path="/nodes/c~1d", change="added", new={"tool": "y"}),
    ]


@pytest.mark.parametrize(("old", "new"), [(1, True), (1, 1.0), (0, False), (None, {}), ({}, []), ("1", 1)])
def test_values_of_unlike_types_differ(old: Any, new: Any) -> None:
    assert differences({"v": old}, {"v": new}) == [Difference(path="/v", change="changed", old=old, new=new)]
