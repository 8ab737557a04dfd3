"""Subgraphs (rule R20)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from graphs.plan import Plan
from runs.engine import Raised, advance, codec, dump_state, in_flight, load_state, replay, resolve
from runs.engine.children import SUBGRAPH_FAILED
from runs.engine.decisions import CancelStep, FinishChild
from runs.engine.events import (
    AttemptFailed,
    ChildStarted,
    Failure,
    RunCancelled,
    RunTimedOut,
    StateEdited,
    StepCompleted,
    StepFailed,
)
from tests.unit.engine.driving import LOG, Run, compiled

Json = Any


def graph(nodes: dict[str, Json], **definition: Json) -> Plan:
    definition.setdefault("state", {"reducers": LOG, "defaults": {"log": []}})
    return compiled(nodes, start=next(iter(nodes)), **definition)


# child:  a ─┬─► b ─┐
#            └─► c ─┴─► d (all)
DIAMOND = graph({"a": {"next": ["b", "c"]}, "b": {"next": "d"}, "c": {"next": "d"}, "d": {"join": "all"}})
LINE = graph({"a": {"next": "b"}, "b": {}})

# s ─► g (the child) ─► e
CALLING: dict[str, Json] = {
    "s": {"next": "g"},
    "g": {"graph": "child", "inputs": {"x": "= n"}, "outputs": {"out": "= result.log", "log": "g"}, "next": "e"},
    "e": {},
}


def calling(child: Plan = DIAMOND, nodes: dict[str, Json] = CALLING, **options: Json) -> Run:
    return Run(nodes, state={"n": 1, "log": []}, children={"child": child}, **options)


def test_a_subgraph_runs_on_its_own_state_and_its_final_state_is_the_result_of_its_step():
    run = calling().play({})
    assert run.final == {"n": 1, "log": ["s", "g", "e"], "out": ["a", "b", "c", "d"]}
    assert run.saw("a") == [{"x": 1, "log": []}]


@pytest.mark.parametrize("order", range(20))
def test_the_order_of_outcomes_does_not_matter(order: int):
    one, other = calling().play({}), calling().play({}, order)
    assert one.final == other.final
    assert {event.step for event in one.events if hasattr(event, "step")} == {
        event.step for event in other.events if hasattr(event, "step")
    }


def test_without_outputs_nothing_comes_out():
    nodes = {**CALLING, "g": {"graph": "child", "next": "e"}}
    assert calling(nodes=nodes).play({}).final == {"n": 1, "log": ["s", "e"]}


def test_what_a_subgraph_gives_is_not_journaled_twice():
    run = calling().play({})
    (ended,) = [event for event in run.events if isinstance(event, StepCompleted) and event.step == child_step(run)]
    assert (ended.result, ended.update) == (None, {"out": ["a", "b", "c", "d"], "log": "g"})


def child_step(run: Run) -> bytes:
    return next(event.step for event in run.events if isinstance(event, ChildStarted))


def test_its_steps_are_named_with_the_node_that_calls_it():
    run = calling()
    run.give("s")
    assert run.nodes == ["g.a"]
    run.give("g.a")
    assert run.nodes == ["g.b", "g.c"]


def test_a_subgraph_may_be_left_through_any_route_of_its_node():
    nodes = {
        **CALLING,
        "g": {
            "graph": "child",
            "outputs": {"k": "= len(result.log)"},
            "next": {"condition": "k == 4", "if_true": "end", "if_false": "e"},
        },
    }
    assert calling(nodes=nodes).play({}).final == {"n": 1, "log": ["s"], "k": 4}


def test_a_map_may_follow_a_subgraph_at_one_node():
    nodes = {
        "s": {
            "graph": "child",
            "outputs": {"found": "= result.log"},
            "next": {"map": "= found", "to": "w", "join": "j", "collect": {"seen": "= item"}},
        },
        "w": {"next": "j"},
        "j": {},
    }
    run = calling(nodes=nodes)
    for place in ("s.a", "s.b", "s.c", "s.d", *(f"s[{index}].w" for index in range(4)), "j"):
        run.give(place, {"log": place[2:]} if place.startswith("s.") else {})
    assert run.final is not None
    assert run.final["seen"] == ["a", "b", "c", "d"]


def test_a_map_may_call_a_subgraph_for_each_item_and_a_subgraph_may_map():
    mapping = graph(
        {
            "a": {"next": {"map": "= [1, 2]", "to": "w", "join": "j", "collect": {"got": "= item * x"}}},
            "w": {"next": "j"},
            "j": {},
        }
    )
    nodes = {
        "s": {"next": {"map": "= [10, 20]", "to": "g", "join": "e", "collect": {"all": "= got"}}},
        "g": {"graph": "child", "inputs": {"x": "= item"}, "outputs": {"got": "= result.got"}, "next": "e"},
        "e": {},
    }
    run = calling(mapping, nodes)
    run.give("s")
    assert run.nodes == ["s[0].g.a", "s[1].g.a"]
    run.give("s[1].g.a")
    run.give("s[1].g.a[0].w")
    while run.running:
        start = next(iter(run.running.values()))
        run.give(f"{start.path}.{start.node}".lstrip("."))
    assert run.final is not None
    assert run.final["all"] == [[10, 20], [20, 40]]


# ------------------------------------------------------------------ failures


def test_a_subgraph_that_is_stuck_fails_its_step_and_is_gone_on_with_when_the_run_is_opened_again():
    run = calling()
    run.give("s")
    run.give("g.a", {"log": "a"})
    run.fail("g.b")
    assert run.status == "running"
    run.give("g.c", {"log": "c"})
    assert run.status == "failed"
    assert run.errors == [("b", "ValueError"), ("g", SUBGRAPH_FAILED)]
    run.reopen()
    assert run.nodes == ["g.b"]
    run.give("g.b", {"log": "b"})
    run.give("g.d", {"log": "d"})
    run.give("e")
    assert run.final is not None
    assert run.final["out"] == ["a", "b", "c", "d"]


def test_naming_the_step_of_a_stuck_subgraph_opens_what_is_frozen_inside():
    run = calling(LINE)
    run.give("s")
    run.fail("g.a")
    run.reopen(child_step(run))
    assert run.nodes == ["g.a"]


@pytest.mark.parametrize("match", [SUBGRAPH_FAILED, "ValueError"])
def test_a_handler_takes_what_failed_inside_by_either_name(match: str):
    nodes = {**CALLING, "g": {**CALLING["g"], "on_error": [{"match": match, "to": "h"}]}, "h": {}}
    run = calling(LINE, nodes)
    run.give("s")
    run.fail("g.a")
    assert run.nodes == ["h"]
    assert run.seen("h")["error"]["type"] == SUBGRAPH_FAILED
    assert run.seen("h")["error"]["message"] == '"a" failed: ValueError: It broke.'
    assert set(run.state.branches) == {run.start("h").step}


@pytest.mark.parametrize("order", ["bc", "cb"])
def test_the_first_of_several_failures_inside_is_told_and_the_others_counted(order: str):
    run = calling()
    run.give("s")
    run.give("g.a")
    for node in order:
        run.fail(f"g.{node}")
    ((_, _, error),) = [entry for entry in run.events[-1].errors if entry[1] == "g"]
    assert error.message == '"b" failed: ValueError: It broke. And 1 more.'


def test_what_goes_wrong_with_the_outputs_fails_the_step_and_runs_all_of_it_again():
    nodes = {**CALLING, "g": {"graph": "child", "outputs": {"out": "= result.nothing"}}}
    run = calling(LINE, nodes)
    run.give("s")
    first_a = run.start("g.a").step
    for place in ("g.a", "g.b"):
        run.give(place)
    assert run.errors == [("g", "ExpressionError")]
    run.reopen()
    assert run.nodes == ["g.a"]
    assert run.start("g.a").step != first_a


def test_a_timeout_ends_a_subgraph_and_all_that_goes_on_in_it():
    run = calling()
    run.give("s")
    run.give("g.a")
    step = child_step(run)
    late = Raised(error=Failure(type="TimeoutError", message="Too long."))
    outcome = resolve(run.state, step, 1, late)
    assert isinstance(outcome, StepFailed)
    run.feed(outcome)
    assert run.nodes == []
    assert run.errors == [("g", "TimeoutError")]
    run.reopen()
    assert run.nodes == ["g.a"]
    assert run.play({}).status == "completed"


@pytest.mark.parametrize("failing", ["in time", "too late"])
def test_another_attempt_of_a_subgraph_is_another_execution_of_all_of_it(failing: str):
    run = calling()
    run.give("s")
    first = run.start("g.a").step
    if failing == "in time":
        start = run.running.pop(first)
        failed = Raised(error=Failure(type="ValueError", message="It broke."))
        run._state = cut(run, resolve(run.state, start.step, 1, failed))
    error = Failure(type="TimeoutError", message="Too long.")
    run.feed(AttemptFailed(step=child_step(run), error=error, retry_at="2026-11-25T12:00:00Z"))
    assert run.nodes == ["g.a"]
    assert run.start("g.a").step != first
    assert run.play({}).status == "completed"
    assert run.state.pending == 0


def test_a_late_outcome_of_an_earlier_attempt_has_no_effect():
    run = calling(LINE)
    run.give("s")
    step = child_step(run)
    run.feed(resolve(run.state, step, 1, Raised(error=Failure(type="TimeoutError", message="Too long."))))
    run.reopen()
    assert run.feed(StepFailed(step=step, attempt=1, error=Failure(type="X", message="late"))) == ()
    assert run.feed(ChildStarted(step=step, attempt=1, graph="child", digest="child", state={})) == ()


def test_a_join_that_fires_without_a_subgraph_cancels_it():
    nodes = {"s": {"next": ["g", "b"]}, "g": {"graph": "child", "next": "j"}, "b": {"next": "j"}, "j": {"join": "any"}}
    run = calling(nodes=nodes)
    run.give("s")
    run.give("g.a")
    run.give("b")
    assert run.nodes == ["j"]
    run.give("j")
    assert run.status == "completed"
    assert run.state.pending == 0


def test_cancelling_and_timing_out_reach_into_subgraphs():
    run = calling()
    run.give("s")
    run.give("g.a")
    run.feed(RunTimedOut(limit_s=1))
    assert (run.status, run.nodes) == ("failed", [])
    run.reopen()
    assert run.nodes == ["g.b", "g.c"]
    run.feed(RunCancelled())
    assert (run.status, run.nodes) == ("cancelled", [])


def test_stopping_on_failures_reaches_into_subgraphs_unless_their_step_retries_or_handles_them():
    for more, nodes_left in (({}, []), ({"retry": {"max_attempts": 2}}, ["g.d"]), ({"on_error": "e"}, ["g.d"])):
        nodes = {**CALLING, "g": {**CALLING["g"], **more}}
        wide = graph({"a": {"next": ["b", "c"]}, "b": {}, "c": {"next": "d"}, "d": {}})
        run = calling(wide, nodes, on_failure="stop")
        run.give("s")
        run.give("g.a")
        run.fail("g.b")
        run.give("g.c")
        assert run.nodes == nodes_left


# ------------------------------------------------------------------ limits


def test_a_subgraph_has_limits_of_its_own_and_counts_for_those_around_it():
    small = graph({"a": {"next": "b"}, "b": {"next": "c"}, "c": {}}, limits={"max_steps": 2})
    run = calling(small)
    for place in ("s", "g.a", "g.b"):
        run.give(place)
    assert run.errors == [("c", "LimitExceeded"), ("g", SUBGRAPH_FAILED)]
    assert run.state.scheduled == 4
    run = calling(LINE, limits={"max_steps": 3})
    for place in ("s", "g.a"):
        run.give(place)
    assert run.errors == [("b", "LimitExceeded"), ("g", SUBGRAPH_FAILED)]


def test_a_graph_that_calls_itself_ends_at_the_depth_limit():
    itself = graph({"a": {"graph": "child"}}, limits={"max_depth": 3})
    run = calling(itself)
    run.give("s")
    assert run.errors == [("a", "LimitExceeded"), *[("a", SUBGRAPH_FAILED)] * 3, ("g", SUBGRAPH_FAILED)]


def test_the_depth_limit_of_the_graph_around_counts_too():
    nested = graph({"a": {"graph": "child"}})
    run = calling(nested, limits={"max_depth": 2})
    run.give("s")
    assert run.errors == [("a", "LimitExceeded"), ("a", SUBGRAPH_FAILED), ("g", SUBGRAPH_FAILED)]


# ------------------------------------------------------------------ edits, snapshots, replay


def test_an_edit_stays_in_the_graph_that_it_names():
    run = calling(LINE)
    run.give("s")
    run.fail("g.a")
    run.feed(StateEdited(values={"x": 5}))
    run.feed(StateEdited(values={"x": 7}, within=child_step(run)))
    assert run.feed(StateEdited(values={"x": 9}, within=b"0123456789")) == ()
    run.reopen()
    assert run.seen("g.a")["x"] == 7
    run.play({})
    assert run.final is not None
    assert run.final["x"] == 5


def test_a_snapshot_at_any_point_is_the_same_run():
    run = calling()
    for place in ("s", "g.a", "g.c"):
        run.give(place, {"log": place})
        text = json.dumps(dump_state(run.state))
        state = load_state(run.plan, json.loads(text), lambda digest, _: run.children[digest])
        assert json.dumps(dump_state(state)) == text
        assert in_flight(state) == in_flight(run.state)
        assert state.pending == run.state.pending
        run._state = state
    for place in ("g.b", "g.d", "e"):
        run.give(place, {"log": place})
    assert run.final is not None
    assert run.final["out"] == ["g.a", "g.b", "g.c", "g.d"]


def test_a_snapshot_whose_subgraph_is_not_known_is_refused():
    run = calling(LINE)
    run.give("s")
    with pytest.raises(ValueError, match="child"):
        load_state(run.plan, dump_state(run.state))


def test_a_subgraph_that_is_over_but_not_settled_is_awaited():
    run = calling(LINE)
    for place in ("s", "g.a"):
        run.give(place)
    start = run.start("g.b")
    run._state = cut(run, resolve(run.state, start.step, 1, Raised(error=Failure(type="X", message="x"))))
    assert in_flight(run.state) == (FinishChild(step=child_step(run), attempt=1),)
    loaded = load_state(run.plan, dump_state(run.state), lambda digest, _: run.children[digest])
    assert in_flight(loaded) == in_flight(run.state)
    assert run.reopen() == (), "its step is about to be settled"


def cut(run: Run, outcome: StepFailed) -> Any:
    """The state after an outcome, before anybody acted on it."""
    return advance(run.plan, run.state, outcome).state


@pytest.mark.parametrize("order", range(5))
def test_a_replay_at_any_cut_is_the_same_run(order: int):
    run = calling().play({}, order)
    events = [codec.from_data(type(e).__name__, 1, json.loads(json.dumps(codec.to_data(e)))) for e in run.events]
    for length in range(1, len(events) + 1):
        state = None
        for event in events[:length]:
            state = replay(run.plan, state, [event], lambda digest, _: run.children[digest])
        assert state is not None
    assert dump_state(state) == dump_state(run.state)


def test_a_subgraph_without_a_known_plan_is_a_bug_of_the_caller():
    run = calling(LINE, {"s": {"tool": "t"}})
    with pytest.raises(ValueError, match="nowhere"):
        run.feed(ChildStarted(step=run.start("s").step, graph="nowhere", digest="x", state={}))


def test_a_computed_definition_is_kept_for_snapshots():
    run = calling(LINE, {"s": {"tool": "t"}})
    run.state.plans["x"] = LINE
    run.feed(ChildStarted(step=run.start("s").step, graph="", digest="x", state={}, definition={"name": "made"}))
    found: list[Json] = []

    def find(digest: str, definition: Json) -> Plan:
        found.append((digest, definition))
        return LINE

    loaded = load_state(run.plan, dump_state(run.state), find)
    assert found == [("x", {"name": "made"})]
    assert loaded.definitions == run.state.definitions


def test_cancelled_steps_are_given_up_by_name():
    run = calling()
    run.give("s")
    run.give("g.a")
    inner = {run.start("g.b").step, run.start("g.c").step}
    decisions = advance(run.plan, run.state, RunCancelled()).decisions
    assert {decision.step for decision in decisions if isinstance(decision, CancelStep)} == inner
