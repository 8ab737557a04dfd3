"""What the page of a run shows first."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.actor import Actor
from graphs.services import create_graph
from runs import overview
from runs.models import Run
from runs.overview import MapItems, NodeTurns, overview_of
from runs.services import start_run
from tests.support.play import Play

pytestmark = pytest.mark.django_db

# measure → judge → end
#    ↑________|
LOOP = {
    "name": "loop",
    "start_node": "measure",
    "nodes": {
        "measure": {"tool": "noop", "next": "judge"},
        "judge": {"tool": "noop", "next": {"condition": "score >= 7", "if_true": "end", "if_false": "measure"}},
    },
}

# split ⇉ work ⇉ gather
MAP = {
    "name": "map",
    "start_node": "split",
    "nodes": {
        "split": {
            "tool": "noop",
            "next": {"map": "= items", "to": "work", "join": "gather", "collect": {"done": "= item"}},
        },
        "work": {"tool": "noop", "next": "gather"},
        "gather": {"tool": "noop"},
    },
}


def playing(definition: dict[str, Any], actor: Actor, **state: Any) -> Play:
    return Play(start_run(version=create_graph(definition=definition, actor=actor), state=state, actor=actor))


def turns(run: Run) -> set[tuple[str, str, int]]:
    return {(each.node, each.status, each.count) for each in overview_of(run).nodes}


def test_turns_are_counted_by_node_and_status(actor: Actor) -> None:
    play = playing(LOOP, actor, score=3)
    play.complete("measure")
    play.complete("judge")
    play.complete("measure", score=8)
    assert turns(play.run) == {("measure", "completed", 2), ("judge", "completed", 1), ("judge", "running", 1)}


def test_a_run_that_goes_on_while_it_is_read_is_shown_as_it_was(actor: Actor) -> None:
    play = playing(LOOP, actor, score=3)
    play.complete("measure")
    before = overview_of(play.run)
    stale = Run.objects.get(pk=play.run.pk)
    play.complete("judge")
    play.complete("measure", score=8)
    play.complete("judge")
    assert overview_of(stale) == before
    assert overview_of(play.run) != before


def test_a_failed_step_tells_its_error(actor: Actor) -> None:
    play = playing(LOOP, actor, score=3)
    play.fail("measure", "no ruler")
    (step,) = overview_of(play.run).steps
    assert (step.status, step.error) == ("failed", "ValueError: no ruler")


def test_items_of_a_map_are_counted(actor: Actor) -> None:
    play = playing(MAP, actor, items=[1, 2, 3])
    play.complete("split")
    play.complete("work")
    play.complete("work")
    shown = overview_of(play.run)
    assert shown.events[-1]["message"] == "Collected item 1 of node: split"
    assert shown.maps == [MapItems(node="split", total=3, done=2, failed=0)]
    assert NodeTurns(node="split", status="running", count=1, latest_seq=0) in shown.nodes
    play.complete("work")
    assert ("split", "completed", 1) in turns(play.run)


def test_events_come_without_the_values_that_they_wrote(actor: Actor) -> None:
    play = playing(LOOP, actor, score=3, text="x" * 1000)
    play.complete("measure", text="y" * 1000)
    started, completed = overview_of(play.run).events
    assert [started["type"], completed["type"]] == ["RunStarted", "StepCompleted"]
    assert completed["data"].keys() == {"route", "scheduled"}


def test_only_the_newest_steps_and_events_come_with_the_page(actor: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "MAX_STEPS", 2)
    monkeypatch.setattr(overview, "MAX_EVENTS", 1)
    play = playing(LOOP, actor, score=3)
    play.complete("measure")
    play.complete("judge")
    shown = overview_of(play.run)
    assert [step.node for step in shown.steps] == ["judge", "measure"]
    assert [event["node"] for event in shown.events] == ["judge"]


def test_a_step_that_goes_on_comes_with_the_page_however_old(actor: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "MAX_STEPS", 1)
    nodes = {**LOOP["nodes"], "fork": {"tool": "noop", "next": ["slow", "measure"]}, "slow": {"tool": "noop"}}
    play = playing({"name": "fork", "start_node": "fork", "nodes": nodes}, actor, score=3)
    play.complete("fork")
    play.complete("measure")
    assert [(step.node, step.status) for step in overview_of(play.run).steps] == [
        ("slow", "running"),
        ("judge", "running"),
    ]


def test_the_state_is_that_of_the_moment(actor: Actor) -> None:
    play = playing(LOOP, actor, score=3)
    play.complete("measure", score=5)
    state = overview_of(play.run).state
    assert state is not None
    assert (state.seq, state.values) == (play.run.seq, {"score": 5})


def test_a_very_large_state_does_not_come_with_the_page(actor: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "MAX_STATE_BYTES", 100)
    assert overview_of(playing(LOOP, actor, score=3, text="x" * 100).run).state is None
