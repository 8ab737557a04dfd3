"""A simulation tells of locks, compensations, exhausted retries and quorums what a driver does."""

import json
from itertools import pairwise
from typing import Any

import pytest

from graphs.services import create_graph
from runs.control import cancel_run, resume_run
from runs.engine.codec import to_data
from runs.engine.simulate import Scripted, Simulation, simulate, simulate_shuffled
from runs.human_tasks import answer_task
from runs.models import Event, HumanTask, LockWait, Run
from runs.selectors import current_state
from tests.conftest import acting
from tests.support.runs import definition, driving, finish, start
from tests.support.tools import gate, gates
from tests.support.waiting import WAIT_S, wait_until
from tools import Context, tool

pytestmark = pytest.mark.django_db(transaction=True)

QUICK = {"initial_interval_s": 0.01, "jitter": False}
undone: list[str] = []
inside: list[str] = []
seen: list[list[str]] = []


@tool(name="like.work")
def work(ctx: Context) -> dict:
    inside.append(ctx.node)
    seen.append(list(inside))
    inside.remove(ctx.node)
    return {f"{ctx.node}_attempt": ctx.attempt}


@tool(name="like.fail")
def fail(ctx: Context, until: int = 100) -> dict:
    if ctx.attempt < until:
        raise ConnectionError("no")
    return {"attempt": ctx.attempt}


@tool(name="like.undo")
def undo(what: str, how: str = "") -> None:
    undone.append(what + how)


@tool(name="like.refuse")
def refuse_to_undo(what: str) -> None:
    undone.append(f"not {what}")
    raise ConnectionError("not undone")


@pytest.fixture(autouse=True)
def fresh():
    for each in (undone, inside, seen):
        each.clear()


def simulated(nodes: dict[str, Any], state: dict[str, Any] | None = None, **options: Any) -> Simulation:
    more = {name: options.pop(name) for name in ("limits", "on_failure") if name in options}
    return simulate(definition(nodes, **more), state, real_tools=True, **options)


def journal_of(run: Run) -> list[tuple[str, str]]:
    """Types of events with what they say of attempts, waits and errors."""
    rows = Event.objects.filter(run=run).exclude(type="LogWritten").order_by("seq").values_list("type", "data")
    return [(type_, _told(json.loads(data))) for type_, data in rows]


def journal_in(simulation: Simulation) -> list[tuple[str, str]]:
    return [(type(event).__name__, _told(to_data(event))) for event in simulation.events]


def _told(data: dict[str, Any]) -> str:
    wait = {key: data["wait"][key] for key in ("kind", "name", "quorum") if key in data.get("wait", {})}
    error = (data.get("error") or {}).get("type")
    return repr((data.get("step"), data.get("attempt"), data.get("reason"), error, wait, data.get("held")))


UNDO = {"tool": "like.undo", "inputs": {"what": "= n"}}


@pytest.mark.parametrize("how", ["undone", "not all undone", "cancelled in the middle"])
def test_compensations(actor, how):
    last = {"tool": "like.fail"} if how != "cancelled in the middle" else {"wait": {"signal": "never"}}
    second = {"tool": "like.refuse", "inputs": {"what": "b"}} if how == "not all undone" else UNDO
    nodes = {
        "a": {"tool": "like.work", "outputs": {"n": "a", "how": "!"}, "compensate": UNDO, "next": "b"},
        "b": {"tool": "like.work", "outputs": {"n": "b"}, "compensate": second, "next": "c"},
        "c": last,
    }
    cancelled: dict[str, Any] = {"cancel_at_s": 60} if how == "cancelled in the middle" else {}
    result = simulated(nodes, **cancelled)
    by_simulation = list(undone)
    undone.clear()
    with driving():
        run = start(actor, nodes)
        if cancelled:
            wait_until(lambda: Event.objects.filter(run=run, type="StepWaiting").exists(), "it waits")
            cancel_run(run=run, actor=actor)
        finish(run)
    assert undone == by_simulation
    assert (result.status, journal_in(result)) == (run.status, journal_of(run))
    assert result.undone == (["a"] if how == "not all undone" else ["b", "a"])
    assert result.ran[:2] == ["a", "b"]


def test_a_pause_when_the_attempts_are_used_up(actor):
    retry = {"max_attempts": 2, "on_exhausted": "pause", **QUICK}
    nodes = {"a": {"tool": "like.fail", "inputs": {"until": 4}, "retry": retry}}
    paused = simulated(nodes)
    assert (paused.status, paused.waits_at) == ("paused", [])
    with driving():
        run = start(actor, nodes)
        is_paused = Run.objects.filter(pk=run.pk, status="paused").exists
        wait_until(is_paused, "it pauses")
        assert journal_in(paused) == journal_of(run)
        resume_run(run=run, actor=actor)
        wait_until(lambda: Event.objects.filter(run=run, type="RunPaused").count() == 2, "it pauses again")
        wait_until(is_paused, "it is paused")
        resume_run(run=run, actor=actor)
        finish(run)
    result = simulated(nodes, resumes=[60, 120])
    assert (result.status, journal_in(result)) == (run.status, journal_of(run))
    assert result.state == current_state(run).values == {"attempt": 4}


@pytest.mark.parametrize("answers", [2, 1])
def test_quorums(actor, owner, editor, answers):
    human = {"title": "?", "quorum": 2, "due_s": 1, "on_due": {"answer": {"ok": None}}}
    nodes = {"a": {"human": human, "outputs": {"all": "= result.answers"}}}
    said = [{"ok": True}, {"ok": False}][:answers]
    result = simulated(nodes, answers={"a": said})
    with driving():
        run = start(actor, nodes)
        wait_until(lambda: HumanTask.objects.filter(run=run).exists(), "it asks")
        for user, answer in zip((owner, editor), said, strict=False):
            answer_task(task=HumanTask.objects.get(), answer=answer, actor=acting(user))
        finish(run)
    assert (result.status, journal_in(result)) == (run.status, journal_of(run))
    names = {"person 1": "owner", "person 2": "editor", None: None}
    told = [(one["answer"], names[one["by"]]) for one in result.state["all"]]
    assert told == [(one["answer"], one["by"]) for one in current_state(run).values["all"]]


@tool(name="like.work_behind_a_gate")
def work_behind_a_gate(ctx: Context) -> dict:
    assert gates["others wait"].wait(WAIT_S)
    return {f"{ctx.node}_attempt": ctx.attempt}


def test_locks(actor):
    _, opened = gate("others wait")
    names = ["a", "b", "c"]
    nodes = {
        "s": {"next": names},
        **{name: {"tool": "like.work_behind_a_gate", "lock": "= 'door'", "next": "j"} for name in names},
        "j": {"join": "all"},
    }
    slow = Scripted(returns=lambda ctx: {f"{ctx.node}_attempt": ctx.attempt}, takes_s=5)
    result = simulate(definition(nodes), tools={"like.work_behind_a_gate": slow})
    with driving():
        run = start(actor, nodes)
        wait_until(lambda: LockWait.objects.count() == 2, "two wait")
        opened.set()
        finish(run)
    assert result.status == run.status == "completed"
    assert sorted(result.state) == sorted(current_state(run).values)
    assert result.state == {"a_attempt": 1, "b_attempt": 2, "c_attempt": 2}
    assert [step.started_at_s for name in names for step in result.attempts(name)] == [0, 0, 5, 0, 10]
    assert [step.ending for step in result.attempts("b")] == ["waited", "completed"]
    assert sorted(current_state(run).values.values()) == [1, 2, 2], "one does not wait, whichever that is"
    assert sorted(type_ for type_, _ in journal_in(result)) == sorted(type_ for type_, _ in journal_of(run))


@pytest.mark.parametrize("kill_at", [(), "everywhere"])
def test_a_lock_is_held_over_attempts_and_subgraphs_and_given_back_in_any_order(kill_at):
    names = ["a", "b", "c"]
    tried_again = {"lock": "door", "retry": {"max_attempts": 2}}
    nodes = {
        "s": {"next": names},
        "a": {"tool": "enter", **tried_again, "next": "j"},
        "b": {"graph": "inner", "lock": "door", "outputs": {"log": "b"}, "next": "j"},
        "c": {"tool": "enter", **tried_again, "next": "j"},
        "j": {"join": "all"},
    }
    inner = definition({"x": {"tool": "enter", **tried_again, "outputs": {}}})
    enter = Scripted(returns=lambda ctx: {"log": ctx.node}, takes_s=3, fails=[ConnectionError("once")])
    state = {"reducers": {"log": "append"}}
    result = simulate_shuffled(
        definition(nodes, state=state), tools={"enter": enter}, graphs={"inner": inner}, kill_at=kill_at, orders=10
    )
    assert (result.status, result.state) == ("completed", {"log": names})
    attempts = [step for step in result.steps if step.ending in ("retried", "completed") and step.node in "acx"]
    worked = sorted((step.started_at_s, step.ended_at_s or 0) for step in attempts)
    assert all(end <= begin for (_, end), (begin, _) in pairwise(worked))


def test_a_lock_that_does_not_come_before_the_deadline_fails_the_step(actor):
    long = definition({"x": {"wait": {"seconds": 2}}})
    nodes = {
        "s": {"next": ["a", "b"]},
        "a": {"graph": "long", "lock": "door"},
        "b": {"wait": {"seconds": 0.5}, "outputs": {}, "next": "c"},
        "c": {"tool": "like.work", "lock": "door", "deadline_s": 0.5},
    }
    create_graph(definition={**long, "name": "long"}, actor=actor)
    result = simulated(nodes, graphs={"long": long})
    with driving():
        run = finish(start(actor, nodes))
    [late] = result.attempts("c")
    assert late.error.startswith("DeadlineExceeded: The lock 'door' did not come")
    assert (late.started_at_s, late.ended_at_s) == (0.5, 1)
    told = [told for type_, told in journal_in(result) if type_ == "StepFailed"]
    assert told == [told for type_, told in journal_of(run) if type_ == "StepFailed"]
    assert result.status == run.status == "failed"


def test_a_name_that_is_none_fails_the_step():
    result = simulated({"a": {"tool": "like.work", "lock": "= 7"}})
    assert [error.type for error in result.errors] == ["LockInvalid"]
