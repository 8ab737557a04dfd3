"""The reducers by themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.plan import ReducerError, UnknownReducer, find_reducer
from tests.unit.engine.driving import compiled
from tools import reducer, registry

Json = Any
NUMBERS = st.one_of(st.integers(-(2**40), 2**40), st.floats(-1e6, 1e6))
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text(max_size=2))
UPDATES: dict[str, st.SearchStrategy[Json]] = {
    "append": SCALARS,
    "extend": st.lists(SCALARS, max_size=3),
    "union": st.lists(SCALARS, max_size=3),
    "merge": st.dictionaries(st.sampled_from("abc"), SCALARS),
    "add": NUMBERS,
    "max": NUMBERS,
    "min": NUMBERS,
}


def fold(name: str, value: Json, *updates: Json) -> Json:
    return find_reducer(name).fold(value, updates)


@pytest.mark.parametrize(
    ("name", "value", "updates", "result"),
    [
        ("append", None, [1], [1]),
        ("append", [1], [[2], 3], [1, [2], 3]),
        ("extend", [1], [[2, 3], [4]], [1, 2, 3, 4]),
        ("union", [1, 2], [[2, 3], [1, 4]], [1, 2, 3, 4]),
        ("union", [1], [[True, 1.0, "1"]], [1, True, 1.0, "1"]),
        ("union", [{"a": 1, "b": 2}], [[{"b": 2, "a": 1}]], [{"a": 1, "b": 2}]),
        ("merge", {"a": 1, "b": {"x": 1}}, [{"b": {"y": 2}}], {"a": 1, "b": {"y": 2}}),
        ("add", None, [1, 2.5], 3.5),
        ("add", 1, [2], 3),
        ("max", None, [1, 3, 2], 3),
        ("max", 5, [1], 5),
        ("min", "b", ["a", "c"], "a"),
    ],
)
def test_a_reducer_combines(name: str, value: Json, updates: list[Json], result: Json) -> None:
    combined = fold(name, value, *updates)
    assert combined == result
    assert repr(combined) == repr(result)


@pytest.mark.parametrize(
    ("name", "value", "update", "message"),
    [
        ("append", "text", 1, "append needs a list, not a string"),
        ("extend", [1], 2, "extend needs a list, not a number"),
        ("union", [1], {"a": 1}, "union needs a list, not an object"),
        ("merge", [], {"a": 1}, "merge needs an object, not a list"),
        ("add", True, 1, "add needs a number, not a boolean"),
        ("add", 2**63 - 1, 1, "too large"),
        ("add", 1e308, 1e308, "too large"),
        ("max", 1, "a", "max needs numbers or strings, not a string and number"),
        ("min", None, [1], "min needs numbers or strings, not a list"),
    ],
)
def test_a_reducer_refuses_what_it_cannot_combine(name: str, value: Json, update: Json, message: str) -> None:
    with pytest.raises(ReducerError, match=message):
        fold(name, value, update)


@pytest.mark.parametrize("name", UPDATES)
@given(data=st.data())
def test_folding_at_once_is_folding_one_by_one(name: str, data: st.DataObject) -> None:
    updates = data.draw(st.lists(UPDATES[name], min_size=2, max_size=4))
    one_by_one: Json = None
    for update in updates:
        one_by_one = fold(name, one_by_one, update)
    assert repr(fold(name, None, *updates)) == repr(one_by_one)


@pytest.mark.parametrize("name", UPDATES)
@given(data=st.data())
def test_a_reducer_that_claims_to_be_commutative_is(name: str, data: st.DataObject) -> None:
    updates = data.draw(st.lists(UPDATES[name], min_size=2, max_size=4))
    shuffled = data.draw(st.permutations(updates))
    if find_reducer(name).is_commutative(None, updates):
        assert repr(fold(name, None, *updates)) == repr(fold(name, None, *shuffled))


@pytest.mark.parametrize("name", UPDATES)
@given(data=st.data())
def test_a_reducer_changes_neither_value_nor_updates(name: str, data: st.DataObject) -> None:
    value = fold(name, None, data.draw(UPDATES[name]))
    updates = data.draw(st.lists(UPDATES[name], min_size=1, max_size=3))
    before = repr((value, updates))
    fold(name, value, *updates)
    assert repr((value, updates)) == before


def test_sums_of_floats_are_not_commutative_and_sums_of_integers_are() -> None:
    add = find_reducer("add")
    assert add.is_commutative(1, [2, 3])
    assert not add.is_commutative(1, [2, 0.1])
    assert not add.is_commutative(0.1, [2, 3])


def test_a_reducer_of_an_application_is_found_by_name_and_version() -> None:
    @reducer("longest_of_tests", version=2)
    def longest(value: Json, updates: list[Json]) -> Json:
        return max([value or "", *updates], key=len)

    assert fold("longest_of_tests@2", None, "a", "abc", "b") == "abc"
    with pytest.raises(UnknownReducer):
        find_reducer("longest_of_tests@1")
    with pytest.raises(ValueError, match="registered already"):
        reducer("longest_of_tests", version=2)(max)


def test_an_unknown_reducer_is_refused_with_those_that_there_are() -> None:
    @reducer("shortest_of_tests", version=1)
    def shortest(value: Json, updates: list[Json]) -> Json:
        return min([value, *updates], key=len)

    with pytest.raises(
        UnknownReducer, match=r'Did you mean "shortest_of_tests@1"\? There are replace, append, extend,'
    ):
        find_reducer("shortest_of_tests")


def test_a_reducer_is_looked_for_in_the_modules_of_tools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code = "from tools import reducer\nreducer('found_in_a_module', version=1)(lambda value, updates: updates[-1])\n"
    (tmp_path / "module_with_a_reducer.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_current", registry.Registry(lambda: ["module_with_a_reducer"]))
    assert fold("found_in_a_module@1", None, 1, 2) == 2


def test_a_reducer_of_an_application_gets_copies_and_must_give_json() -> None:
    @reducer("careless_of_tests", version=1)
    def careless(value: Json, updates: list[Json]) -> Json:
        if updates == ["crash"]:
            raise ZeroDivisionError("by zero")
        value.append(object() if updates == ["object"] else updates[0])
        return value

    state = [1]
    assert fold("careless_of_tests@1", state, 2) == [1, 2]
    assert state == [1]
    with pytest.raises(ReducerError, match="careless_of_tests@1 failed: JsonInvalid"):
        fold("careless_of_tests@1", state, "object")
    with pytest.raises(ReducerError, match="ZeroDivisionError: by zero"):
        fold("careless_of_tests@1", state, "crash")


def test_a_reducer_of_an_application_says_nothing_of_a_key_that_is_secret() -> None:
    @reducer("talkative_of_tests", version=1)
    def talkative(value: Json, updates: list[Json]) -> Json:
        if updates[0] == "canary":
            raise ValueError(f"not {updates[0]}")
        return updates[0]

    properties = {"pin": {"type": "string", "writeOnly": True}, "list": {"items": {"writeOnly": True}}, "plain": {}}
    names = dict.fromkeys(("pin", "plain", "token"), "talkative_of_tests@1") | {"list": "append"}
    schema = {"properties": {**properties, "token": {}}, "patternProperties": {"^tok": {"writeOnly": True}}}
    plan = compiled({"s": {}}, state={"schema": schema, "reducers": names})
    assert plan.reducers["pin"].fold(None, ["robin"]) == "robin"
    for key in ("pin", "token"):
        with pytest.raises(ReducerError, match="talkative_of_tests@1 failed, and why may be secret") as raised:
            plan.reducers[key].fold(None, ["canary"])
        assert raised.value.__suppress_context__, "a traceback has no words of it either"
    with pytest.raises(ReducerError, match="append needs a list, not a string"):
        plan.reducers["list"].fold("canary", ["more"])
    with pytest.raises(ReducerError, match="ValueError: not canary"):
        plan.reducers["plain"].fold(None, ["canary"])
