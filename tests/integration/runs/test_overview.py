"""What the page of a run shows first."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.actor import Actor
from graphs.models import GraphVersion
from graphs.services import create_graph
from runs import overview
from runs.engine.events import AttemptFailed, ChildStarted, Failure, RunPaused, StepWaiting
from runs.models import Run
from runs.overview import MapItems, NodeTurns, Subgraph, overview_of, untold_items
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


def calling(actor: Actor, part: dict[str, Any] = LOOP, **state: Any) -> tuple[Play, GraphVersion]:
    """A run whose node `call` has called `part`, of which the first step is done."""
    called = create_graph(definition=part, actor=actor)
    nodes = {"call": {"graph": called.graph.slug}}
    play = playing({"name": "caller", "start_node": "call", "nodes": nodes}, actor)
    begun = {"graph": f"{called.graph.slug}@1", "digest": called.sha256, "state": {"score": 3, **state}}
    play.happen(ChildStarted, "call", **begun)
    play.complete(part["start_node"])
    return play, called


def turns(run: Run) -> set[tuple[str, str, int]]:
    return {(each.address, each.status, each.count) for each in overview_of(run).nodes}


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
    assert shown.maps == [MapItems(address="split", total=3, done=2, failed=0)]
    assert NodeTurns(address="split", status="open", count=1, latest_seq=0) in shown.nodes
    play.complete("work")
    assert ("split", "completed", 1) in turns(play.run)


def test_items_of_an_open_map_that_collects_nothing_are_counted_from_the_state(actor: Actor) -> None:
    route = {"map": "= items", "to": "work", "join": "gather"}
    nodes = {**MAP["nodes"], "split": {"tool": "noop", "next": route}}
    play = playing({**MAP, "nodes": nodes}, actor, items=[1, 2, 3])
    assert untold_items(play.run) == []
    play.complete("split")
    play.complete("work")
    expected = [MapItems(address="split", total=3, done=1, failed=0)]
    assert overview_of(play.run).maps == untold_items(play.run) == expected
    play.fail("work", "no")
    assert untold_items(play.run) == [MapItems(address="split", total=3, done=1, failed=1)]


def test_events_come_without_the_values_that_they_wrote(actor: Actor) -> None:
    play = playing(LOOP, actor, score=3, text="x" * 1000)
    play.complete("measure", text="y" * 1000)
    started, completed = overview_of(play.run).events
    assert [started["type"], completed["type"]] == ["RunStarted", "StepCompleted"]
    assert completed["data"].keys() == {"took_ms", "route", "scheduled"}


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


WAIT = {"kind": "wait", "entries": [{"signal": "paid"}], "since": "2026-01-01T00:00:00+00:00", "timeout_at": None}
ERROR = Failure(type="ValueError", message="no")


def open_steps(run: Run) -> list[tuple[str, str, Any]]:
    return [(step.node, step.status, step.wait) for step in overview_of(run).steps if step.finished_at is None]


def test_a_step_that_waits_says_for_what(actor: Actor) -> None:
    play = playing(LOOP, actor, score=3)
    play.happen(StepWaiting, "measure", wait=WAIT)
    assert open_steps(play.run) == [("measure", "waiting", WAIT)]
    assert turns(play.run) == {("measure", "waiting", 1)}


def test_what_a_step_waits_for_is_hidden_where_the_state_has_secrets(actor: Actor) -> None:
    secret = {"schema": {"type": "object", "properties": {"token": {"type": "string", "writeOnly": True}}}}
    play = playing({**LOOP, "state": secret}, actor, score=3)
    play.happen(StepWaiting, "measure", wait=WAIT)
    assert open_steps(play.run) == [("measure", "waiting", "[redacted]")]
    assert overview_of(play.run).events[-1]["message"] == "Waiting at node: measure"


def test_a_step_whose_attempt_failed_says_when_the_next_is_due(actor: Actor) -> None:
    play = playing(LOOP, actor, score=3)
    play.happen(AttemptFailed, "measure", error=ERROR, retry_at="2026-01-01T00:00:00+00:00")
    assert open_steps(play.run) == [("measure", "retrying", {"kind": "retry", "at": "2026-01-01T00:00:00+00:00"})]
    assert overview_of(play.run).steps[0].attempt == 2


def test_what_a_pause_holds_is_held_whether_it_was_given_out_or_not(actor: Actor) -> None:
    nodes = {**LOOP["nodes"], "fork": {"tool": "noop", "next": ["slow", "measure"]}, "slow": {"tool": "noop"}}
    play = playing({"name": "fork", "start_node": "fork", "nodes": nodes}, actor, score=3)
    play.complete("fork")
    slow = play.run.steps.get(node="slow")
    play.tell(RunPaused(held=(bytes(slow.step),)))
    play.complete("measure")
    assert overview_of(play.run).is_paused
    assert open_steps(play.run) == [("slow", "held", None)]
    assert turns(play.run) >= {("slow", "held", 1), ("judge", "ahead", 1)}


def test_steps_of_a_subgraph_are_counted_at_its_place(actor: Actor) -> None:
    play, part = calling(actor)
    assert turns(play.run) == {("call", "open", 1), ("call/measure", "completed", 1), ("call/judge", "running", 1)}
    assert overview_of(play.run).subgraphs == [
        Subgraph(place="call", graph="loop@1", digest=part.sha256, paths=["call"])
    ]


def test_items_of_a_map_in_a_subgraph_are_counted(actor: Actor) -> None:
    play, _ = calling(actor, MAP, items=[1, 2])
    assert overview_of(play.run).maps == [MapItems(address="call/split", total=2, done=0, failed=0)]


def test_what_undoes_a_step_is_told_from_its_turns(actor: Actor) -> None:
    nodes = {
        "book": {"tool": "noop", "compensate": "noop", "next": "pay"},
        "pay": {"tool": "noop"},
    }
    play = playing({"name": "undo", "start_node": "book", "nodes": nodes}, actor)
    play.complete("book")
    play.fail("pay", "declined")
    shown = overview_of(play.run)
    assert shown.is_undoing
    assert turns(play.run) == {("book", "completed", 1), ("book", "running", 1), ("pay", "failed", 1)}
    play.complete("book")
    assert turns(play.run) == {("book", "completed", 1), ("book", "undone", 1), ("pay", "failed", 1)}
    assert [step.status for step in overview_of(play.run).steps] == ["completed", "failed", "undone"]


def test_the_state_is_that_of_the_moment(actor: Actor) -> None:
    play = playing(LOOP, actor, score=3)
    play.complete("measure", score=5)
    state = overview_of(play.run).state
    assert state is not None
    assert (state.seq, state.values) == (play.run.seq, {"score": 5})


def test_a_very_large_state_does_not_come_with_the_page(actor: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "MAX_STATE_BYTES", 100)
    assert overview_of(playing(LOOP, actor, score=3, text="x" * 100).run).state is None
