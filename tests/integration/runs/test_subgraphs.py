"""Graphs that call graphs, in a real driver."""

import json
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.actor import Actor
from graphs import services as graphs
from graphs.models import GraphVersion
from runs import selectors
from runs.control import edit_state, has_effect
from runs.log import render
from runs.models import Event, Run, Step
from runs.redaction import redaction_of
from runs.services import start_run
from tests.support.runs import driving, finish, start
from tests.support.tools import gate
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

# double: counts from x to 2 x, two steps in a fork
COUNT: dict[str, Any] = {
    "name": "count",
    "start_node": "a",
    "nodes": {"a": {"tool": "increment", "next": {"condition": "n >= to", "if_true": "end", "if_false": "a"}}},
    "state": {
        "defaults": {"n": 0},
        "schema": {"type": "object", "properties": {"to": {"type": "integer"}}, "required": ["to"]},
    },
}
CALL = {"graph": "count", "inputs": {"to": "= goal"}, "outputs": {"reached": "= result.n"}}


def publish(actor: Actor, definition: dict[str, Any], **changes: Any) -> GraphVersion:
    return graphs.create_graph(definition={**definition, **changes}, actor=actor)


def state_of(run: Run) -> dict[str, Any]:
    return selectors.current_state(run).values


def test_a_subgraph_runs_in_the_same_run_and_gives_its_final_state(actor):
    publish(actor, COUNT)
    with driving():
        run = finish(start(actor, {"c": {**CALL, "next": "e"}, "e": {}}, {"goal": 3}))
    assert run.status == "completed"
    assert state_of(run) == {"goal": 3, "reached": 3}
    steps = list(Step.objects.filter(run=run).order_by("scheduled_seq").values_list("node", "path", "status"))
    assert steps == [("c", "", "completed"), *[("a", "c", "completed")] * 3, ("e", "", "completed")]
    assert json.loads(Event.objects.get(run=run, type="ChildStarted").data)["graph"] == "count@1"


def test_a_caller_keeps_the_version_that_it_was_published_with_unless_it_wants_the_latest(actor):
    first = publish(actor, COUNT)
    pinned = publish(actor, {"name": "pinned", "start_node": "c", "nodes": {"c": CALL}})
    latest = publish(actor, {"name": "latest", "start_node": "c", "nodes": {"c": {**CALL, "graph": "count@latest"}}})
    more = {**COUNT, "state": {**COUNT["state"], "defaults": {"n": 100}}}
    draft = graphs.create_draft(graph=first.graph, definition=more, actor=actor)
    graphs.publish_version(version=draft, actor=actor)
    with driving():
        runs = [finish(start_run(version=version, state={"goal": 1}, actor=actor)) for version in (pinned, latest)]
    assert [state_of(run)["reached"] for run in runs] == [1, 101]


def test_a_definition_may_be_computed_and_is_checked_before_it_starts(actor):
    nodes = {"c": {"graph": "= plan", "inputs": {"to": 2}, "outputs": {"reached": "= result.n"}}}
    with driving():
        run = finish(start(actor, nodes, {"plan": COUNT}))
        bad = finish(start(actor, nodes, {"plan": {**COUNT, "start_node": "nowhere"}}))
        unknown = finish(start(actor, nodes, {"plan": "nobody"}))
    assert state_of(run)["reached"] == 2
    assert bad.error.startswith("c: DefinitionInvalid")
    assert unknown.error.startswith("c: GraphNotFound")


def test_the_initial_state_of_a_subgraph_must_fit_its_schema(actor):
    publish(actor, COUNT)
    with driving():
        run = finish(start(actor, {"c": {**CALL, "inputs": {"to": "many"}}}, {"goal": 3}))
    assert run.error.startswith("c: StateSchemaError")


def test_what_fails_inside_may_be_tried_again_as_a_whole_and_handled(actor):
    failing = {"name": "failing", "start_node": "a", "nodes": {"a": {"tool": "misbehave", "inputs": {"how": "raise"}}}}
    publish(actor, failing)
    retry = {"max_attempts": 2, "initial_interval_s": 0.01, "jitter": False}
    nodes = {"c": {"graph": "failing", "retry": retry, "on_error": [{"match": "ValueError", "to": "h"}]}, "h": {}}
    with driving():
        run = finish(start(actor, nodes))
        unhandled = finish(start(actor, {"c": {"graph": "failing"}}))
    assert run.status == "completed"
    assert Step.objects.filter(run=run, node="a").count() == 2
    assert unhandled.status == "failed"


@pytest.mark.parametrize("timeout", ["of the step", "of the graph", "of all attempts"])
def test_a_subgraph_has_its_time(actor, timeout: str):
    slow = {"name": "slow", "start_node": "a", "nodes": {"a": {"wait": {"seconds": 3600}}}}
    publish(actor, slow, **({"limits": {"timeout_s": 0.1}} if timeout == "of the graph" else {}))
    more = {"of the step": {"timeout_s": 0.1}, "of all attempts": {"deadline_s": 1}}.get(timeout, {})
    with driving():
        run = finish(start(actor, {"c": {"graph": "slow", **more}}))
    assert run.error.startswith("c: TimeoutError")
    assert Step.objects.get(run=run, node="a").status == Step.Status.CANCELLED


def test_a_subgraph_that_waits_leaves_memory_with_its_run_and_comes_back(actor):
    slow = {"name": "slow", "start_node": "a", "nodes": {"a": {"wait": {"seconds": 7}, "next": "b"}, "b": {}}}
    publish(actor, slow)
    with driving():
        run = start(actor, {"c": {"graph": "slow", "next": "e"}, "e": {}})
        wait_until(lambda: Run.objects.get(pk=run.pk).status == "waiting", "it has left memory")
        assert finish(run).status == "completed"
    run.refresh_from_db()
    assert run.epoch == 2


def test_maps_call_graphs_for_each_item(actor):
    publish(actor, COUNT)
    nodes = {
        "s": {"next": {"map": "= goals", "as": "goal", "to": "c", "join": "j", "collect": {"all": "= reached"}}},
        "c": {**CALL, "next": "j"},
        "j": {},
    }
    with driving():
        run = finish(start(actor, nodes, {"goals": [3, 1, 2]}))
    assert state_of(run)["all"] == [3, 1, 2]


SECRET = {"type": "string", "format": "password"}


@pytest.mark.parametrize("outputs", [{}, {"outputs": {"size": "= len(result.pin)"}}], ids=["", "with outputs"])
@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"pin": SECRET}},
        {"additionalProperties": SECRET},
        {"patternProperties": {"^p": SECRET}},
        {"allOf": [{"properties": {"pin": SECRET}}]},
        {"properties": {"pin": {}}, "if": {}, "then": {"properties": {"pin": SECRET}}},
        {"properties": {"pin": {}}, "writeOnly": True},
    ],
    ids=["named", "additional", "by pattern", "combined", "conditional", "whole"],
)
def test_what_a_subgraph_marks_secret_is_shown_in_none_of_its_entries(actor, schema, outputs):
    secretive = {
        "name": "secretive",
        "start_node": "a",
        "nodes": {"a": {"tool": "give", "inputs": {"value": {"pin": "9876-canary"}}}},
        "state": {"schema": schema},
    }
    publish(actor, secretive)
    with driving():
        run = finish(start(actor, {"c": {"graph": "secretive", "inputs": {"pin": "5432-canary"}, **outputs}}))
    assert run.status == "completed", run.error
    shown = [render(event, redaction_of(run)) for event in Event.objects.filter(run=run)]
    assert [entry["type"] for entry in shown].count("ChildStarted") == 1
    assert "canary" not in json.dumps(shown)


def test_an_edit_of_what_a_subgraph_marks_secret_is_not_shown(actor):
    inner = {"name": "secretive", "start_node": "a", "nodes": {"a": {}}}
    publish(actor, inner, state={"schema": {"additionalProperties": SECRET}})
    with driving():
        run = start(actor, {"c": {"graph": "secretive", "outputs": {}}}, breakpoints=[{"node": "a"}])
        wait_until(lambda: Run.objects.get(pk=run.pk).status == "paused", "the run stands in the subgraph")
        call = Step.objects.get(run=run, node="c")
        mail = edit_state(run=run, actor=actor, values={"pin": "9876-canary"}, within=call.key)
        wait_until(lambda: has_effect(mail), "it is edited")
    (edited,) = [render(event, redaction_of(run)) for event in Event.objects.filter(run=run, type="StateEdited")]
    assert edited["data"]["values"] == {"pin": "[redacted]"}


def test_the_limit_of_a_subgraph_on_parallel_steps_holds_beside_that_of_the_run(actor):
    names = ["a", "b", "c"]
    waits = {name: {"tool": "wait_for", "inputs": {"name": name}, "outputs": {}, "next": "j"} for name in names}
    nodes = {"s": {"next": names}, **waits, "j": {"join": "all"}}
    publish(actor, {"name": "narrow", "start_node": "s", "nodes": nodes, "limits": {"max_parallel": 2}})
    entered = {name: gate(name) for name in names}
    with driving():
        run = start(actor, {"f": {"next": ["call", "w"]}, "call": {"graph": "narrow"}, "w": {"tool": "increment"}})
        for name in "ab":
            assert entered[name][0].wait(10)
        wait_until(lambda: Step.objects.filter(run=run, node="w", status="completed").exists(), "w is over")
        assert not entered["c"][0].is_set()
        entered["a"][1].set()
        assert entered["c"][0].wait(10)
        for _, opened in entered.values():
            opened.set()
        finish(run)
    assert run.status == "completed"


def test_a_graph_that_calls_itself_recurs_until_it_has_enough_or_is_too_deep(actor):
    node = {"graph": "down", "inputs": {"n": "= n - 1"}, "outputs": {"depth": "= result.depth + 1"}}
    enough = {"condition": "n <= 0", "if_true": "end", "if_false": "call"}
    recursive = {"start_node": "s", "nodes": {"s": {"next": enough}, "call": node}, "state": {"defaults": {"depth": 0}}}
    version = publish(actor, {"name": "down", **recursive, "limits": {"max_depth": 4}})
    with driving():
        deep, too_deep = [finish(start_run(version=version, state={"n": n}, actor=actor)) for n in (4, 5)]
    assert (deep.status, state_of(deep)) == ("completed", {"n": 4, "depth": 4})
    assert too_deep.status == "failed"


def test_the_state_of_a_subgraph_can_be_read_while_it_runs_and_when_it_is_over(actor, api_client: APIClient):
    entered, opened = gate("within")
    wait = {"tool": "wait_for", "inputs": {"name": "within"}, "outputs": {}}
    secret = {"schema": {"type": "object", "properties": {"pin": {"type": "string", "writeOnly": True}}}}
    inner = {"name": "inner", "start_node": "a", "nodes": {"a": {"tool": "increment", "next": "w"}, "w": wait}}
    publish(actor, inner, state={"defaults": {"n": 6, "pin": "1234"}, **secret})
    with driving():
        run = start(actor, {"e": {"next": "c"}, "c": {"graph": "inner", "outputs": {}}}, {"own": 1})
        wait_until(entered.is_set, "the subgraph waits")
        root, call = Step.objects.filter(run=run).order_by("scheduled_seq")[:2]
        url = f"/api/v1/runs/{run.uuid}/state/"
        state = api_client.get(url, {"within": call.key}).json()
        assert state["values"] == {"n": 7, "pin": "[redacted]"}
        assert api_client.get(url).json()["values"] == {"own": 1}
        earlier = api_client.get(url, {"within": call.key, "seq": state["seq"] - 1}).json()
        assert earlier["values"]["n"] == 6
        assert api_client.get(url, {"within": root.key}).status_code == 404
        assert api_client.get(url, {"within": "0" * 20}).status_code == 404
        assert api_client.get(url, {"within": "x"}).status_code == 422
        opened.set()
        finish(run)
    over = api_client.get(url, {"within": call.key}).json()
    assert over["values"] == {"n": 7, "pin": "[redacted]"}
    assert over["seq"] < Run.objects.get(pk=run.pk).seq
