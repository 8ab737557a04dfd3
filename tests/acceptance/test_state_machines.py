"""State machines as the Amazon States Language, Serverless Workflow and SCXML describe them, in our format.

Each is written after the published behaviour of a state or a field, whose name it bears, and played in several orders
with workers that die after every entry of the journal.
"""

from datetime import UTC, datetime
from typing import Any

import pytest

from runs.engine.simulate import At, Scripted, Simulation, simulate, simulate_shuffled
from tests.acceptance.cases import Case, assert_driven_as_simulated, rows
from tests.acceptance.state_machines import CASES
from tools import ToolError

Json = Any
ORDERS = 4


class SomeFailure(ToolError):
    """What a Fail state raises."""


class Throttled(ToolError):
    """Worth another attempt."""


def machine(nodes: dict[str, Json], **more: Json) -> dict[str, Json]:
    return {"name": "machine", "start_node": next(iter(nodes)), "nodes": nodes, **more}


def play(nodes: dict[str, Json], state: dict[str, Json] | None = None, **options: Any) -> Simulation:
    definition = machine(nodes, **options.pop("more", {}))
    return simulate_shuffled(definition, state, orders=ORDERS, kill_at="everywhere", **options)


@rows(CASES)
def test_a_state_machine(case: Case) -> None:
    case.simulate()


@pytest.mark.django_db(transaction=True)
def test_a_driver_comes_to_the_same(actor) -> None:
    assert_driven_as_simulated(CASES, actor)


# --------------------------------------------------------------------------- Choice


RULES = [
    # the comparison, our condition, inputs for which it holds, inputs for which it does not
    ("StringEquals", "v == 'blue'", ["blue"], ["Blue", "", 1, None]),
    ("StringEqualsPath", "v == w", ["w"], ["W", 7]),
    ("StringLessThan", "v < 'b'", ["a", "", "B"], ["b", "c"]),
    ("StringGreaterThanEquals", "v >= 'b'", ["b", "c"], ["a", "B"]),
    ("StringLessThanEqualsPath", "v <= w", ["a", "w"], ["x"]),
    ("StringMatches", "matches(v, 'log-*.txt')", ["log-.txt", "log-1.txt"], ["log", "x.txt", "log-.txt.gz"]),
    ("StringMatches, several", "matches(v, 'foo*.*')", ["foobar.zebra", "foo."], ["fobar.zebra", "foo"]),
    ("StringMatches, escaped", r"matches(v, 'foo\\*bar\\*baz')", ["foo*bar*baz"], ["foo1bar2baz"]),
    ("StringMatches, not a string", "type(v) == 'string' and matches(v, '*')", ["", "x"], [1, None, ["x"]]),
    ("NumericEquals", "v == 3", [3, 3.0], [3.1, "3", True, None]),
    ("NumericLessThan", "v < 20", [-1, 19.9], [20, 21]),
    ("NumericLessThanEquals", "v <= 20", [20, 20.0], [20.1]),
    ("NumericGreaterThan", "v > 20", [21], [20]),
    ("NumericGreaterThanEqualsPath", "v >= n", [5, 6], [4]),
    ("NumericLessThanPath", "v < n", [4, -5.5], [5, 6]),
    (
        "TimestampEquals",
        "timestamp(v) == timestamp('2016-03-14T01:59:00Z')",
        ["2016-03-14T01:59:00Z", "2016-03-14T02:59:00+01:00", "2016-03-14T01:59:00.000Z"],
        ["2016-03-14T01:59:01Z", "x", 5],
    ),
    (
        "TimestampLessThan",
        "timestamp(v) < timestamp('2016-03-14T01:59:00Z')",
        ["2016-03-14T01:58:59.999Z", "2016-03-14T02:30:00+01:00"],
        ["2016-03-14T01:59:00Z", "2017-01-01T00:00:00Z"],
    ),
    (
        "TimestampGreaterThanEqualsPath",
        "timestamp(v) >= timestamp(t)",
        ["2020-01-01T15:00:00Z"],
        ["2020-01-01T14:59:59Z"],
    ),
    ("IsString", "type(v) == 'string'", ["", "1"], [1, True, None, [], {}]),
    ("IsNumeric", "type(v) == 'number'", [0, -1.5], ["1", True, None, [], {}]),
    ("IsBoolean", "type(v) == 'boolean'", [True, False], [0, 1, "true", None]),
    (
        "IsTimestamp",
        "timestamp(v) != null",
        ["2016-03-14T01:59:00Z", "2016-03-14T01:59:00.5-07:00"],
        ["2016-03-14", "2016-03-14T01:59:00", "now", 1457920740, None],
    ),
    ("BooleanEquals", "v == true", [True], [False, 1, "true", None]),
    ("IsNull", "v == null", [None], [0, "", False, [], {}]),
    ("And", "v > 1 and v < 5", [2, 4.5], [1, 5]),
    ("Or", "v == 1 or v == 'one'", [1, "one"], [2, None]),
    ("Not", "not v == 'Private'", ["Public", None, 0], ["Private"]),
    ("Not over And", "not (v == 'red' and w == 'w')", ["blue"], ["red"]),
]


@pytest.mark.parametrize(("condition", "holds", "fails"), [rule[1:] for rule in RULES], ids=[rule[0] for rule in RULES])
def test_choice_rule(condition: str, holds: list[Json], fails: list[Json]) -> None:
    nodes = {"choose": {"next": {"condition": condition, "if_true": "yes", "if_false": "no"}}, "yes": {}, "no": {}}
    for value, way in [*((value, "yes") for value in holds), *((value, "no") for value in fails)]:
        result = simulate(machine(nodes), {"v": value, "w": "w", "n": 5, "t": "2020-01-01T15:00:00Z"})
        assert result.ran == ["choose", way], (value, result.errors)


@pytest.mark.parametrize("path", ["v", "v.deep.er", "v[0]", "v['a b']"])
def test_choice_rule_is_present(path: str) -> None:
    nodes = {
        "choose": {"next": {"condition": f"exists({path})", "if_true": "yes", "if_false": "no"}},
        "yes": {},
        "no": {},
    }
    values: dict[str, list[Json]] = {
        "v": [None],
        "v.deep.er": [{"deep": {"er": None}}],
        "v[0]": [[None]],
        "v['a b']": [{"a b": 1}],
    }
    for value in values[path]:
        assert simulate(machine(nodes), {"v": value}).ran == ["choose", "yes"]
    assert simulate(machine(nodes), {}).ran == ["choose", "no"]


@pytest.mark.parametrize(
    ("state", "way"),
    [
        ({"type": "Public", "value": 22}, "public"),
        ({"type": "Private", "value": 0}, "zero"),
        ({"type": "Private", "value": 22}, "twenties"),
        ({"type": "Private", "value": 30}, "default"),
    ],
)
def test_the_first_choice_that_matches_is_taken(state: dict[str, Json], way: str) -> None:
    cases = [
        {"when": "not type == 'Private'", "to": "public"},
        {"when": "value == 0", "to": "zero"},
        {"when": "value >= 20 and value < 30", "to": "twenties"},
    ]
    nodes = {
        "choose": {"next": {"switch": cases, "default": "default"}},
        "public": {},
        "zero": {},
        "twenties": {},
        "default": {},
    }
    assert play(nodes, state).ran == ["choose", way]


def test_no_choice_matched() -> None:
    nodes: dict[str, Json] = {"choose": {"next": {"switch": [{"when": "v == 1", "to": "one"}]}}, "one": {}}
    result = play(nodes, {"v": 2})
    assert [error.type for error in result.errors] == ["NoRouteError"]
    nodes["choose"]["on_error"] = [{"match": "NoRouteError", "to": "one"}]
    assert play(nodes, {"v": 2}).status == "completed"


# --------------------------------------------------------------------------- Pass, Parameters, ResultPath, Fail


def test_pass_with_parameters_result_path_and_output_path() -> None:
    nodes = {
        "pass": {
            "outputs": {
                "shaped": {"title": "Numbers", "first": "= order.lines[0].n", "all": ["= order.total", "==text", None]},
                "order": {"total": "= order.total + 1"},
            },
        }
    }
    result = play(nodes, {"order": {"lines": [{"n": 7}], "total": 9}})
    assert result.state == {
        "order": {"total": 10},
        "shaped": {"title": "Numbers", "first": 7, "all": [9, "=text", None]},
    }


def test_a_missing_path_fails_the_state_and_can_be_caught() -> None:
    nodes = {
        "pass": {"outputs": {"x": "= order.nowhere"}, "on_error": [{"match": "ExpressionError", "to": "caught"}]},
        "caught": {"outputs": {"why": "= error.type", "where": "= error.node"}},
    }
    assert play(nodes, {"order": {}}).state == {"order": {}, "why": "ExpressionError", "where": "pass"}


@pytest.mark.parametrize("error", ["Custom.Error", "States.Timeout", "Name with spaces", "エラー"])
def test_fail_with_an_error_and_a_cause_from_the_input(error: str) -> None:
    nodes = {
        "start": {"next": "fail"},
        "fail": {
            "tool": "fail",
            "inputs": {"error_type": "= given.error", "message": "= 'because ' + str(given.code)"},
        },
    }
    given = {"given": {"error": error, "code": 7}}
    result = play(nodes, given, real_tools=True)
    assert [(one.node, one.type, one.message) for one in result.errors] == [("fail", error, "because 7")]
    nodes["fail"]["on_error"] = [{"match": ["Other", error], "to": "again"}]
    nodes["again"] = {
        "tool": "fail",
        "inputs": {"error_type": "= error.type", "message": "= error.message"},
        "on_error": [{"match": "ToolError", "to": "end"}],
    }
    result = play(nodes, given, real_tools=True)
    assert (result.status, result.attempts("again")[0].error) == ("completed", f"{error}: because 7")


def test_fail_ends_the_execution_with_error_and_cause() -> None:
    result = play({"start": {"next": "fail"}, "fail": {"tool": "raise"}}, tools={"raise": SomeFailure("the cause")})
    assert [(error.node, error.type, error.message) for error in result.errors] == [
        ("fail", "SomeFailure", "the cause")
    ]


# --------------------------------------------------------------------------- Retry and Catch


def retrying(failures: int, error: BaseException, **retry: Json) -> Simulation:
    nodes = {
        "task": {
            "tool": "call",
            "retry": {"jitter": False, **retry},
            "on_error": [{"match": "Throttled", "to": "throttled"}, {"to": "other"}],
            "outputs": {"answer": "= result"},
        },
        "throttled": {"outputs": {"caught": "= error.type", "attempts": "= error.attempt"}},
        "other": {"outputs": {"other": "= error.type"}},
    }
    return simulate(machine(nodes), {"input": 1}, tools={"call": Scripted(returns="fine", fails=[error] * failures)})


def starts(result: Simulation, node: str) -> list[float]:
    return [step.started_at_s for step in result.attempts(node)]


def test_retry_with_interval_backoff_and_max_delay() -> None:
    retry = {"initial_interval_s": 3, "backoff_factor": 2, "max_interval_s": 10, "max_attempts": 6}
    result = retrying(5, Throttled("busy"), **retry)
    assert starts(result, "task") == [0, 3, 9, 19, 29, 39]  # pauses of 3, 6, 10, 10, 10
    assert result.state == {"input": 1, "answer": "fine"}


def test_catch_after_the_last_retry_keeps_the_input_beside_the_error() -> None:
    result = retrying(9, Throttled("busy"), max_attempts=3, initial_interval_s=1)
    assert starts(result, "task") == [0, 1, 3]
    assert result.state == {"input": 1, "caught": "Throttled", "attempts": 3}


def test_an_error_that_no_retrier_names_is_caught_at_once() -> None:
    result = retrying(9, SomeFailure("no"), max_attempts=3, on=["Throttled"])
    assert (starts(result, "task"), result.state) == ([0], {"input": 1, "other": "SomeFailure"})


SEVERAL = [
    # errors, when the attempts start, how it ends
    ([Throttled], [0, 1], "fine"),
    ([SomeFailure], [0, 10], "fine"),
    ([Throttled, SomeFailure, Throttled], [0, 1, 11, 13], "fine"),
    ([Throttled, Throttled, Throttled], [0, 1, 3], "Throttled"),
    ([Throttled, SomeFailure, SomeFailure], [0, 1, 11], "SomeFailure"),
    ([Throttled, ToolError], [0, 1], "ToolError"),
]


@pytest.mark.parametrize(("errors", "begun", "end"), SEVERAL)
def test_each_of_several_retriers_counts_its_own_errors(
    errors: list[type[Exception]], begun: list[float], end: str
) -> None:
    retry = [
        {"on": ["Throttled"], "max_attempts": 3, "initial_interval_s": 1},
        {"on": ["SomeFailure"], "max_attempts": 2, "initial_interval_s": 10},
    ]
    nodes = {
        "task": {"tool": "call", "retry": retry, "on_error": "caught", "outputs": {"end": "fine"}},
        "caught": {"outputs": {"end": "= error.type"}},
    }
    call = Scripted(returns={}, fails=[error("no") for error in errors])
    result = play(nodes, tools={"call": call})
    assert (result.state, starts(simulate(machine(nodes), tools={"call": call}), "task")) == ({"end": end}, begun)


@pytest.mark.parametrize(
    ("error", "way"), [(Throttled, "soft"), (TimeoutError, "soft"), (SomeFailure, "hard"), (ToolError, "all")]
)
def test_a_catcher_may_name_several_errors(error: type[Exception], way: str) -> None:
    nodes = {
        "task": {
            "tool": "call",
            "on_error": [
                {"match": ["Throttled", "TimeoutError"], "to": "soft"},
                {"match": "SomeFailure", "to": "hard"},
                {"to": "all"},
            ],
        },
        **{name: {"outputs": {"caught": "= error"}} for name in ("soft", "hard", "all")},
    }
    result = simulate(machine(nodes), {"input": 1}, tools={"call": error("why")})
    caught = {"type": error.__name__, "message": "why", "node": "task", "attempt": 1}
    assert (result.ran, result.state) == ([way], {"input": 1, "caught": caught})


def test_max_attempts_of_one_means_no_retry() -> None:
    assert starts(retrying(1, Throttled("busy"), max_attempts=1), "task") == [0]


def test_full_jitter_stays_between_half_and_all_of_the_pause() -> None:
    nodes = {"task": {"tool": "call", "retry": {"max_attempts": 2, "initial_interval_s": 8}}}
    result = simulate(machine(nodes), tools={"call": Scripted(returns={}, fails=[Throttled("busy")])})
    assert 4 <= starts(result, "task")[1] <= 8


def test_timeout_seconds_is_an_error_like_any_other() -> None:
    nodes = {
        "task": {
            "tool": "call",
            "timeout_s": 5,
            "retry": {"max_attempts": 2, "initial_interval_s": 1, "jitter": False, "on": ["TimeoutError"]},
            "on_error": [{"match": "TimeoutError", "to": "late"}],
        },
        "late": {},
    }
    result = simulate(machine(nodes), tools={"call": Scripted(returns={}, takes_s=60)})
    assert (starts(result, "task"), starts(result, "late")) == ([0, 6], [11])


# --------------------------------------------------------------------------- Parallel


def branch(nodes: dict[str, Json], **more: Json) -> dict[str, Json]:
    """A branch of a Parallel: it sees the input and nothing of the others."""
    return machine(nodes, state={"defaults": {"x": 0}}, **more)


PARALLEL = {
    # start ──<  left | right  >── both(all)
    "start": {"next": ["left", "right"]},
    "left": {"graph": "left", "inputs": {"x": "= x"}, "outputs": {"results": "= result.x"}, "next": "both"},
    "right": {"graph": "right", "inputs": {"x": "= x"}, "outputs": {"results": "= result.x"}, "next": "both"},
    "both": {"join": "all"},
}


def test_parallel_gives_each_branch_the_input_and_the_results_in_the_order_of_the_branches() -> None:
    graphs = {
        "left": branch({"slow": {"tool": "slow", "next": "add"}, "add": {"outputs": {"x": "= x + 1"}}}),
        "right": branch({"add": {"outputs": {"x": "= x * 10"}}}),
    }
    result = play(
        PARALLEL,
        {"x": 5},
        graphs=graphs,
        tools={"slow": Scripted(returns={}, takes_s=60)},
        more={"state": {"reducers": {"results": "append"}}},
    )
    assert result.state == {"x": 5, "results": [6, 50]}


def test_a_branch_that_fails_stops_the_others_and_is_caught_with_its_own_error() -> None:
    """
             ┌─ fails ─────────┐ (any error)
    start ──<                   >── caught(any) ── end        both is never reached
             └─ slow ── never ─┘
                         └──── both(all)
    """
    nodes = {
        "start": {"next": ["fails", "slow"]},
        "fails": {"tool": "raise", "next": "both", "on_error": "caught"},
        "slow": {"wait": {"seconds": 60}, "next": "never"},
        "never": {"tool": "never", "next": "both", "on_error": "caught"},
        "both": {"join": "all", "outputs": {"both": True}},
        "caught": {"join": "any"},
    }
    tools = {"raise": Scripted(returns=SomeFailure("oh"), takes_s=1), "never": {}}
    result = play(nodes, {"x": 1}, tools=tools)
    assert (result.status, result.ran, result.state) == ("completed", ["start", "caught"], {"x": 1})
    assert result.duration_s == 1


def test_what_fails_deep_inside_is_told_as_it_is_and_does_not_depend_on_deaths() -> None:
    """
    outer: call ─► middle: call ─► inner: ──<  x fails | y ══ map, one item fails  >
    """
    inner = machine(
        {
            "fork": {"next": ["x", "y"]},
            "x": {"tool": "raise", "inputs": {"why": "x"}},
            "y": {"next": {"map": [1, 2], "as": "it", "to": "item"}},
            "item": {"tool": "raise", "inputs": {"why": "= it"}},
        }
    )
    middle = machine({"call": {"graph": "inner"}})
    nodes = {
        "call": {
            "graph": "middle",
            "on_error": [{"match": "Throttled", "to": "end"}, {"match": "SomeFailure", "to": "h"}],
        },
        "h": {"outputs": {"why": "= error.message"}},
    }

    def fail(why: Json) -> None:
        raise SomeFailure(f"at {why}")

    result = play(nodes, graphs={"middle": middle, "inner": inner}, tools={"raise": fail})
    assert result.state == {"why": '"x" failed: SomeFailure: at x. And 2 more.'}


def test_a_graph_that_is_computed_and_none_is_an_error_like_any_other() -> None:
    nodes = {
        "call": {"graph": "= given", "on_error": [{"match": "DefinitionInvalid", "to": "h"}]},
        "h": {"outputs": {"why": "= error.type"}},
    }
    assert play(nodes, {"given": {"nodes": 1}}).state["why"] == "DefinitionInvalid"


def test_nested_parallel_states() -> None:
    """
         ┌─ a ──<  a1 | a2  >── ja ─┐
    s ──<                            >── j
         └─ b ──<  b1 | b2  >── jb ─┘
    """
    nodes: dict[str, Json] = {"s": {"next": ["a", "b"]}, "j": {"join": "all"}}
    for side in "ab":
        nodes[side] = {"next": [f"{side}1", f"{side}2"]}
        nodes |= {f"{side}{i}": {"outputs": {"log": f"{side}{i}"}, "next": f"j{side}"} for i in (1, 2)}
        nodes[f"j{side}"] = {"join": "all", "next": "j"}
    result = play(nodes, more={"state": {"reducers": {"log": "append"}}})
    assert result.state == {"log": ["a1", "a2", "b1", "b2"]}


# --------------------------------------------------------------------------- Map


def mapping(process: dict[str, Json], **map_: Json) -> dict[str, Json]:
    """start ══ map ══► process… ──► after"""
    return {
        "start": {"next": {"map": "= items", "as": "it", "to": next(iter(process)), "join": "after", **map_}},
        **process,
        "after": {"outputs": {"done": True}},
    }


def test_map_keeps_the_order_of_the_items_and_bounds_how_many_are_under_way() -> None:
    nodes = mapping(
        {"work": {"tool": "work", "inputs": {"it": "= it", "at": "= index"}, "next": "after"}},
        collect={"out": "= out"},
        max_parallel=2,
    )
    work = Scripted(returns=lambda it, at: {"out": [it, at]}, takes_s=lambda it: 10 - it)
    result = play(nodes, {"items": [1, 4, 2, 8]}, tools={"work": work})
    assert result.state["out"] == [[1, 0], [4, 1], [2, 2], [8, 3]]
    spans = [
        (step.started_at_s, step.ended_at_s)
        for step in simulate(machine(nodes), {"items": [1, 4, 2, 8]}, tools={"work": work}).attempts("work")
    ]
    assert max(sum(a <= at < (b or 0) for a, b in spans) for at in range(40)) == 2


def test_map_over_nothing_gives_nothing() -> None:
    nodes = mapping({"work": {"outputs": {"out": "= it"}, "next": "after"}}, collect={"out": "= out"})
    assert play(nodes, {"items": []}).state == {"items": [], "out": [], "done": True}


@pytest.mark.parametrize(
    ("tolerated", "status"),
    [(0, "failed"), (1, "failed"), (2, "completed"), ("39%", "failed"), ("40%", "completed"), ("100%", "completed")],
)
def test_tolerated_failure_count_and_percentage(tolerated: int | str, status: str) -> None:
    nodes = mapping(
        {"work": {"tool": "work", "inputs": {"it": "= it"}, "next": "after"}},
        collect={"out": "= out"},
        tolerated_failures=tolerated,
    )

    def work(it: int) -> dict[str, Json]:
        if it % 2:
            raise SomeFailure("odd")
        return {"out": it}

    result = play(nodes, {"items": [0, 1, 2, 3, 4]}, tools={"work": work})
    assert result.status == status
    if status == "completed":
        assert result.state["out"] == [0, None, 2, None, 4]
    else:
        assert {error.type for error in result.errors} == {"MapFailed", "SomeFailure"}


def test_a_map_that_fails_is_caught_as_one_state() -> None:
    process = {
        "equals": {"next": {"switch": [{"when": "it == 3", "to": "break"}], "default": "after"}},
        "break": {"tool": "raise", "next": "after"},
    }
    nodes = mapping(process)
    nodes["start"]["on_error"] = [{"match": "MapFailed", "to": "caught"}]
    nodes["caught"] = {"outputs": {"why": "= error.message"}}
    result = play(nodes, {"items": [1, "Hello", {}, 3.3, 3, 4]}, tools={"raise": SomeFailure("three")})
    assert (result.status, "done" in result.state, "three" in result.state["why"]) == ("completed", False, True)


@pytest.mark.parametrize(
    ("match", "way"),
    [("SomeFailure", "caught"), (["Other", "Throttled"], "caught"), ("MapFailed", "caught"), ("Other", "missed")],
)
def test_a_map_is_caught_by_what_failed_in_its_items(match: Json, way: str) -> None:
    nodes = {
        **mapping({"odd": {"tool": "work", "inputs": {"it": "= it"}, "next": "after"}}, tolerated_failures=1),
        **{name: {"outputs": {"way": name}} for name in ("caught", "missed")},
    }
    nodes["start"]["on_error"] = [{"match": match, "to": "caught"}, {"to": "missed"}]

    def work(it: int) -> None:
        if it:
            raise SomeFailure("1") if it == 1 else Throttled("2")

    assert play(nodes, {"items": [0, 1, 2]}, tools={"work": work}).state["way"] == way
    assert play(nodes, {"items": [0, 1, 0]}, tools={"work": work}).state["done"]


def test_nested_maps_see_the_items_around_them() -> None:
    nodes = {
        "start": {"next": {"map": "= rows", "as": "row", "to": "cells", "join": "after", "collect": {"out": "= out"}}},
        "cells": {
            "next": {"map": "= row.cells", "as": "cell", "to": "work", "join": "sum", "collect": {"seen": "= x"}}
        },
        "work": {"outputs": {"x": "= [row.name, index, cell * factor]"}, "next": "sum"},
        "sum": {"outputs": {"out": "= seen"}, "next": "after"},
        "after": {},
    }
    rows = [{"name": "a", "cells": [1, 2]}, {"name": "b", "cells": []}, {"name": "c", "cells": [3]}]
    result = play(nodes, {"rows": rows, "factor": 10})
    assert result.state["out"] == [[["a", 0, 10], ["a", 1, 20]], [], [["c", 0, 30]]]


def test_a_map_in_a_map_may_fail_and_be_tolerated_by_the_outer_one() -> None:
    nodes = {
        "start": {
            "next": {
                "map": "= rows", "as": "row", "to": "cells", "join": "after",
                "collect": {"out": "= out"}, "tolerated_failures": 1,
            }
        },
        "cells": {"next": {"map": "= row", "as": "cell", "to": "work", "join": "sum", "collect": {"out": "= x"}}},
        "work": {"tool": "work", "inputs": {"cell": "= cell"}, "next": "sum"},
        "sum": {"next": "after"},
        "after": {},
    }  # fmt: skip

    def work(cell: int) -> dict[str, Json]:
        if cell < 0:
            raise SomeFailure("negative")
        return {"x": cell}

    result = play(nodes, {"rows": [[1], [2, -1], [3]]}, tools={"work": work})
    assert (result.status, result.state["out"]) == ("completed", [[1], None, [3]])


def test_each_item_retries_by_itself() -> None:
    nodes = mapping(
        {"work": {"tool": "work", "retry": {"max_attempts": 3, "initial_interval_s": 1}, "next": "after"}},
        collect={"out": "= out"},
    )
    work = Scripted(returns={"out": 1}, fails=[Throttled("busy"), Throttled("busy")])
    result = play(nodes, {"items": [1, 2, 3]}, tools={"work": work})
    assert result.state["out"] == [1, 1, 1]


# --------------------------------------------------------------------------- Wait and callbacks


def test_wait_for_seconds_and_until_a_timestamp_from_the_input() -> None:
    nodes = {
        "seconds": {"wait": {"seconds": "= pause"}, "next": "stamp"},
        "stamp": {"wait": {"until": "= at"}, "outputs": {"woken": "= result.at"}},
    }
    starts_at = datetime(2026, 3, 14, 1, 58, tzinfo=UTC)
    result = play(nodes, {"pause": 30, "at": "2026-03-14T01:59:00Z"}, starts_at=starts_at)
    assert (result.duration_s, result.state["woken"]) == (60, "2026-03-14T01:59:00+00:00")


def test_wait_for_a_callback_that_comes_or_does_not() -> None:
    nodes = {
        "ask": {"tool": "ask", "next": "callback"},
        "callback": {"wait": {"signal": "done", "timeout_s": 60, "on_timeout": "late"}, "next": "end"},
        "late": {"outputs": {"late": True}},
    }
    assert play(nodes, tools={"ask": {}}, signals=[At(30, "done", {"ok": True})]).state == {"ok": True}
    assert play(nodes, tools={"ask": {}}).state == {"late": True}


# --------------------------------------------------------------------------- Serverless Workflow


def test_fork_that_competes_takes_the_first_and_cancels_the_rest() -> None:
    nodes = {
        "call": {"next": ["nurse", "doctor"]},
        "nurse": {"tool": "come", "next": "came"},
        "doctor": {"tool": "come", "next": "came"},
        "came": {"join": "any"},
    }
    come = Scripted(returns=lambda ctx: {"who": ctx.node}, takes_s=lambda ctx: 5 if ctx.node == "nurse" else 50)
    result = simulate(machine(nodes), tools={"come": come})
    assert (result.state, result.duration_s) == ({"who": "nurse"}, 5)


def test_for_each_while_a_condition_holds() -> None:
    nodes = {
        "next": {"next": {"condition": "i < len(pets) and total < 10", "if_true": "feed", "if_false": "end"}},
        "feed": {"outputs": {"total": "= total + pets[i]", "i": "= i + 1"}, "next": "next"},
    }
    state = {"pets": [4, 4, 4, 4], "i": 0, "total": 0}
    assert play(nodes, state).state == {**state, "i": 3, "total": 12}


def test_listen_to_one_to_any_and_to_all() -> None:
    one = {"wait": {"any": [{"signal": "temperature"}, {"signal": "bpm", "next": "bpm"}]}, "next": "all"}
    nodes = {
        "one": one,
        "bpm": {"outputs": {"was": "bpm"}, "next": "all"},
        "all": {"next": ["a", "b"]},
        "a": {"wait": {"signal": "a"}, "next": "both"},
        "b": {"wait": {"signal": "b"}, "next": "both"},
        "both": {"join": "all"},
    }
    signals = [At(3, "b", {"b": 1}), At(5, "bpm", {"n": 90}), At(9, "a", {"a": 1})]
    result = play(nodes, signals=signals)
    assert (result.state, result.duration_s) == ({"n": 90, "was": "bpm", "a": 1, "b": 1}, 9)


def test_try_catch_with_a_condition_on_the_error() -> None:
    nodes = {
        "try": {"tool": "call", "on_error": [{"match": "ToolError", "to": "when"}]},
        "when": {
            "outputs": {"why": "= error.message"},
            "next": {"condition": "contains(why, '503')", "if_true": "pause", "if_false": "raise"},
        },
        "pause": {"wait": {"seconds": 10}, "next": "try"},
        "raise": {"tool": "raise", "inputs": {"message": "= why"}},
    }

    def calling(code: int) -> dict[str, Json]:
        return {"call": Scripted(returns=ToolError(f"status {code}")), "raise": SomeFailure("gone")}

    assert simulate(machine(nodes), tools=calling(503), cancel_at_s=35).ran.count("pause") == 3
    result = play(nodes, tools=calling(404))
    assert [(error.node, error.type) for error in result.errors] == [("raise", "SomeFailure")]


def test_monitor_a_job_until_it_is_over() -> None:
    nodes = {
        "submit": {"tool": "submit", "next": "wait"},
        "wait": {"wait": {"seconds": 5}, "next": "status"},
        "status": {
            "tool": "status",
            "next": {
                "switch": [{"when": "status == 'done'", "to": "done"}, {"when": "status == 'failed'", "to": "failed"}],
                "default": "wait",
            },
        },
        "done": {"outputs": {"told": "done"}},
        "failed": {"outputs": {"told": "failed"}},
    }
    tools = {
        "submit": {"polls": 0},
        "status": lambda polls: {"polls": polls + 1, "status": "done" if polls == 3 else "busy"},
    }
    result = play(nodes, tools=tools)
    assert (result.state["told"], result.duration_s) == ("done", 20)
