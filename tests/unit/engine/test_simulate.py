"""What a simulation does with the steps of a graph; waits and people are in test_simulate_waits."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from runs.engine.events import StepRescheduled
from runs.engine.simulate import (
    DefinitionInvalid,
    NotScripted,
    Scripted,
    SimulatedError,
    SimulationError,
    simulate,
)
from tools import Command, Context, Send, ToolError, registry, tool

LOG = {"reducers": {"log": "append"}}


def graph(nodes, start="a", **definition):
    return {"name": "graph", "start_node": start, "nodes": nodes, **definition}


def one(**node):
    return graph({"a": {"tool": "work", **node}})


def calling(child, **node):
    """A graph whose only node calls `child`."""
    return graph({"a": {"graph": child, **node}})


# --------------------------------------------------------------------------- tools


def test_a_run_completes_with_the_state_that_its_tools_make():
    result = simulate(
        one() | {"nodes": {"a": {"tool": "work", "next": "b"}, "b": {"tool": "work"}}},
        {"n": 1},
        tools={"work": lambda n: {"n": n + 1}},
    )
    assert (result.status, result.state, result.ran) == ("completed", {"n": 3}, ["a", "b"])
    assert result.duration_s == 0


def test_arguments_come_from_inputs_then_the_state_then_the_default():
    seen = []

    def work(x, y, z=3, *, ctx, state):
        seen.append((x, y, z, ctx.node, ctx.attempt, dict(state)))

    simulate(one(inputs={"x": "= y * 10"}), {"x": 1, "y": 2}, tools={"work": work})
    assert seen == [(20, 2, 3, "a", 1, {"x": 1, "y": 2})]


def test_a_script_need_not_take_all_that_its_tool_takes():
    result = simulate(one(inputs={"x": 1, "y": 2}), tools={"work": lambda: {"done": True}})
    assert result.state == {"done": True}
    result = simulate(one(inputs={"x": 1, "y": 2}), tools={"work": lambda y, **others: {"y": y, "others": others}})
    assert result.state == {"y": 2, "others": {"x": 1}}


def test_an_argument_that_nobody_gives_fails_the_step():
    [error] = simulate(one(), tools={"work": lambda missing: {}}).errors
    assert error.type == "ToolInputError"
    assert "'missing'" in error.message


def test_an_input_that_has_no_value_fails_the_step():
    [error] = simulate(one(inputs={"x": "= nowhere"}), tools={"work": {}}).errors
    assert error.type == "ExpressionError"


def test_a_value_is_always_returned_and_an_exception_always_raised():
    assert simulate(one(), tools={"work": {"n": 1}}).state == {"n": 1}
    result = simulate(one(), tools={"work": ToolError("no")})
    assert (result.status, result.errors) == ("failed", (SimulatedError(node="a", type="ToolError", message="no"),))
    assert simulate(one(), tools={"work": None}).state == {}


def test_async_scripts_are_awaited():
    async def work(n):
        await asyncio.sleep(0)
        return {"n": n + 1}

    assert simulate(one(), {"n": 1}, tools={"work": work}).state == {"n": 2}


async def test_async_scripts_are_awaited_in_async_tests():
    async def work(n):
        await asyncio.sleep(0)
        return {"n": n + 1}

    assert simulate(one(), {"n": 1}, tools={"work": work}).state == {"n": 2}


def test_commands_and_sends_work():
    nodes = {
        "a": {"tool": "route", "next": {"dynamic": ["b", "c"]}},
        "b": {"tool": "note", "next": "end"},
        "c": {"tool": "note", "next": "end"},
    }
    script = {
        "route": lambda: Command(set={"x": 1}, delete=["y"], goto=["c", Send("b", {"z": 7})]),
        "note": lambda ctx, z=0: {"log": f"{ctx.node}{z}"},
    }
    result = simulate(graph(nodes, state=LOG), {"y": 2}, tools=script)
    assert result.state == {"x": 1, "log": ["c0", "b7"]}


def test_a_command_that_goes_nowhere_ends_the_branch_and_one_that_says_nothing_of_it_does_not():
    nodes = {"a": {"tool": "route", "next": {"dynamic": ["b"]}}, "b": {}}
    ended = simulate(graph(nodes), tools={"route": lambda: Command(update={"x": 1}, goto=[])})
    assert (ended.status, ended.state, [step.node for step in ended.steps]) == ("completed", {"x": 1}, ["a"])
    [error] = simulate(graph(nodes), tools={"route": lambda: Command(update={"x": 1})}).errors
    assert error.type == "NoRouteError"


def test_a_result_that_is_no_json_fails_the_step():
    [error] = simulate(one(), tools={"work": lambda: {"when": object()}}).errors
    assert error.type == "JsonInvalid"


def test_what_a_tool_logs_is_kept():
    def work(ctx: Context):
        ctx.log("half way", "warning")
        ctx.stream("…")

    [line] = simulate(one(), tools={"work": Scripted(returns=work, takes_s=3)}).log
    assert (line.at_s, line.node, line.level, line.message) == (0, "a", "warning", "half way")


def test_a_function_of_a_tool_is_called_by_the_rules_of_the_tool():
    with registry.scratch():

        @tool
        def work(n: int) -> dict:
            return {"n": n + 1}

        assert simulate(one(), {"n": 1}, tools={"work": work}).state == {"n": 2}
        [error] = simulate(one(), {"n": "1"}, tools={"work": work}).errors
        assert error.type == "ToolInputError"
        with pytest.raises(DefinitionInvalid, match="no argument"):
            simulate(one(inputs={"typo": 1}), {"n": 1}, tools={"work": work})


def test_a_function_whose_parameters_cannot_be_read_is_refused():
    with pytest.raises(SimulationError, match='"work" cannot be read'):
        simulate(one(), tools={"work": max})


def test_positional_extras_are_left_empty():
    assert simulate(one(), tools={"work": lambda *args: {"args": list(args)}}).state == {"args": []}


def test_a_tool_without_a_script_is_refused_by_name():
    with pytest.raises(NotScripted, match='tool "work"') as refused:
        simulate(one(), tools={"word": {}})
    assert refused.value.names == ("work",)
    nodes = {"a": {"tool": "one", "next": "b"}, "b": {"tool": "two"}}
    with pytest.raises(NotScripted, match='tools "one", "two"'):
        simulate(graph(nodes))


def test_real_tools_run_if_that_is_asked_for():
    with registry.scratch():

        @tool
        def work(n: int) -> dict:
            return {"n": n + 1}

        assert simulate(one(), {"n": 1}, real_tools=True).state == {"n": 2}
        assert simulate(one(), {"n": 1}, real_tools=True, tools={"work": {"n": 9}}).state == {"n": 9}
    with pytest.raises(NotScripted, match="There is no tool 'work'"):
        simulate(one(), {"n": 1}, real_tools=True)


# --------------------------------------------------------------------------- definitions


def test_a_definition_that_could_not_be_published_is_refused():
    with pytest.raises(DefinitionInvalid, match="start_node"):
        simulate({"name": "graph", "strat_node": "a", "nodes": {}})
    with pytest.raises(DefinitionInvalid, match="no-such"):
        simulate(graph({"a": {}}, state={"reducers": {"x": "no-such"}}))
    with pytest.raises(DefinitionInvalid):
        simulate(graph({"a": {}}, state={"schema": {"type": "no type"}}))


def test_input_is_laid_over_the_defaults_and_held_against_the_schema():
    schema = {"properties": {"n": {"type": "integer"}}}
    definition = graph({"a": {"tool": "work"}}, state={"schema": schema, "defaults": {"n": 1, "m": 1}})
    assert simulate(definition, {"m": 2}, tools={"work": {}}).state == {"n": 1, "m": 2}
    with pytest.raises(SimulationError, match="/n"):
        simulate(definition, {"n": "1"}, tools={"work": {}})
    [error] = simulate(definition, tools={"work": {"n": "2"}}).errors
    assert error.type == "StateSchemaError"


def test_what_scripts_do_to_their_arguments_stays_with_them():
    given = {"items": [1]}
    result = simulate(one(), given, tools={"work": lambda items: items.append(2)})
    assert result.state == given == {"items": [1]}


# --------------------------------------------------------------------------- time


def test_virtual_time_passes_while_tools_work():
    nodes = {
        "s": {"next": ["a", "b"]},
        "a": {"tool": "slow", "next": "j"},
        "b": {"tool": "quick", "next": "c"},
        "c": {"tool": "quick", "next": "j"},
        "j": {"join": "all"},
    }
    result = simulate(
        graph(nodes, "s"),
        tools={"slow": Scripted(takes_s=3600), "quick": Scripted(takes_s=0.25)},
        default_timeout_s=3600,
    )
    assert result.duration_s == 3600
    assert (result.step("c").started_at_s, result.step("c").ended_at_s) == (0.25, 0.5)
    assert result.step("j").started_at_s == 3600


def test_how_long_a_tool_takes_may_depend_on_its_arguments():
    result = simulate(one(inputs={"x": 4}), tools={"work": Scripted(takes_s=lambda x: x * 2)})
    assert result.duration_s == 8


def test_a_failed_attempt_is_tried_again_after_its_pause():
    retry = {"max_attempts": 4, "initial_interval_s": 10, "backoff_factor": 3}
    script = Scripted(returns={"ok": True}, takes_s=1, fails=[TimeoutError("x"), None])
    result = simulate(one(retry=retry), tools={"work": script})
    assert [(step.attempt, step.started_at_s, step.ending) for step in result.steps] == [
        (1, 0, "retried"),
        (2, 11, "completed"),
    ]
    script = Scripted(returns={"ok": True}, fails=[ValueError("1"), ValueError("2"), ValueError("3")])
    result = simulate(one(retry=retry), tools={"work": script})
    assert [step.started_at_s for step in result.attempts("a")] == [0, 10, 40, 130]
    assert result.step("a").gave == {"ok": True}


def test_a_policy_ends_with_its_attempts_and_takes_the_errors_it_names_only():
    script = {"work": KeyError("x")}
    result = simulate(one(retry={"max_attempts": 2}), tools=script)
    assert [step.ending for step in result.steps] == ["retried", "failed"]
    result = simulate(one(retry={"max_attempts": 2, "on": ["LookupError"]}), tools=script)
    assert len(result.steps) == 2
    result = simulate(one(retry={"max_attempts": 2, "on": ["ValueError"]}), tools=script)
    assert len(result.steps) == 1


def test_a_tool_may_say_itself_what_is_worth_another_attempt():
    with registry.scratch():

        @tool(retryable=(ConnectionError,))
        def work(error: str) -> dict:
            raise ConnectionError if error == "connection" else ValueError

        again = one(retry={"max_attempts": 2})
        assert len(simulate(again, {"error": "connection"}, real_tools=True).steps) == 2
        assert len(simulate(again, {"error": "value"}, real_tools=True).steps) == 1


def test_what_the_engine_refuses_is_not_tried_again():
    result = simulate(one(retry={"max_attempts": 2}), tools={"work": lambda missing: {}})
    assert [step.ending for step in result.steps] == ["failed"]


@pytest.mark.parametrize("asked_for", [7, timedelta(seconds=7), datetime(2030, 1, 1, 0, 0, 7, tzinfo=UTC)])
def test_an_error_may_ask_for_its_pause(asked_for):
    error = ConnectionError("busy")
    error.retry_after = asked_for
    result = simulate(one(retry={"max_attempts": 2}), tools={"work": Scripted(fails=[error])})
    assert result.step("a").started_at_s == 7


def test_what_takes_longer_than_its_timeout_is_cut_off():
    script = Scripted(returns={"ok": True}, takes_s=5)
    assert simulate(one(timeout_s=5), tools={"work": script}).status == "completed"
    result = simulate(
        one() | {"nodes": {"a": {"tool": "work", "timeout_s": 4, "on_error": "b"}, "b": {}}},
        tools={"work": script},
    )
    assert result.ran == ["b"]
    assert result.step("a").error == "TimeoutError: The tool ran longer than its timeout_s of 4 s."
    assert result.duration_s == 4
    assert simulate(one(), tools={"work": script}, default_timeout_s=4).status == "failed"


def test_the_deadline_counts_for_all_attempts_together():
    node = {"deadline_s": 10, "retry": {"max_attempts": 9, "initial_interval_s": 1, "backoff_factor": 1}}
    result = simulate(one(**node), tools={"work": Scripted(returns=ValueError("x"), takes_s=3)})
    assert [(step.started_at_s, step.ended_at_s) for step in result.steps] == [(0, 3), (4, 7), (8, 10)]
    assert result.errors[0].message == "The tool ran longer than its deadline_s of 10 s."
    result = simulate(one(**node), tools={"work": Scripted(returns=ValueError("x"), takes_s=4.5)})
    assert [step.ended_at_s for step in result.steps] == [4.5, 10]


def test_the_run_has_a_time_limit_and_can_be_cancelled():
    script = {"work": Scripted(takes_s=100)}
    result = simulate(one() | {"limits": {"timeout_s": 60}}, tools=script)
    assert (result.status, result.duration_s, result.errors[0].type) == ("failed", 60, "RunTimedOut")
    result = simulate(one(), tools=script, cancel_at_s=5)
    assert (result.status, result.duration_s, result.step("a").ending) == ("cancelled", 5, "cancelled")


# --------------------------------------------------------------------------- maps and subgraphs

FAN = {
    "m": {
        "next": {"map": "= items", "as": "item", "to": "w", "join": "e", "collect": {"out": "= n"}, "max_parallel": 2}
    },
    "w": {"tool": "work", "inputs": {"item": "= item"}, "next": "e"},
    "e": {},
}


def test_maps_run_as_many_items_at_once_as_they_may():
    script = {"work": Scripted(returns=lambda item: {"n": item * item}, takes_s=lambda item: item)}
    result = simulate(graph(FAN, "m"), {"items": [3, 1, 1]}, tools=script)
    assert result.state["out"] == [9, 1, 1]
    assert [(step.place, step.started_at_s) for step in result.attempts("w")] == [
        ("m[0].w", 0),
        ("m[1].w", 0),
        ("m[2].w", 1),
    ]
    assert result.step("m[1].w").arguments == {"item": 1}


def test_a_script_in_a_map_takes_the_item_and_the_index_by_name():
    fan = {**FAN, "w": {"tool": "work", "next": "e"}}
    result = simulate(graph(fan, "m"), {"items": [3, 1]}, tools={"work": lambda item, index: {"n": f"{index}: {item}"}})
    assert result.state["out"] == ["0: 3", "1: 1"]


def test_the_run_has_as_many_steps_at_once_as_it_may():
    result = simulate(
        graph(FAN, "m", limits={"max_parallel": 1}),
        {"items": [1, 1, 1]},
        tools={"work": Scripted(returns={"n": 1}, takes_s=1)},
    )
    assert result.duration_s == 3


CHILD = graph({"x": {"tool": "work", "next": "end"}}, "x", state={"defaults": {"n": 1}})


def test_a_subgraph_is_called_by_name_with_or_without_version():
    for reference in ("child", "child@3"):
        result = simulate(
            calling(reference, inputs={"n": 4}, outputs={"m": "= result.n"}),
            graphs={"child": CHILD},
            tools={"work": lambda n: {"n": n + 1}},
        )
        assert result.state == {"m": 5}
        assert [step.place for step in result.steps] == ["a", "a.x"]
        assert result.step("a").gave == {"n": 5}


def test_a_subgraph_may_be_computed():
    result = simulate(
        calling("= g", outputs={"n": "= result.n"}), {"g": CHILD}, tools={"work": {"n": 2}}, kill_at="everywhere"
    )
    assert result.state["n"] == 2
    [error] = simulate(calling("= g"), {"g": {"name": "broken"}}).errors
    assert error.type == "DefinitionInvalid"


def test_a_graph_without_a_definition_is_refused_by_name():
    with pytest.raises(NotScripted, match='graph "child"'):
        simulate(calling("child"))


def test_a_subgraph_must_get_what_its_schema_wants():
    child = graph({"x": {}}, "x", state={"schema": {"required": ["n"]}})
    [error] = simulate(calling("child"), graphs={"child": child}).errors
    assert error.type == "StateSchemaError"


def test_a_subgraph_that_calls_itself_ends_at_the_depth_limit():
    child = calling("child") | {"limits": {"max_depth": 3}}
    result = simulate(child, graphs={"child": child})
    assert {error.type for error in result.errors} == {"SubgraphFailed", "LimitExceeded"}
    assert result.ran == []


def test_a_stuck_subgraph_may_be_tried_again():
    script = {"work": ValueError("x")}
    result = simulate(
        calling("child", retry={"max_attempts": 2, "initial_interval_s": 3}), graphs={"child": CHILD}, tools=script
    )
    assert [(step.place, step.ending) for step in result.steps] == [
        ("a", "retried"),
        ("a.x", "failed"),
        ("a", "failed"),
        ("a.x", "failed"),
    ]
    assert result.duration_s == 3


@pytest.mark.parametrize(
    ("node", "limits", "ends_at_s"),
    [({"timeout_s": 4}, {}, 4), ({"deadline_s": 5}, {}, 5), ({}, {"timeout_s": 6}, 6)],
    ids=["timeout", "deadline", "limit"],
)
def test_a_subgraph_has_a_time_limit(node, limits, ends_at_s):
    result = simulate(
        calling("child", **node),
        graphs={"child": CHILD | {"limits": limits}},
        tools={"work": Scripted(returns={}, takes_s=10)},
    )
    assert (result.status, result.duration_s) == ("failed", ends_at_s)
    assert result.step("a").error == "TimeoutError: The subgraph has used up its time."
    assert result.step("a.x").ending == "cancelled"
    on_time = simulate(
        calling("child", **node),
        graphs={"child": CHILD | {"limits": limits}},
        tools={"work": Scripted(returns={}, takes_s=1)},
    )
    assert on_time.duration_s == 1


def test_what_a_join_has_cancelled_comes_to_nothing():
    #        ┌─ b (fails, again in 10 s) ─┐
    #   s ──<├─ a ────────────────────────>── j(any) ── e (20 s)
    #        ├─ c: child ────────────────┤
    #        └─ d (waits) ───────────────┘
    nodes = {
        "s": {"next": ["b", "a", "c", "d"]},
        "a": {"tool": "quick", "next": "j"},
        "b": {"tool": "fails", "retry": {"max_attempts": 2, "initial_interval_s": 10}, "next": "j"},
        "c": {"graph": "child", "next": "j"},
        "d": {"wait": {"seconds": 5}, "next": "j"},
        "j": {"join": "any", "next": "e"},
        "e": {"tool": "slow"},
    }
    script = {"quick": {}, "fails": ValueError("x"), "slow": Scripted(takes_s=20), "work": {}}
    for kill_at in ((), "everywhere"):
        result = simulate(graph(nodes, "s"), tools=script, graphs={"child": CHILD}, kill_at=kill_at)
        assert (result.status, result.ran) == ("completed", ["s", "a", "j", "e"])


def test_a_subgraph_that_is_over_has_no_time_limit_any_more():
    nodes = {"a": {"graph": "child", "timeout_s": 5, "next": "b"}, "b": {"tool": "slow"}}
    script = {"work": {}, "slow": Scripted(takes_s=10)}
    assert simulate(graph(nodes), tools=script, graphs={"child": CHILD}).status == "completed"


# --------------------------------------------------------------------------- results


def test_a_failed_run_tells_its_errors_and_a_result_tells_its_story():
    result = simulate(one(), {"n": 1}, tools={"work": ValueError("too odd")})
    assert str(result) == (
        "failed after 0 s with {'n': 1}\n  0–0 s  a #1 failed: ValueError: too odd\n  a: ValueError: too odd"
    )
    assert [type(event).__name__ for event in result.events] == ["RunStarted", "StepFailed", "RunFailed"]
    assert len(result.times) == 3


def test_only_the_only_step_of_a_node_can_be_asked_for():
    result = simulate(graph(FAN, "m"), {"items": [1, 2]}, tools={"work": {"n": 1}})
    with pytest.raises(LookupError, match='"w" has 2 steps'):
        result.step("w")
    with pytest.raises(LookupError, match='"x" has 0 steps'):
        result.step("x")


def test_no_event_of_a_death_is_in_an_undisturbed_run():
    result = simulate(one(), tools={"work": {}})
    assert not any(isinstance(event, StepRescheduled) for event in result.events)
