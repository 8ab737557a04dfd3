import asyncio
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from tools import Context, registry, tool
from tools.calling import bind, given_arguments
from tools.errors import ToolInputError


@pytest.fixture(autouse=True)
def empty_registry(monkeypatch):
    monkeypatch.setattr(registry, "_current", registry.Registry())


class Colour(StrEnum):
    RED = "red"


class Point(BaseModel):
    x: int
    y: int = 0


def bound(function, *, inputs=None, state=None, context=None):
    tool(name="under_test")(function)
    return bind(registry.get("under_test"), inputs=inputs or {}, state=state or {}, context=context or Context())


def complaints(function, **given):
    with pytest.raises(ToolInputError) as caught:
        bound(function, **given)
    return [(detail.code, detail.path) for detail in caught.value.details]


def add(a: int, b: int = 2) -> dict:
    return {"sum": a + b}


def test_inputs_win_over_the_state_and_the_state_over_the_default():
    assert bound(add, inputs={"a": 1}, state={"a": 5, "b": 6}) == {"a": 1, "b": 6}
    assert bound(add, state={"a": 5}) == {"a": 5}


def test_what_a_map_or_a_handler_gives_wins_over_the_state_and_inputs_over_both():
    names = {"inputs": {"a": 1}, "local_names": {"a": 2, "b": 3}, "state": {"b": 4}}
    tool(name="under_test")(add)
    assert bind(registry.get("under_test"), **names, context=Context()) == {"a": 1, "b": 3}
    assert given_arguments(registry.get("under_test"), **names) == {"a": 1, "b": 3}


def test_a_tool_that_takes_the_state_does_not_see_what_a_map_gives_in_it():
    def keys(state) -> dict:
        return {"keys": sorted(state)}

    tool(name="under_test")(keys)
    names = {"inputs": {}, "local_names": {"item": 2}, "state": {"b": 4}}
    assert dict(bind(registry.get("under_test"), **names, context=Context())["state"]) == {"b": 4}


def test_a_bad_value_is_named_by_its_json_pointer():
    def count(amounts: dict[str, int]) -> dict:
        return {"sum": sum(amounts.values())}

    assert complaints(count, inputs={"amounts": {"a/b~c": "many"}, "x/y": 1}) == [
        ("argument-invalid", "/amounts/a~1b~0c"),
        ("argument-unknown", "/x~1y"),
    ]


def test_a_missing_argument_and_an_unknown_input_are_reported_together():
    assert complaints(add, inputs={"c": 1, "d": 2}) == [
        ("argument-missing", "/a"),
        ("argument-unknown", "/c"),
        ("argument-unknown", "/d"),
    ]


def test_the_message_names_tool_argument_and_origin():
    with pytest.raises(ToolInputError, match=r"'under_test'.*'a', taken from the state key.*valid integer"):
        bound(add, state={"a": "1"})
    with pytest.raises(ToolInputError, match=r"no argument 'c'; it takes a, b\."):
        bound(add, inputs={"a": 1, "c": 1})


def test_context_and_state_cannot_be_given_as_inputs():
    def takes_both(ctx, state): ...

    assert complaints(takes_both, inputs={"ctx": 1, "state": {}}) == [
        ("argument-unknown", "/ctx"),
        ("argument-unknown", "/state"),
    ]


def test_the_context_is_handed_over():
    def wants_context(where: Context): ...

    context = Context(node="n")
    assert bound(wants_context, context=context) == {"where": context}


@pytest.mark.parametrize(
    ("annotation", "given", "argument"),
    [
        (int, 3, 3),
        (float, 3, 3.0),
        (str, "x", "x"),
        (bool, True, True),
        (Any, {"a": [1]}, {"a": [1]}),
        (object, "x", "x"),
        (list, [1, "a"], [1, "a"]),
        (list[dict[str, int]], [{"a": 1}], [{"a": 1}]),
        (dict, {"a": 1}, {"a": 1}),
        (int | None, None, None),
        (int | str, "1", "1"),
        (Literal["a", 1], 1, 1),
        (Annotated[int, Field(ge=1)], 1, 1),
        (tuple[int, str], [1, "a"], (1, "a")),
        (set[int], [1, 1], {1}),
        (date, "2026-02-28", date(2026, 2, 28)),
        (Colour, "red", Colour.RED),
        (list[Colour], ["red"], [Colour.RED]),
        (Point, {"x": 1}, Point(x=1)),
        (dict[int, str], {"1": "a"}, {1: "a"}),
    ],
)
def test_a_value_that_fits_its_annotation_is_passed(annotation, given, argument):
    def takes(value): ...

    takes.__annotations__["value"] = annotation
    passed = bound(takes, inputs={"value": given})["value"]
    assert passed == argument
    assert type(passed) is type(argument)


@pytest.mark.parametrize(
    ("annotation", "given", "path"),
    [
        (int, "3", "/value"),
        (int, True, "/value"),
        (int, 3.0, "/value"),
        (int, None, "/value"),
        (float, "3", "/value"),
        (str, 3, "/value"),
        (bool, 1, "/value"),
        (bool, "true", "/value"),
        (list, {"a": 1}, "/value"),
        (list[int], [1, "2"], "/value/1"),
        (dict[str, list[int]], {"a": [1], "b": [1, None]}, "/value/b/1"),
        (Literal["a"], "b", "/value"),
        (Annotated[int, Field(ge=1)], 0, "/value"),
        (date, "2026-02-30", "/value"),
        (Colour, "green", "/value"),
        (Point, {"x": "1"}, "/value/x"),
        (tuple[int, str], [1], "/value/1"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_and_not_coerced(annotation, given, path):
    def takes(value): ...

    takes.__annotations__["value"] = annotation
    assert complaints(takes, inputs={"value": given}) == [("argument-invalid", path)]


@pytest.mark.parametrize("annotation", [Any, list, list[Any], list[dict], tuple[dict, ...]])
def test_a_tool_cannot_change_the_values_it_was_given(annotation):
    def takes(value): ...

    takes.__annotations__["value"] = annotation
    state = {"value": [{"n": [1]}]}
    argument = bound(takes, state=state)["value"]
    argument[0]["n"].append(2)
    assert state == {"value": [{"n": [1]}]}


def test_the_state_is_a_mapping_to_read():
    def reads(state): ...

    state = {"a": [1], "b": 2}
    view = bound(reads, state=state)["state"]
    assert dict(view) == {"a": [1], "b": 2}
    assert (view["b"], view.get("c", 3), "a" in view, "c" in view, len(view)) == (2, 3, True, False, 2)
    assert {**view, "b": 3} == {"a": [1], "b": 3}
    assert "'a': [1]" in repr(view)
    with pytest.raises(TypeError):
        view["a"] = 1
    view["a"].append(2)
    assert view["a"] == [1, 2]
    assert state == {"a": [1], "b": 2}


def test_a_bound_coroutine_function_runs():
    async def triple(n: int) -> dict:
        return {"n": n * 3}

    assert asyncio.run(triple(**bound(triple, state={"n": 2}))) == {"n": 6}


# ------------------------------------------------------------------ the context


def test_the_idempotency_key_is_that_of_the_step_in_every_attempt():
    first, second = (Context(run_id="r", step_id="0a" * 10, attempt=attempt) for attempt in (1, 2))
    assert first.idempotency_key == second.idempotency_key == "r:" + "0a" * 10


def test_the_context_hands_lines_and_text_to_its_sinks():
    heard = []
    context = Context(on_log=lambda *line: heard.append(line), on_stream=heard.append)
    context.log("half way")
    context.log("odd", level="warning")
    context.stream("tok")
    assert heard == [("half way", "info"), ("odd", "warning"), "tok"]


def test_an_unknown_log_level_is_an_error_of_the_tool():
    with pytest.raises(ValueError, match="'loud' is none of debug, info, warning, error"):
        Context().log("x", level="loud")


def test_a_context_without_sinks_is_enough_for_a_test_of_a_tool():
    context = Context()
    context.log("unheard")
    context.stream("unseen")
    assert not context.cancelled


def test_cancellation_is_asked_for_each_time():
    answers = iter([False, True])
    context = Context(is_cancelled=lambda: next(answers))
    assert [context.cancelled, context.cancelled] == [False, True]
