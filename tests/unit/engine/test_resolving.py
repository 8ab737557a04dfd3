"""From results to outcomes."""

from __future__ import annotations

from typing import Any

import pytest

from runs.engine import Returned, collect, resolve
from runs.engine.decisions import CollectItem
from runs.engine.events import Failure, ItemCollected, StepCompleted, StepFailed
from tests.unit.engine.driving import LOG, Run

Json = Any
NODES: dict[str, Json] = {"a": {}, "b": {}, "c": {}}


def resolved(node: dict[str, Json], value: Json = None, **options: Json) -> StepCompleted | StepFailed:
    """What the start step's result becomes."""
    command = {key: options.pop(key) for key in ("replace", "delete", "goto") if key in options}
    check = options.pop("check", None)
    run = Run({"s": node, **NODES}, **{"state": {"n": 5, "log": ["x"]}, **options})
    start = run.start("s")
    return resolve(run.state, start.step, 1, Returned(value=value, **command), check=check)


def failure(outcome: StepCompleted | StepFailed) -> Failure:
    assert isinstance(outcome, StepFailed)
    return outcome.error


def when(condition: str, to: str | list[str]) -> dict[str, Json]:
    return {"when": condition, "to": to}


@pytest.mark.parametrize(
    ("route", "targets"),
    [
        (None, ("end",)),
        ("a", ("a",)),
        (["b", "end", "a"], ("b", "end", "a")),
        ({"condition": "n >= 7", "if_true": "a", "if_false": ["b", "c"]}, ("a",)),
        ({"condition": "n < 7", "if_true": "a", "if_false": ["b", "c"]}, ("b", "c")),
        ({"switch": [when("n == 1", "a"), when("n == 7", "b"), when("true", "c")]}, ("b",)),
        ({"switch": [when("n == 1", "a")], "default": "c"}, ("c",)),
        ({"each": [when("n > 1", ["a", "b"]), when("n > 9", "b"), when("n > 2", "c")]}, ("a", "b", "c")),
        ({"each": [when("n > 9", "a")], "default": "b"}, ("b",)),
        ({"each": [when("n > 9", "a")]}, ()),
    ],
)
def test_routes_are_chosen_on_the_state_after_the_update(route: Json, targets: tuple[str, ...]) -> None:
    outcome = resolved({} if route is None else {"next": route}, {"n": 7})
    assert isinstance(outcome, StepCompleted)
    assert outcome.route == targets


@pytest.mark.parametrize(("value", "kind"), [(7, "a number"), ([1], "a list"), ("x", "a string"), (True, "a boolean")])
def test_what_is_no_object_is_called_by_its_name_in_json(value: Json, kind: str) -> None:
    error = failure(resolved({}, value))
    assert error.message == f'"s" gave {kind}; without `outputs` it must give an object of state keys, or nothing.'


def test_a_switch_without_a_match_and_without_a_default_fails() -> None:
    error = failure(resolved({"next": {"switch": [{"when": "n > 9", "to": "a"}]}}))
    assert (error.type, error.message) == ("NoRouteError", 'No case of the switch at "s" is true; add a default.')


def test_a_condition_without_a_value_fails_and_names_itself() -> None:
    error = failure(resolved({"next": {"condition": "m > 1", "if_true": "a", "if_false": "b"}}))
    assert error.type == "ExpressionError"
    assert "m > 1" in error.message


def test_an_expression_that_fails_may_lead_to_the_handler() -> None:
    route = {"condition": "m > 1", "if_true": "a", "if_false": "b"}
    outcome = resolved({"next": route, "on_error": [{"match": "ExpressionError", "to": "c"}]})
    assert isinstance(outcome, StepFailed)
    assert outcome.route == ("c",)


def test_without_outputs_an_object_is_the_update_and_is_not_recorded_twice() -> None:
    assert resolved({}, {"k": 1}) == resolved({}, {"k": 1}, state={})
    outcome = resolved({}, {"k": 1})
    assert isinstance(outcome, StepCompleted)
    assert (outcome.update, outcome.result) == ({"k": 1}, None)


def test_without_outputs_nothing_is_no_update_and_anything_else_fails() -> None:
    outcome = resolved({})
    assert isinstance(outcome, StepCompleted)
    assert outcome.update == {}
    assert failure(resolved({}, [1])).type == "ToolResultError"


def test_outputs_make_the_update_from_the_result_and_the_state_before_it() -> None:
    outputs = {"total": "= n + result.price", "literal": "==x", "log": "= result.name", "n": {"$set": "= result.price"}}
    outcome = resolved({"outputs": outputs}, {"name": "book", "price": 3}, reducers={**LOG, "n": "add"})
    assert isinstance(outcome, StepCompleted)
    assert outcome.update == {"total": 8, "literal": "=x", "log": "book"}
    assert outcome.replace == {"n": 3}
    assert outcome.result == {"name": "book", "price": 3}


def test_a_result_cannot_pretend_to_be_a_set() -> None:
    outcome = resolved({"outputs": {"k": "= result"}}, {"$set": 1})
    assert isinstance(outcome, StepCompleted)
    assert (outcome.update, outcome.replace) == ({"k": {"$set": 1}}, {})


def test_conditions_see_what_is_set_and_what_is_deleted() -> None:
    node = {"next": {"condition": "n == 1 and not exists(log)", "if_true": "a", "if_false": "b"}}
    outcome = resolved(node, {"n": 3}, replace={"n": 1}, delete=("log",))
    assert isinstance(outcome, StepCompleted)
    assert outcome.route == ("a",)


def test_conditions_see_the_values_that_the_reducers_give() -> None:
    outcome = resolved({"next": {"condition": "len(log) == 2", "if_true": "a", "if_false": "b"}}, {"log": "y"})
    assert isinstance(outcome, StepCompleted)
    assert outcome.route == ("a",)


def test_an_update_that_a_reducer_refuses_fails_the_step() -> None:
    error = failure(resolved({}, {"n": "text"}, reducers={"n": "add"}))
    assert error.type == "ReducerError"
    assert error.message == 'The state key "n" cannot take the update: add needs a number, not a string.'


def test_the_check_sees_new_values_and_may_refuse_them() -> None:
    given: list[Json] = []

    def check(values: Json) -> Failure | None:
        given.append(dict(values))
        return Failure(type="StateSchemaError", message="n is too large.", keys=("n",)) if values["n"] > 8 else None

    options: dict[str, Json] = {"reducers": {**LOG, "n": "add"}, "check": check}
    assert isinstance(resolved({}, {"n": 1, "log": "y"}, delete=("gone",), **options), StepCompleted)
    assert failure(resolved({}, {"n": 4, "log": "y"}, **options)).keys == ("n",)
    assert given[0] == {"n": 6, "log": ["x", "y"]}


def test_a_step_that_failed_its_check_can_be_retried() -> None:
    run = Run({"s": {}})
    run.give("s", {"n": 1}, check=lambda values: Failure(type="StateSchemaError", message="no", keys=("n",)))
    assert run.errors == [("s", "StateSchemaError")]
    assert run.reopen()
    assert run.nodes == ["s"]


@pytest.mark.parametrize(
    ("goto", "error"),
    [(("a", "b"), None), ((), None), (("end",), "BadRoute"), (None, "NoRouteError"), (("a", "c"), "BadRoute")],
)
def test_a_tool_may_go_to_declared_targets_only(goto: Json, error: str | None) -> None:
    outcome = resolved({"next": {"dynamic": ["a", "b"]}}, goto=goto)
    if error is None:
        assert isinstance(outcome, StepCompleted)
        assert outcome.route == goto
    else:
        assert failure(outcome).type == error


def test_a_tool_without_dynamic_targets_may_not_choose() -> None:
    assert failure(resolved({"next": "a"}, goto=("a",))).type == "BadRoute"
    unchosen = resolved({"next": "a"}, goto=())
    assert isinstance(unchosen, StepCompleted)
    assert unchosen.route == ("a",)


@pytest.mark.parametrize(("items", "error"), [("= n", "MapItemsError"), ("= m", "ExpressionError")])
def test_a_map_needs_a_list(items: str, error: str) -> None:
    assert failure(resolved({"next": {"map": items, "to": "a", "join": "b"}})).type == error


def test_items_may_hold_expressions_and_come_from_the_state_after_the_update() -> None:
    outcome = resolved({"next": {"map": ["= n", 2], "to": "a", "join": "b"}}, {"n": 7})
    assert isinstance(outcome, StepCompleted)
    assert (outcome.items, outcome.route) == ((7, 2), ())


def test_a_result_that_nobody_waits_for_gives_an_outcome_that_is_dropped() -> None:
    run = Run({"s": {}})
    start = run.start("s")
    run.give("s")
    late = resolve(run.state, start.step, 1, Returned(value={"k": 1}))
    assert late == StepCompleted(step=start.step)
    assert run.feed(late) == ()


def test_an_item_that_is_not_to_be_collected_gives_an_outcome_that_is_dropped() -> None:
    run = Run({"s": {}})
    late = collect(run.state, CollectItem(step=b"0123456789", index=0))
    assert late == ItemCollected(step=b"0123456789", index=0, values={})
    assert run.feed(late) == ()
