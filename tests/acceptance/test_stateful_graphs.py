"""Graphs as LangGraph's tests have them: each in several orders with dying workers, and all of them by a driver."""

import itertools
import json
from typing import Any

import pytest

from accounts.actor import Actor
from graphs import services as graphs
from runs import control, services
from runs.forking import fork_run
from runs.models import Event, Run, Step
from runs.selectors import current_state, state_at
from tests.acceptance.cases import Case, assert_driven_as_simulated, do, graph, reducing, rows
from tests.acceptance.stateful_graphs import CASES
from tests.support.runs import driving, finish
from tests.support.waiting import wait_until

NUMBERS = itertools.count()


@rows(CASES)
def test_a_graph_over_a_shared_state(case: Case) -> None:
    case.simulate()


@pytest.mark.django_db(transaction=True)
def test_a_driver_comes_to_the_same(actor) -> None:
    assert_driven_as_simulated(CASES, actor)


# --------------------------------------------------------------------------- of threads, checkpoints and states

AB = {"a": do("b", update={"n": "= n + 1"}), "b": do("c", update={"n": "= n * 10"}), "c": do()}


def started(actor: Actor, nodes: dict[str, Any], given: dict[str, Any] | None = None, **more: Any) -> Run:
    breakpoints = more.pop("breakpoints", ())
    version = graphs.create_graph(definition={**graph(nodes, **more), "name": f"stateful {next(NUMBERS)}"}, actor=actor)
    return services.start_run(version=version, state=given or {}, actor=actor, breakpoints=breakpoints)


def paused(run: Run) -> Run:
    wait_until(lambda: Run.objects.filter(pk=run.pk, status="paused", driver=None).exists(), "it is paused")
    run.refresh_from_db()
    return run


def seq_after(run: Run, node: str) -> int:
    step = Step.objects.get(run=run, node=node).step.hex()
    events = Event.objects.filter(run=run, type="StepCompleted").values_list("seq", "data")
    return next(seq for seq, data in events if json.loads(data)["step"] == step)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("when", "log"), [("before", ["a"]), ("after", ["a", "b"])])
def test_a_static_breakpoint_holds_the_run_and_an_update_of_the_state_is_seen_when_it_goes_on(actor, when, log):
    with driving():
        run = paused(started(actor, AB, {"n": 1}, breakpoints=[{"node": "b", "when": when}]))
        assert current_state(run).values["log"] == log
        control.edit_state(run=run, actor=actor, values={"n": 7, "log": ["edited"]})
        control.resume_run(run=run, actor=actor)
        assert finish(run).status == "completed"
    expected = {"n": 70, "log": ["edited", "b", "c"]} if when == "before" else {"n": 7, "log": ["edited", "c"]}
    assert current_state(run).values == expected


@pytest.mark.django_db(transaction=True)
def test_time_travel_goes_on_from_an_earlier_state_and_leaves_the_run_alone(actor):
    with driving():
        run = finish(started(actor, AB, {"n": 1}))
        fork = fork_run(run=run, at_seq=seq_after(run, "a"), actor=actor)
        edited = fork_run(run=run, at_seq=seq_after(run, "b"), actor=actor, values={"n": 0})
        finish(fork)
        finish(edited)
    assert current_state(run).values == current_state(fork).values == {"n": 20, "log": ["a", "b", "c"]}
    assert current_state(edited).values == {"n": 0, "log": ["a", "b", "c"]}
    assert [list(Step.objects.filter(run=one).values_list("node", flat=True)) for one in (fork, edited)] == [
        ["b", "c"],
        ["c"],
    ]
    assert state_at(run, seq_after(run, "a")).values == {"n": 2, "log": ["a"]}


@pytest.mark.django_db(transaction=True)
def test_after_a_failure_only_what_failed_runs_again(actor):
    nodes = {
        "s": do(["a", "b"]),
        "a": do("j", fails="Hiccup", times=1),
        "b": do("c"),
        "c": do("j"),
        "j": do(join="all"),
    }
    with driving():
        run = finish(started(actor, nodes))
        assert (run.status, current_state(run).values["log"]) == ("failed", ["s", "b", "c"])
        control.retry_run(run=run, actor=actor)
        wait_until(lambda: Run.objects.filter(pk=run.pk, status="completed").exists(), "it has completed")
    assert current_state(run).values["log"] == ["s", "a", "b", "c", "j"]
    assert dict(Step.objects.filter(run=run).values_list("node", "attempt")) == {"s": 1, "a": 2, "b": 1, "c": 1, "j": 1}


@pytest.mark.django_db(transaction=True)
def test_every_durability_comes_to_the_same(actor):
    nodes = dict(CASES["a loop that fans out and joins in each turn"].nodes)
    with driving():
        runs = [finish(started(actor, nodes, {"n": 0}, durability=mode)) for mode in ("sync", "async", "exit")]
    assert [current_state(run).values for run in runs] == [{"n": 3, "log": ["s", "a", "b", "j"] * 3}] * 3


@pytest.mark.django_db(transaction=True)
def test_a_thread_goes_on_as_the_next_run_over_the_state_of_the_last(actor):
    nodes = {"a": do(update={"messages": ["= said", "= 'you said ' + said"]})}
    state = reducing(messages="extend")
    with driving():
        first = finish(started(actor, nodes, {"said": "hi"}, state=state))
        second = finish(started(actor, nodes, {**current_state(first).values, "said": "bye"}, state=state))
    assert current_state(second).values["messages"] == ["hi", "you said hi", "bye", "you said bye"]


@pytest.mark.django_db(transaction=True)
def test_updates_are_streamed_in_an_order_in_which_every_step_follows_what_led_to_it(actor):
    with driving():
        run = finish(started(actor, dict(CASES["branches over many edges meet twice"].nodes)))
    data = Event.objects.filter(run=run, type="StepCompleted").order_by("seq").values_list("data", flat=True)
    order = [json.loads(one)["update"]["log"] for one in data]
    edges = ["sa", "sb", "sc", ("a", "ab"), ("b", "ab"), ("b", "bc"), ("c", "bc"), ("ab", "j"), ("bc", "j")]
    assert all(order.index(before) < order.index(after) for before, after in edges)
