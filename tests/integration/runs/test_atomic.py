"""Tools that write to the database in the transaction of their own completion."""

import threading
import time
from dataclasses import replace

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, connection
from django.db.models import F

from accounts.models import Membership
from runs.control import cancel_run, pause_run
from runs.human_tasks import answer_task
from runs.models import Event, HumanTask, Run, Step, StepError
from runs.selectors import current_state
from runs.signals import signal_business_key, signal_run
from tests.support import tools
from tests.support.runs import driving, finish, is_waiting, start
from tests.support.verifying import assert_as_journaled
from tests.support.waiting import wait_until
from tools import Context, registry, tool

pytestmark = pytest.mark.django_db(transaction=True)


def only_on(vendor: str, reason: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(connection.vendor != vendor, reason=reason)


left = threading.Event()
"""A tool that waited has ended."""
leases: list[str] = []
QUICK = {"max_attempts": 3, "initial_interval_s": 0.01, "jitter": False}


@tool(name="atomic.book", atomic=True)
def book(ctx: Context, name: str = "booked", how: str = "") -> dict:
    """Writes a row, and then does what it is told."""
    Group.objects.create(name=name)
    if how != "lose the lease once":  # its driver would wait for the row of the run
        ctx.log("written")
    match how:
        case "fail once" if ctx.attempt == 1:
            raise ValueError("once")
        case "fail":
            raise ValueError("always")
        case "give no JSON":
            return {"v": {1}}
        case "step":
            ctx.step("x", lambda: 1)
        case "ask":
            return {"v": ctx.interrupt("Sure?", {"type": "string"})}
        case "wait":
            left.clear()
            tools.entered[name].set()
            tools.gates[name].wait(10)
            try:
                Group.objects.create(name=f"{name} late")
            finally:
                left.set()
        case "lose the lease once" if not leases:
            leases.append("lost")
            Run.objects.filter(uuid=ctx.run_id).update(epoch=F("epoch") + 1)
    return {"v": name, "attempt": ctx.attempt}


@tool(name="atomic.dangle", atomic=True)
def dangle() -> dict:
    """Breaks a foreign key, which the database sees at the end."""
    Membership.objects.create(user_id=10**6, organization_id=10**6, role="viewer")
    return {}


asking: list = []
"""The actor that `ask` acts for."""


@tool(name="atomic.ask", atomic=True)
def ask(ctx: Context, what: str, other: str = "") -> dict:
    """Asks something of its run, or of another one, and then waits."""
    (actor,) = asking
    run = Run.objects.get(uuid=other or ctx.run_id)
    match what:
        case "cancel":
            cancel_run(run=run, actor=actor)
        case "pause":
            pause_run(run=run, actor=actor)
        case "signal":
            signal_run(run=run, name="go", payload={}, actor=actor)
        case "signal all":
            signal_business_key(business_key="ours", name="go", payload={}, actor=actor)
    if other:
        ctx.log("asked")
        tools.entered["asked"].set()
        tools.gates["asked"].wait(10)
    return {}


def groups() -> set[str]:
    return set(Group.objects.values_list("name", flat=True))


def node(name: str = "booked", how: str = "", **options) -> dict:
    return {"tool": "atomic.book", "inputs": {"name": name, "how": how}, **options}


def types(run: Run) -> list[str]:
    return list(Event.objects.filter(run=run).order_by("seq").values_list("type", flat=True))


def test_its_rows_and_its_completion_are_there_together(actor):
    with driving():
        run = finish(start(actor, {"a": node(next="b"), "b": {"tool": "increment"}}))
    assert (run.status, groups()) == ("completed", {"booked"})
    assert current_state(run).values == {"v": "booked", "attempt": 1, "n": 1}
    assert types(run) == ["RunStarted", "LogWritten", "StepCompleted", "StepCompleted", "RunCompleted"]
    assert_as_journaled(run)


def test_a_failure_undoes_its_rows_and_another_attempt_writes_them(actor):
    with driving():
        run = finish(start(actor, {"a": node(how="fail once", retry=QUICK)}))
    assert (run.status, groups()) == ("completed", {"booked"})
    assert current_state(run).values["attempt"] == 2
    assert_as_journaled(run)


@pytest.mark.parametrize("how", ["fail", "give no JSON", "step"])
def test_nothing_is_left_of_a_step_that_fails(actor, how):
    with driving():
        run = finish(start(actor, {"a": node(how=how)}))
    assert (run.status, groups()) == ("failed", set())
    assert StepError.objects.filter(run=run).count() == 1
    assert_as_journaled(run)


def test_an_update_that_the_schema_refuses_undoes_its_rows(actor):
    schema = {"type": "object", "properties": {"v": {"type": "integer"}}}
    with driving():
        run = finish(start(actor, {"a": node()}, state={"schema": schema}))
    assert (run.status, groups()) == ("failed", set())


def test_several_at_once_in_one_run_and_beside_other_steps(actor):
    names = [f"n{number}" for number in range(5)]
    nodes = {
        "s": {"next": [*names, "c"]},
        **{name: node(name, next="j", outputs={}) for name in names},
        "c": {"tool": "increment", "next": {"condition": "n >= 30", "if_true": "j", "if_false": "c"}},
        "j": {"join": "all"},
    }
    with driving():
        runs = [finish(run) for run in [start(actor, nodes)]]
    assert [run.status for run in runs] == ["completed"]
    assert groups() == set(names)
    assert current_state(runs[0]).values == {"n": 30}
    assert_as_journaled(*runs)


def test_a_tool_that_asks_has_written_nothing_until_it_is_called_again(actor):
    with driving():
        run = start(actor, {"a": node(how="ask")})
        wait_until(lambda: is_waiting(run), "it asks")
        assert groups() == set()
        answer_task(task=HumanTask.objects.get(), answer="yes", actor=actor)
        finish(run)
    assert (current_state(run).values, groups()) == ({"v": "yes"}, {"booked"})
    assert_as_journaled(run)


def test_one_that_takes_too_long_is_rolled_back_at_once_and_can_write_no_more(actor):
    entered, gate = tools.gate("stuck")
    with driving():
        run = start(actor, {"a": node("stuck", "wait", timeout_s=0.2)})
        assert entered.wait(10)
        finish(run)
        Group.objects.create(name="others can write")
        gate.set()
        wait_until(lambda: left.is_set(), "the tool has ended")
    assert groups() == {"others can write"}
    assert StepError.objects.get(run=run).type == "TimeoutError"
    assert_as_journaled(run)


@only_on("postgresql", "on SQLite nobody else can write meanwhile")
def test_one_that_is_cancelled_is_rolled_back_at_once_and_can_write_no_more(actor):
    entered, gate = tools.gate("stuck")
    with driving():
        run = start(actor, {"a": node("stuck", "wait")})
        assert entered.wait(10)
        cancel_run(run=run, actor=actor)
        finish(run)
        gate.set()
        wait_until(lambda: left.is_set(), "the tool has ended")
    assert (run.status, groups()) == ("cancelled", set())
    assert_as_journaled(run)


@only_on("postgresql", "on SQLite nobody else can write meanwhile")
def test_other_branches_go_on_while_it_works(actor):
    entered, gate = tools.gate("slow")
    nodes = {"s": {"next": ["a", "b"]}, "a": node("slow", "wait"), "b": {"tool": "increment"}}
    with driving():
        run = start(actor, nodes)
        assert entered.wait(10)
        wait_until(lambda: Step.objects.filter(run=run, node="b", status="completed").exists(), "b is on disk")
        gate.set()
        finish(run)
    assert groups() == {"slow", "slow late"}
    assert_as_journaled(run)


@only_on("sqlite", "the others have no one lock")
def test_on_sqlite_it_holds_the_lock_no_longer_than_the_setting_says(actor, settings):
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"atomic_lock_s": 0.3})
    entered, gate = tools.gate("slow")
    with driving():
        run = start(actor, {"a": node("slow", "wait")})
        assert entered.wait(10)
        began = time.perf_counter()
        Group.objects.create(name="others")
        assert time.perf_counter() - began < 5
        gate.set()
        finish(run)
    assert (run.status, groups()) == ("failed", {"others"})


def test_a_driver_that_has_lost_its_run_leaves_nothing_and_the_next_one_does_all(actor):
    leases.clear()
    with driving():
        run = finish(start(actor, {"a": node(how="lose the lease once")}))
    assert (run.status, groups()) == ("completed", {"booked"})
    assert leases == ["lost"]
    assert_as_journaled(run)


def test_a_broken_foreign_key_fails_the_step(actor):
    with driving():
        run = finish(start(actor, {"a": {"tool": "atomic.dangle", "next": "b"}, "b": {"tool": "increment"}}))
    assert run.status == "failed"
    assert StepError.objects.get(run=run).type == IntegrityError.__name__
    assert "b" not in Step.objects.filter(run=run).values_list("node", flat=True)
    assert_as_journaled(run)


@tool(name="atomic.later")
def atomic_later() -> dict:
    Group.objects.create(name="later")
    return {}


@pytest.mark.parametrize("executor", ["inline", "process"])
def test_one_that_has_become_atomic_is_refused_elsewhere_than_in_a_thread(actor, executor):
    run = start(actor, {"a": {"tool": "atomic.later", "executor": executor}})
    published = registry.get("atomic.later")
    registry.register(replace(published, atomic=True))
    try:
        with driving():
            finish(run)
    finally:
        registry.register(published)
    assert (run.status, groups()) == ("failed", set())
    assert "runs in a thread" in StepError.objects.get(run=run).message


@pytest.mark.parametrize("what", ["cancel", "pause", "signal", "signal all"])
def test_one_that_asks_something_of_its_own_run_is_refused_at_once(actor, what):
    asking[:] = [actor]
    nodes = {"a": {"tool": "atomic.ask", "inputs": {"what": what}, "timeout_s": 5}}
    with driving():
        run = finish(start(actor, nodes, business_key="ours"))
    error = StepError.objects.get(run=run)
    assert (run.status, error.type) == ("failed", "OwnRun")
    assert "not atomic" in error.message
    assert_as_journaled(run)


@only_on("postgresql", "on SQLite nobody else can write meanwhile")
def test_runs_go_on_beside_one_that_holds_the_row_of_another(actor):
    asking[:] = [actor]
    entered, gate = tools.gate("asked")
    counting = {"c": {"tool": "increment", "next": {"condition": "n >= 1000000", "if_true": "end", "if_false": "c"}}}
    with driving():
        other = start(actor, counting, limits={"max_steps": 2_000_000, "max_iterations": 2_000_000})
        nodes = {"a": {"tool": "atomic.ask", "inputs": {"what": "cancel", "other": str(other.uuid)}, "timeout_s": 20}}
        run = start(actor, nodes)
        assert entered.wait(10)
        third = finish(start(actor, {"a": {"tool": "increment", "next": "b"}, "b": {"tool": "increment"}}))
        assert third.status == "completed"
        gate.set()
        assert (finish(run).status, finish(other).status) == ("completed", "cancelled")
    assert_as_journaled(run, other, third)
