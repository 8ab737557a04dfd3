"""Control verbs in a real driver: pause, step, breakpoints, edit, retry, limit, cancel, and undoing."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from graphs import services as graphs
from graphs.models import GraphVersion
from runs import control, selectors
from runs.breakpoints import breakpoints_of
from runs.driver import registration
from runs.engine import ids, pausing
from runs.errors import ControlConflict, ControlInvalid, KeyUsedBefore, RunFinished
from runs.models import Event, Mailbox, Run, Step
from runs.store import open_store
from runs.store.mail import post
from runs.store.takeover import hand_back, take_over
from tests.conftest import acting
from tests.support.runs import definition, driving, finish, start
from tests.support.tools import gate
from tests.support.waiting import wait_until
from tools import Context, tool

pytestmark = pytest.mark.django_db(transaction=True)

LOOP = {
    "count": {"tool": "increment", "next": {"condition": "n >= 3", "if_true": "hold", "if_false": "count"}},
    "hold": {"tool": "wait_for", "inputs": {"name": "hold"}, "next": "rest"},
    "rest": {"tool": "increment"},
}
broken: set[str] = set()
"""The names at which `break_while` fails."""
undone: list[str] = []


@tool
def break_while(name: str) -> dict:
    if name in broken:
        raise ValueError(f"{name} is broken")
    return {name: "whole"}


@tool
def undo(what: str, ctx: Context) -> dict:
    undone.append(what)
    if what in broken:
        raise ValueError(f"cannot undo {what}")
    return {"undone": what}


@pytest.fixture(autouse=True)
def _whole() -> Iterator[None]:
    broken.clear()
    undone.clear()
    yield
    broken.clear()


def types(run: Run) -> list[str]:
    return list(Event.objects.filter(run=run).order_by("seq").values_list("type", flat=True))


def data(run: Run, type_: str) -> list[dict[str, Any]]:
    return [
        json.loads(text)
        for text in Event.objects.filter(run=run, type=type_).order_by("seq").values_list("data", flat=True)
    ]


def nodes(run: Run, status: str = "completed") -> list[str]:
    return list(Step.objects.filter(run=run, status=status).order_by("finished_seq").values_list("node", flat=True))


def state(run: Run) -> dict[str, Any]:
    run.refresh_from_db()
    return selectors.current_state(run).values


def is_at_rest(run: Run) -> bool:
    """Whether it is paused and nobody drives it."""
    run.refresh_from_db()
    return run.status == Run.Status.PAUSED and run.driver_id is None


def rest(run: Run) -> None:
    wait_until(lambda: is_at_rest(run), "the run is paused and nobody drives it")


def held(run: Run) -> dict[str, str]:
    """The steps that a pause holds, by path and node."""
    run.refresh_from_db()
    branches = pausing.held(selectors.engine_state(run))
    return {f"{branch.scope.path}.{branch.node_plan.name}".strip("."): branch.id.hex() for branch in branches}


def paused_at(actor, definition: dict[str, Any], node: str, initial: dict[str, Any] | None = None, **more: Any) -> Run:
    """A run that stands before a node, at rest. Needs a driver."""
    run = start(actor, definition, initial, breakpoints=[{"node": node}], **more)
    rest(run)
    return run


# --------------------------------------------------------------------------- pause and resume


def test_a_pause_lets_the_tool_in_flight_end_and_starts_nothing_new(actor):
    entered, opened = gate("hold")
    with driving():
        run = start(actor, LOOP, {"n": 0})
        wait_until(entered.is_set, "the tool runs")
        control.pause_run(run=run, actor=actor, reason="lunch")
        wait_until(lambda: "RunPaused" in types(run), "the pause is taken in")
        run.refresh_from_db()
        assert run.status == "paused"
        assert run.driver_id is not None
        opened.set()
        rest(run)
        assert nodes(run) == ["count", "count", "count", "hold"]
        assert list(held(run)) == ["rest"]
        control.resume_run(run=run, actor=actor)
        assert finish(run).status == "completed"
    assert state(run)["n"] == 4
    assert data(run, "RunPaused")[0]["actor"] == "owner"


def test_a_run_can_be_paused_before_anybody_drives_it(actor):
    run = start(actor, {"a": {"tool": "increment"}}, {"n": 0})
    control.pause_run(run=run, actor=actor)
    with driving():
        rest(run)
        assert nodes(run) == []
        control.resume_run(run=run, actor=actor)
        assert finish(run).status == "completed"


def test_all_mail_that_waited_for_a_driver_counts(actor):
    with driving():
        run = paused_at(actor, {"a": {"tool": "increment"}}, "a", {"n": 0})
    control.edit_state(run=run, actor=actor, values={"n": 10})
    control.resume_run(run=run, actor=actor)
    with driving():
        assert finish(run).status == "completed"
    assert state(run)["n"] == 11


def test_a_paused_run_survives_its_driver_and_keeps_waiting(actor):
    with driving():
        run = paused_at(actor, LOOP, "hold", {"n": 0})
    Run.objects.filter(pk=run.pk).update(wake_at=run.created_at)
    with driving():
        wait_until(lambda: Run.objects.get(pk=run.pk).epoch == 2, "somebody takes it up")
        rest(run)
        _, opened = gate("hold")
        opened.set()
        control.resume_run(run=run, actor=actor)
        assert finish(run).status == "completed"
    assert "StepRescheduled" not in types(run)


def test_the_time_of_a_run_that_was_opened_again_outlives_a_pause(actor):
    """Resuming must not put the old deadline back."""
    broken.add("a")
    with driving():
        run = finish(
            start(
                actor,
                {
                    "a": {"tool": "break_while", "inputs": {"name": "a"}},
                },
                limits={"timeout_s": 60},
            )
        )
    Run.objects.filter(pk=run.pk).update(started_at=run.started_at.replace(year=2020))
    broken.clear()
    control.set_breakpoints(run=run, actor=actor, breakpoints=[{"node": "a"}])
    control.retry_run(run=run, actor=actor)
    with driving():
        rest(run)
        assert run.deadline_at is not None
        control.resume_run(run=run, actor=actor)
        assert finish(run).status == "completed"


# --------------------------------------------------------------------------- stepping

MAPPED = {
    "fan": {"next": {"map": "= [1, 2]", "as": "item", "to": "one", "join": "after", "collect": {"out": "= item"}}},
    "one": {"next": "two"},
    "two": {"next": "after"},
    "after": {},
}


def test_stepping_into_a_map_stops_at_every_step_of_it(actor):
    with driving():
        run = paused_at(actor, MAPPED, "fan")
        control.step_run(run=run, actor=actor)
        wait_until(lambda: list(held(run)) == ["fan[0].one", "fan[1].one"], "it stands in the map")
        control.step_run(run=run, actor=actor, steps=[held(run)["fan[1].one"]])
        wait_until(lambda: sorted(held(run)) == ["fan[0].one", "fan[1].two"], "one item went on")
        rest(run)


def test_stepping_over_a_map_stops_behind_it(actor):
    with driving():
        run = paused_at(actor, MAPPED, "fan")
        control.step_run(run=run, actor=actor, mode="over")
        wait_until(lambda: list(held(run)) == ["after"], "it stands behind the map")
        rest(run)
        control.resume_run(run=run, actor=actor)
        assert finish(run).status == "completed"
    assert state(run)["out"] == [1, 2]


def test_stepping_out_leaves_the_item_and_holds_the_others(actor):
    with driving():
        run = paused_at(actor, MAPPED, "fan")
        control.step_run(run=run, actor=actor)
        wait_until(lambda: len(held(run)) == 2, "it stands in the map")
        control.step_run(run=run, actor=actor, mode="out", steps=[held(run)["fan[0].one"]])
        wait_until(lambda: list(held(run)) == ["fan[1].one"], "one item is over")
        rest(run)


def test_stepping_into_and_over_a_subgraph(actor):
    child = {"name": "inner child", "start_node": "a", "nodes": {"a": {"next": "b"}, "b": {}}}
    calling = {"s": {"graph": child_slug(actor, child), "next": "e"}, "e": {}}
    with driving():
        into = paused_at(actor, calling, "s")
        control.step_run(run=into, actor=actor)
        wait_until(lambda: list(held(into)) == ["s.a"], "it stands in the subgraph")
        control.step_run(run=into, actor=actor, mode="out")
        wait_until(lambda: list(held(into)) == ["e"], "it stands behind the subgraph")
        over = paused_at(actor, calling, "s")
        control.step_run(run=over, actor=actor, mode="over")
        wait_until(lambda: list(held(over)) == ["e"], "it stands behind the subgraph")


def child_slug(actor, child: dict[str, Any]) -> str:
    return graphs.create_graph(definition=child, actor=actor).graph.slug


# --------------------------------------------------------------------------- breakpoints


def test_a_breakpoint_counts_and_stops_where_its_condition_holds(actor):
    breakpoint_ = {"id": "b", "node": "count", "when": "before", "condition": "n >= 1", "hit_count": 2}
    with driving():
        run = start(actor, {**LOOP, "hold": {"next": "rest"}}, {"n": 0}, breakpoints=[breakpoint_])
        rest(run)
        assert state(run)["n"] == 2
        assert breakpoints_of(run) == [{**breakpoint_, "hits": 2}]
        control.resume_run(run=run, actor=actor)
        assert finish(run).status == "completed"
    assert [(hit["node"], hit.get("stops", False)) for hit in data(run, "BreakpointHit")] == [
        ("count", False),
        ("count", True),
    ]


def test_a_breakpoint_that_is_set_during_the_run_stops_after_a_step(actor):
    entered, opened = gate("hold")
    with driving():
        run = start(actor, LOOP, {"n": 0})
        wait_until(entered.is_set, "the tool runs")
        control.set_breakpoints(run=run, actor=actor, breakpoints=[{"node": "hold", "when": "after"}])
        wait_until(lambda: "BreakpointsSet" in types(run), "it is set")
        opened.set()
        rest(run)
        assert list(held(run)) == ["rest"]
        assert data(run, "BreakpointHit")[0]["node"] == "hold"
        control.resume_run(run=run, actor=actor)
        assert finish(run).status == "completed"


def test_a_breakpoint_after_a_map_stops_when_the_map_is_over(actor):
    with driving():
        run = start(actor, MAPPED, breakpoints=[{"node": "fan", "when": "after"}])
        rest(run)
        assert list(held(run)) == ["after"]
        assert state(run)["out"] == [1, 2]


def test_a_breakpoint_can_name_one_item_of_a_map(actor):
    with driving():
        run = start(actor, MAPPED, breakpoints=[{"node": "two", "path": "fan[1]"}])
        rest(run)
    assert {hit["path"] for hit in data(run, "BreakpointHit")} == {"fan[1]"}


# --------------------------------------------------------------------------- edit


def test_the_next_step_sees_what_was_edited_while_the_run_was_paused(actor):
    with driving():
        run = paused_at(
            actor, {"a": {"tool": "increment", "next": "b"}, "b": {"tool": "increment"}}, "b", {"n": 0, "x": 1}
        )
        control.edit_state(run=run, actor=actor, values={"n": 40}, delete=["x"])
        wait_until(lambda: "StateEdited" in types(run), "the edit is taken in")
        rest(run)
        control.resume_run(run=run, actor=actor)
        assert finish(run).status == "completed"
    assert state(run) == {"n": 41}


def test_a_conflict_is_edited_and_the_join_goes_on(actor):
    conflicting = {
        "s": {"next": ["a", "b"]},
        "a": {"tool": "give", "inputs": {"value": {"k": "a"}}, "next": "j"},
        "b": {"tool": "give", "inputs": {"value": {"k": "b"}}, "next": "j"},
        "j": {"join": "all"},
    }
    with driving():
        run = finish(start(actor, conflicting))
        assert run.status == "failed"
        with pytest.raises(ControlConflict, match="waits for an edit of k"):
            control.retry_run(run=run, actor=actor)
        control.edit_state(run=run, actor=actor, values={"k": "both"})
        wait_until(lambda: "StateEdited" in types(run), "the edit is taken in")
        failed_at, error = run.finished_at, run.error
        run.refresh_from_db()
        assert (run.status, run.finished_at, run.error) == ("failed", failed_at, error)
        control.retry_run(run=run, actor=actor)
        assert status_becomes(run, "completed")
    assert state(run)["k"] == "both"
    assert run.error == ""


def status_becomes(run: Run, status: str) -> bool:
    wait_until(lambda: Run.objects.get(pk=run.pk).status == status, f"the run is {status}")
    run.refresh_from_db()
    return True


# --------------------------------------------------------------------------- retry

BREAKING = {
    "a": {"tool": "increment", "next": "b"},
    "b": {"tool": "break_while", "inputs": {"name": "b"}, "next": "c"},
    "c": {"tool": "increment"},
}


@pytest.mark.parametrize("restarted", [False, True])
def test_a_failed_run_goes_on_from_its_failed_step(actor, restarted):
    broken.add("b")
    with driving():
        run = finish(start(actor, BREAKING, {"n": 0}))
        assert run.error == "b: ValueError: b is broken"
        broken.clear()
        if not restarted:
            control.retry_run(run=run, actor=actor)
            assert status_becomes(run, "completed")
    if restarted:
        control.retry_run(run=run, actor=actor)
        with driving():
            assert status_becomes(run, "completed")
    assert state(run) == {"n": 2, "b": "whole"}
    assert nodes(run) == ["a", "b", "c"]
    assert Step.objects.get(run=run, node="b").attempt == 2
    assert (run.error, run.wake_at) == ("", None)


def test_a_failed_step_is_tried_again_while_others_run(actor):
    entered, opened = gate("other")
    broken.add("b")
    forked = {
        "s": {"next": ["b", "w"]},
        "b": {"tool": "break_while", "inputs": {"name": "b"}},
        "w": {"tool": "wait_for", "inputs": {"name": "other"}, "outputs": {"w": "= true"}},
    }
    with driving():
        run = start(actor, forked)
        wait_until(lambda: nodes(run, "failed") == ["b"] and entered.is_set(), "one failed, one runs")
        broken.clear()
        control.retry_run(run=run, actor=actor)
        wait_until(lambda: "b" in nodes(run), "it is whole")
        opened.set()
        assert finish(run).status == "completed"


def test_a_retry_that_comes_just_before_the_run_fails_is_not_lost(actor):
    """The driver reads its mail after it has written that the run failed."""
    broken.add("b")
    with driving():
        run = finish(start(actor, BREAKING, {"n": 0}))
    broken.clear()
    Mailbox.objects.create(
        run=run,
        kind="breakpoints",
        payload='{"breakpoints":[{"id":"x","node":"c","when":"before"}]}',
        created_at=run.created_at,
    )
    control.retry_run(run=run, actor=actor)
    with driving():
        rest(run)
        control.resume_run(run=run, actor=actor)
        assert status_becomes(run, "completed")


@pytest.mark.parametrize("end", [partial(take_over, max_step_crashes=1), hand_back], ids=["death", "good order"])
def test_a_retry_outlives_a_driver_that_ends_before_it_has_written_anything(actor, end):
    """Until then the run's status is that of the end before."""
    broken.add("b")
    with driving():
        run = finish(start(actor, BREAKING, {"n": 0}))
    broken.clear()
    control.retry_run(run=run, actor=actor)
    first = registration.register(quarantine=False)
    with closing(open_store()) as store:
        (claimed,) = store.claim(driver_id=first.pk, limit=1, now=timezone.now(), quarantine=False)
    assert (claimed.id, claimed.status) == (run.pk, "failed")
    end(first)
    with driving(), driving(quarantine=True):
        assert status_becomes(run, "completed")
    assert (nodes(run), types(run).count("RunReopened")) == (["a", "b", "c"], 1)


def test_a_step_whose_tries_are_used_up_pauses_the_run(actor):
    broken.add("b")
    retry = {"max_attempts": 2, "initial_interval_s": 0.01, "jitter": False, "on_exhausted": "pause"}
    pausing = {**BREAKING, "b": {**BREAKING["b"], "retry": retry}}
    with driving():
        run = start(actor, pausing, {"n": 0})
        rest(run)
        assert types(run)[-2:] == ["AttemptFailed", "RunPaused"]
        broken.clear()
        control.resume_run(run=run, actor=actor)
        assert finish(run).status == "completed"
    assert state(run) == {"n": 2, "b": "whole"}


def pause_for_an_hour(run: Run, node: str) -> None:
    """Let it be an hour since the step of a resting run was given out."""
    an_hour_ago = timezone.now() - timedelta(hours=1)
    assert Step.objects.filter(run=run, node=node).update(scheduled_at=an_hour_ago) == 1


def test_a_step_whose_tries_are_used_up_has_its_whole_deadline_again_when_it_is_resumed(actor):
    broken.add("b")
    retry = {"max_attempts": 1, "on_exhausted": "pause"}
    with driving():
        run = start(actor, {**BREAKING, "b": {**BREAKING["b"], "retry": retry, "deadline_s": 60}}, {"n": 0})
        rest(run)
        pause_for_an_hour(run, "b")
        broken.clear()
        control.resume_run(run=run, actor=actor)
        assert finish(run).status == "completed"
    assert state(run) == {"n": 2, "b": "whole"}


def test_the_time_for_which_a_breakpoint_holds_a_step_does_not_count_towards_its_deadline(actor):
    broken.clear()
    held_at_b = [{"id": "x", "node": "b", "when": "before"}]
    with driving():
        run = start(actor, {**BREAKING, "b": {**BREAKING["b"], "deadline_s": 60}}, {"n": 0}, breakpoints=held_at_b)
        rest(run)
        pause_for_an_hour(run, "b")
        control.step_run(run=run, actor=actor)
        wait_until(lambda: "c" in held(run), "it is held again")
        control.resume_run(run=run, actor=actor)
        assert finish(run).status == "completed"


# --------------------------------------------------------------------------- limit


def test_the_limit_of_an_open_map_can_be_raised(actor):
    gates = [gate(f"item {index}") for index in range(4)]
    mapped = {
        "fan": {
            "next": {
                "map": "= ['item 0', 'item 1', 'item 2', 'item 3']",
                "as": "i",
                "to": "w",
                "join": "e",
                "max_parallel": 1,
            }
        },
        "w": {"tool": "wait_for", "inputs": {"name": "= i"}, "outputs": {}},
        "e": {},
    }
    with driving():
        run = start(actor, mapped)
        wait_until(gates[0][0].is_set, "the first item runs")
        fan = Step.objects.get(run=run, node="fan").key
        assert not any(entered.is_set() for entered, _ in gates[1:])
        control.limit_map(run=run, actor=actor, step=fan, max_parallel=3)
        wait_until(lambda: gates[1][0].is_set() and gates[2][0].is_set(), "two more run")
        assert not gates[3][0].is_set()
        wait_until(lambda: not Mailbox.objects.filter(run=run, consumed_at=None).exists(), "it is taken in")
        control.limit_map(run=run, actor=actor, step=fan, max_parallel=None)
        wait_until(gates[3][0].is_set, "all run")
        for _, opened in gates:
            opened.set()
        assert finish(run).status == "completed"


def test_a_map_of_a_run_whose_journal_is_behind_can_be_limited(actor):
    gates = [gate(f"item {index}") for index in range(2)]
    mapped = {
        "fan": {"next": {"map": "= names", "as": "name", "to": "w", "join": "end", "max_parallel": 1}},
        "w": {"tool": "wait_for", "inputs": {"name": "= name"}, "outputs": {}},
    }
    with driving():
        run = start(actor, mapped, {"names": ["item 0", "item 1"]}, durability="exit")
        wait_until(gates[0][0].is_set, "the first item runs")
        assert Event.objects.filter(run=run).count() == 1, "nothing of it is on disk"
        control.limit_map(run=run, actor=actor, step=ids.first().hex(), max_parallel=None)
        wait_until(gates[1][0].is_set, "the second one runs")
        for _, opened in gates:
            opened.set()
        assert finish(run).status == "completed"
    assert types(run).count("MapLimited") == 1
    with pytest.raises(RunFinished):
        control.limit_map(run=run, actor=actor, step=ids.first().hex(), max_parallel=None)


# --------------------------------------------------------------------------- cancel and undo


def test_a_graceful_cancel_lets_the_tool_in_flight_end(actor):
    entered, opened = gate("hold")
    with driving():
        run = start(actor, LOOP, {"n": 0})
        wait_until(entered.is_set, "the tool runs")
        control.cancel_run(run=run, actor=actor, graceful=True)
        wait_until(lambda: "RunCancelled" in types(run), "the cancel is taken in")
        assert status_of(run) == "running"
        with pytest.raises(ControlConflict, match="is being cancelled"):
            control.cancel_run(run=run, actor=actor, graceful=True)
        opened.set()
        assert finish(run).status == "cancelled"
    assert nodes(run)[-1] == "hold"
    assert state(run)["waited"] is True


def test_a_run_that_ends_gracefully_can_be_cancelled_at_once(actor):
    entered, _ = gate("hold")
    with driving():
        run = start(actor, LOOP, {"n": 0})
        wait_until(entered.is_set, "the tool runs")
        control.cancel_run(run=run, actor=actor, graceful=True)
        control.cancel_run(run=run, actor=actor)
        assert finish(run).status == "cancelled"
    assert nodes(run, "cancelled") == ["hold"]


def test_a_paused_run_is_cancelled(actor):
    with driving():
        for graceful in (False, True):
            run = paused_at(actor, LOOP, "hold", {"n": 0})
            control.cancel_run(run=run, actor=actor, graceful=graceful)
            assert finish(run).status == "cancelled"


def status_of(run: Run) -> str:
    run.refresh_from_db()
    return run.status


def booking(*, last: dict[str, Any]) -> dict[str, Any]:
    def book(what: str, following: str) -> dict[str, Any]:
        return {
            "tool": "give",
            "inputs": {"value": {what: f"{what} 7"}},
            "outputs": {what: f"= result.{what}"},
            "compensate": {"tool": "undo", "inputs": {"what": f"= result.{what}"}},
            "next": following,
        }

    return {"hotel": book("hotel", "flight"), "flight": book("flight", "last"), "last": last}


def test_a_failed_run_undoes_what_it_did_the_last_first(actor):
    broken.add("pay")
    with driving():
        run = finish(start(actor, booking(last={"tool": "break_while", "inputs": {"name": "pay"}})))
    assert run.status == "failed"
    assert undone == ["flight 7", "hotel 7"]
    log = selectors.execution_log(run)
    assert log[4:] == [
        "Started node: last",
        "Failed node: last: ValueError: pay is broken",
        "Undoing node: flight",
        "Undone node: flight",
        "Undoing node: hotel",
        "Undone node: hotel",
    ]
    steps = selectors.marked_steps_of(run)
    assert [(step.node, step.compensates) for step in steps] == [
        ("hotel", False),
        ("flight", False),
        ("last", False),
        ("flight", True),
        ("hotel", True),
    ]
    with pytest.raises(ControlConflict, match="has undone what it did"):
        control.retry_run(run=run, actor=actor)


def test_a_compensation_that_fails_does_not_keep_the_others_from_running(actor):
    broken.update({"pay", "flight 7"})
    with driving():
        run = finish(start(actor, booking(last={"tool": "break_while", "inputs": {"name": "pay"}})))
    assert undone == ["flight 7", "hotel 7"]
    assert [error[2]["message"] for error in data(run, "RunFailed")[0]["errors"]] == [
        "pay is broken",
        "cannot undo flight 7",
    ]


@pytest.mark.parametrize("graceful", [False, True])
def test_a_cancelled_run_undoes_what_it_did(actor, graceful):
    entered, opened = gate("undone")
    with driving():
        run = start(
            actor, booking(last={"tool": "wait_for", "inputs": {"name": "undone"}, "next": "never"}) | {"never": {}}
        )
        wait_until(entered.is_set, "the tool runs")
        control.cancel_run(run=run, actor=actor, graceful=graceful)
        wait_until(lambda: "RunCancelled" in types(run), "the cancel is taken in")
        opened.set()
        assert finish(run).status == "cancelled"
    assert undone == ["flight 7", "hotel 7"]


# --------------------------------------------------------------------------- who may, and when


def test_each_verb_says_why_the_run_does_not_allow_it(actor, operator):
    with driving():
        over = finish(start(actor, {"a": {}}))
        run = paused_at(actor, LOOP, "hold", {"n": 0})
        for verb in (control.pause_run, control.resume_run, control.step_run, control.cancel_run):
            with pytest.raises(RunFinished):
                verb(run=over, actor=actor)
        with pytest.raises(RunFinished):
            control.edit_state(run=over, actor=actor, values={"n": 1})
        with pytest.raises(ControlConflict, match=r"is paused already \(breakpoint b1 stopped it at node hold at"):
            control.pause_run(run=run, actor=actor)
        with pytest.raises(ControlConflict, match="has no failed step"):
            control.retry_run(run=run, actor=actor)
        with pytest.raises(ControlInvalid, match="holds no such step"):
            control.step_run(run=run, actor=actor, steps=["00" * 10])
        with pytest.raises(ControlInvalid, match="no open map"):
            control.limit_map(run=run, actor=actor, step="00" * 10, max_parallel=1)
        with pytest.raises(ControlConflict, match="has come to event"):
            control.edit_state(run=run, actor=actor, values={"n": 1}, seq=1)
    control.resume_run(run=run, actor=acting(operator))
    with pytest.raises(ControlConflict, match=r"is running, not paused \(operator resumed it at"):
        control.resume_run(run=run, actor=actor)
    with pytest.raises(ControlConflict, match="pause it, then edit it"):
        control.edit_state(run=run, actor=actor, values={"n": 1})


def test_an_edit_while_a_tool_is_under_way_is_refused(actor):
    entered, opened = gate("hold")
    with driving():
        run = start(actor, LOOP, {"n": 0})
        wait_until(entered.is_set, "the tool runs")
        control.pause_run(run=run, actor=actor)
        wait_until(lambda: "RunPaused" in types(run), "the pause is taken in")
        with pytest.raises(ControlConflict, match="has tools under way"):
            control.edit_state(run=run, actor=actor, values={"n": 1})
        opened.set()
        rest(run)
        control.edit_state(run=run, actor=actor, values={"n": 1})


def test_of_two_people_at_once_one_wins_and_the_other_learns_why(actor):
    run = start(actor, LOOP, {"n": 0})
    together = threading.Barrier(2)
    answers: list[str] = []

    def press() -> None:
        together.wait()
        try:
            control.pause_run(run=run, actor=actor)
            answers.append("")
        except ControlConflict as conflict:
            answers.append(str(conflict))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=press) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    won, lost = sorted(answers)
    assert won == ""
    assert "is paused already (owner paused it at" in lost
    assert Mailbox.objects.filter(run=run).count() == 1


def test_the_same_request_with_the_same_key_is_one_message(actor):
    run = start(actor, LOOP, {"n": 0})
    first = control.pause_run(run=run, actor=actor, idempotency_key="k")
    assert control.pause_run(run=run, actor=actor, idempotency_key="k") == first
    with pytest.raises(KeyUsedBefore):
        control.pause_run(run=run, actor=actor, reason="other", idempotency_key="k")


def test_a_verb_that_is_repeated_late_is_answered_as_at_first_whatever_the_run_has_become(actor):
    def ask(verb: Any, **wanted: Any) -> Mailbox:
        return verb(run=run, actor=actor, idempotency_key=verb.__name__, **wanted)

    with driving():
        run = paused_at(actor, {"a": {"next": "b"}, "b": {}}, "a", {"n": 0, "x": 1})
        verbs = [
            (control.set_breakpoints, {"breakpoints": [{"node": "b"}]}),
            (control.edit_state, {"values": {"n": 1}, "delete": ["x"]}),
            (control.step_run, {"steps": list(held(run).values())}),
        ]
        first = []
        for verb, wanted in verbs:
            first.append(ask(verb, **wanted))
            wait_until(partial(control.has_effect, first[-1]), "the verb has taken effect")
            rest(run)
        control.cancel_run(run=run, actor=actor)
        finish(run)
    GraphVersion.objects.filter(pk=run.version_id).update(definition='{"nodes": 1}', sha256="broken")
    run = Run.objects.get(pk=run.pk)
    assert [ask(verb, **wanted) for verb, wanted in verbs] == first
    with pytest.raises(KeyUsedBefore):
        ask(control.step_run)


def test_an_edit_has_to_fit_the_schema_and_the_limits(actor, settings):
    schema = {"schema": {"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": False}}
    with driving():
        run = paused_at(actor, {"a": {}}, "a", {"n": 0}, state=schema)
    for values, delete in (({"n": "one"}, []), ({"other": 1}, []), ({}, []), ({"n": 1}, ["n"]), ({"n": 1}, ["other"])):
        with pytest.raises(ControlInvalid):
            control.edit_state(run=run, actor=actor, values=values, delete=delete)


@pytest.mark.parametrize(
    ("reference", "known", "refused"),
    [("inner", ["c", "i"], ["x"]), ("inner@latest", ["c", "i", "x"], [7]), ("= plan", ["x"], [""])],
)
def test_a_breakpoint_names_a_node_of_a_graph_that_is_called_where_that_can_be_known(actor, reference, known, refused):
    graphs.create_graph(definition={**definition({"i": {"graph": "inner"}}), "name": "inner"}, actor=actor)
    run = start(actor, {"c": {"graph": reference}})
    control.set_breakpoints(run=run, actor=actor, breakpoints=[{"node": node} for node in known])
    for node in refused:
        with pytest.raises(ControlInvalid, match=r"Neither the graph nor one that it calls|1 to 200 characters"):
            control.set_breakpoints(run=run, actor=actor, breakpoints=[{"node": node}])


def test_breakpoints_are_checked_and_bounded(actor, settings):
    run = start(actor, LOOP, {"n": 0})
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"max_breakpoints": 2})
    for bad in (
        [{"node": "nowhere"}],
        [{"node": "hold", "condition": "n >"}],
        [{"node": "hold", "when": "never"}],
        [{"node": "hold", "hit_count": 0}],
        [{"node": "hold", "id": "x"}, {"node": "rest", "id": "x"}],
        [{"node": "hold"}] * 3,
    ):
        with pytest.raises(ControlInvalid):
            control.set_breakpoints(run=run, actor=actor, breakpoints=bad)
    control.set_breakpoints(run=run, actor=actor, breakpoints=[{"node": "hold"}] * 2)


def test_mail_that_comes_too_late_is_refused_in_the_journal(actor):
    run = start(actor, LOOP, {"n": 0})
    for _ in range(2):
        post(run, kind="pause", payload={"reason": ""}, actor=actor)
    with driving():
        rest(run)
    assert types(run)[-2:] == ["RunPaused", "MailRefused"]
