"""Nodes with `lock`, in real drivers."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.test import override_settings

from accounts.models import Organization
from graphs import services as graphs
from runs import control, selectors
from runs.driver import registration
from runs.explain import explain_run
from runs.forking import fork_run
from runs.models import Event, Lock, LockWait, Mailbox, Run, Step
from runs.store.locks import sweep_locks, take_lock
from runs.store.takeover import take_over
from tests.support.runs import definition, driving, finish, start
from tests.support.stores import store_class
from tests.support.tools import gate
from tests.support.waiting import wait_until
from tools import Context, tool

pytestmark = pytest.mark.django_db(transaction=True)

STEP, OTHER = b"0123456789", b"9876543210"
SECRET = {"schema": {"properties": {"secret": {"type": "string", "writeOnly": True}}}}
inside: list[str] = []
together: list[int] = []
order: list[str] = []


@pytest.fixture(autouse=True)
def fresh():
    for each in (inside, together, order):
        each.clear()


@tool(name="enter_alone")
def enter_alone(who: str, ctx: Context) -> dict:
    """Notes who is inside with it."""
    inside.append(who)
    together.append(len(inside))
    order.append(who)
    time.sleep(0.01)
    inside.remove(who)
    if who.startswith("bad"):
        raise ValueError("no")
    return {"attempt": ctx.attempt}


def alone(name: str = "door", **more) -> dict:
    return {"a": {"tool": "enter_alone", "lock": name, **more}}


def holding(name: str, **more) -> dict:
    """A node that holds the door until its gate opens."""
    return {"a": {"tool": "wait_for", "inputs": {"name": name}, "lock": "door", **more}}


def queue_is(organization: Organization, length: int) -> None:
    wait_until(lambda: selectors.lock_queue(organization, "door").count() == length, f"{length} wait")


def at_rest(run: Run) -> None:
    wait_until(lambda: Run.objects.filter(pk=run.pk, status="waiting", driver=None).exists(), "it leaves memory")


def test_one_step_at_a_time_holds_a_lock_over_all_runs_and_drivers(actor):
    with driving(), driving():
        runs = [start(actor, alone(), {"who": str(number)}) for number in range(12)]
        assert {finish(run).status for run in runs} == {"completed"}
        wait_until(lambda: not Lock.objects.exists(), "what came to a step that was over is swept")
    assert set(together) == {1}
    assert len(order) == 12
    assert not LockWait.objects.exists()


def test_the_name_may_be_computed_and_other_names_do_not_wait(actor):
    entered, opened = gate("first")
    with driving():
        first = start(actor, holding("first", lock="= room"), {"room": "door"})
        entered.wait(10)
        assert finish(start(actor, alone("= room"), {"who": "x", "room": "other"})).status == "completed"
        opened.set()
        finish(first)


@pytest.mark.parametrize("room", [1, "", "x" * 201, None])
def test_what_is_no_name_fails_the_step(actor, room):
    with driving():
        run = finish(start(actor, alone("= room", retry={"max_attempts": 3}), {"who": "x", "room": room}))
    assert "LockInvalid" in run.error
    assert Step.objects.get(run=run).attempt == 1


def test_a_name_of_the_greatest_length_is_taken(actor):
    with driving():
        assert finish(start(actor, alone("= room"), {"who": "x", "room": "x" * 200})).status == "completed"


def test_a_run_that_waits_for_a_lock_leaves_memory_and_says_for_which(actor):
    entered, opened = gate("first")
    with driving():
        first = start(actor, holding("first"))
        entered.wait(10)
        second = start(actor, alone(), {"who": "x"})
        at_rest(second)
        waiting = json.loads(Event.objects.get(run=second, type="StepWaiting").data)
        assert (waiting["wait"]["kind"], waiting["wait"]["name"]) == ("lock", "door")
        assert [reason.because for reason in explain_run(Run.objects.get(pk=second.pk))] == ["lock"]
        assert Step.objects.get(run=second).status == "waiting"
        assert selectors.lock_holder(actor.organization, "door").run == first
        opened.set()
        assert finish(second).status == "completed"
    assert selectors.lock_holder(actor.organization, "door") is None
    assert Mailbox.objects.get(run=second, kind="lock").consumed_at is not None


@pytest.mark.parametrize("inside", [False, True], ids=["run", "subgraph"])
def test_a_name_that_is_made_of_a_secret_is_shown_nowhere(actor, api_client, inside):
    schema = {"properties": {"token": {"type": "string", "format": "password"}}}
    nodes, state = alone("= 'of ' + token"), {"schema": schema}
    initial = {"who": "x", "token": "canary-bird"}
    if inside:
        child = graphs.create_graph(definition=definition(nodes, state=state), actor=actor)
        nodes, state = {"c": {"graph": child.graph.slug, "inputs": {"who": "= who", "token": "= token"}}}, {}
    with driving():
        holder = start(actor, {"a": {}})
        assert take_lock(organization_id=actor.organization.pk, name="of canary-bird", run_id=holder.pk, step=STEP)
        run = start(actor, nodes, initial, state=state)
        at_rest(run)
        (reason,) = explain_run(Run.objects.get(pk=run.pk))
        assert (reason.because, reason.data["name"]) == ("lock", "[redacted]")
        assert "waits for its lock, which another step holds" in reason.message
        shown = {
            path: api_client.get(path.format(run.uuid)).content.decode()
            for path in ("/api/v1/runs/{}/explain/", "/api/v1/runs/{}/steps/", "/runs/{}/")
        }
        events = api_client.get(f"/api/v1/runs/{run.uuid}/events/").json()["results"]
        shown["waits"] = json.dumps([event for event in events if event["type"] == "StepWaiting"])
        assert [path for path, text in shown.items() if "of canary" in text] == []
        control.cancel_run(run=run, actor=actor)
        finish(run)


def lock_reason(run: Run):
    [reason] = [each for each in explain_run(Run.objects.get(pk=run.pk)) if each.because == "lock"]
    return reason


def test_explain_names_who_holds_a_lock_and_how_many_get_it_before(actor):
    entered, opened = gate("first")
    with driving():
        first = start(actor, holding("first"))
        entered.wait(10)
        second = start(actor, alone(), {"who": "x"})
        queue_is(actor.organization, 1)
        third = start(actor, alone("= secret"), {"who": "y", "secret": "door"}, state=SECRET)
        at_rest(second), at_rest(third)
        told, held = lock_reason(second), Lock.objects.get()
        holder = {"run": str(first.uuid), "step": bytes(held.step).hex(), "node": "a"}
        assert told.data["holder"] == {**holder, "since": held.acquired_at.isoformat()}
        assert (told.data["name"], told.data["ahead"]) == ("door", 0)
        assert told.message.endswith(f'It is held by "a" of run {first.uuid}.')
        told = lock_reason(third)
        assert (told.data["name"], told.data["ahead"], told.data["holder"]["run"]) == ("[redacted]", 1, str(first.uuid))
        assert told.message.endswith(f'It is held by "a" of run {first.uuid}. Ahead of it in the queue: 1.')
        assert "door" not in told.message
    opened.set()
    Lock.objects.update(run=second, step=LockWait.objects.get(run=second).step)  # handed over, with mail on its way
    assert lock_reason(second).message.endswith("It has come, and the step goes on in a moment.")
    assert "holder" not in lock_reason(second).data
    Lock.objects.all().delete()  # given back, and handed to nobody yet
    assert "holder" not in lock_reason(second).data


def test_what_comes_of_a_lock_that_came_before_its_message_is_no_refusal(actor):
    entered, opened = gate("first")
    with driving():
        first = start(actor, holding("first"))
        entered.wait(10)
        second = start(actor, alone(), {"who": "x"})
        at_rest(second)
        opened.set()
        finish(first), finish(second)
    assert not Event.objects.filter(type="MailRefused").exists()


def test_waiters_are_served_in_order_of_arrival(actor):
    entered, opened = gate("first")
    with driving(), driving():
        start(actor, holding("first"))
        entered.wait(10)
        runs = []
        for number in range(5):
            runs.append(start(actor, alone(), {"who": str(number)}))
            queue_is(actor.organization, number + 1)
        opened.set()
        for run in runs:
            finish(run)
    assert order == ["0", "1", "2", "3", "4"]


def test_organizations_do_not_wait_for_each_other(actor, stranger_actor):
    entered, opened = gate("first")
    with driving():
        first = start(actor, holding("first"))
        entered.wait(10)
        assert finish(start(stranger_actor, alone(), {"who": "x"})).status == "completed"
        opened.set()
        finish(first)


def test_two_steps_of_one_run_hold_it_after_each_other(actor):
    #      ┌─► a ─┐
    #  s ──┤      ├─► j
    #      └─► b ─┘
    branch = {"tool": "enter_alone", "lock": "door", "outputs": {}, "next": "j"}
    nodes = {
        "s": {"next": ["a", "b"]},
        "a": {**branch, "inputs": {"who": "a"}},
        "b": {**branch, "inputs": {"who": "b"}},
        "j": {"join": "all"},
    }
    with driving():
        for durability in [*Run.Durability] * 8:  # the lock comes while the run is about to leave memory, or not yet
            run = finish(start(actor, nodes, durability=durability.value))
            assert run.status == "completed", run.error
    assert set(together) == {1}
    assert len(order) == 2 * 8 * len(Run.Durability)


def test_what_comes_to_a_run_on_its_way_out_of_memory_is_left_to_its_next_driver(actor, monkeypatch):
    hindered = store_class()
    commit = hindered.commit

    def slow_commit(self, writes):
        lost = commit(self, writes)
        if any(write.released_locks for write in writes):
            time.sleep(0.3)  # the message that the lock came is there, and its driver does not know yet that it let go
        return lost

    monkeypatch.setattr(hindered, "commit", slow_commit)
    nodes = {
        "s": {"next": ["a", "b"]},
        **{name: {"tool": "enter_alone", "lock": "door", "outputs": {}, "inputs": {"who": name}} for name in "ab"},
    }
    with driving():
        run = finish(start(actor, nodes, durability="async"))
    assert run.status == "completed", run.error
    assert sorted(order) == ["a", "b"]


def test_a_subgraph_may_use_the_lock_that_its_own_step_holds(actor):
    with driving():
        inner = finish(start(actor, alone(), {"who": "x"}))
        child = inner.version.graph.slug
        nodes = {"g": {"graph": child, "inputs": {"who": "y"}, "lock": "door"}}
        outer = start(actor, nodes)
        assert finish(outer).status == "completed", outer.error
    assert order == ["x", "y"]
    assert not Lock.objects.exists()


def test_a_step_that_fails_gives_its_lock_back(actor):
    with driving():
        assert finish(start(actor, alone(), {"who": "bad"})).status == "failed"
        assert finish(start(actor, alone(), {"who": "x"})).status == "completed"


def test_a_lock_is_kept_between_attempts(actor):
    retry = {"max_attempts": 2, "initial_interval_s": 0.5, "jitter": False}
    with driving():
        first = start(actor, alone(retry=retry), {"who": "bad"})
        wait_until(lambda: order == ["bad"], "the first attempt is over")
        second = start(actor, alone(), {"who": "x"})
        finish(first), finish(second)
    assert order == ["bad", "bad", "x"]


@pytest.mark.parametrize("who", ["holder", "waiter"])
def test_cancelling_a_run_gives_back_what_it_holds_and_waits_for(actor, who):
    entered, opened = gate("first")
    with driving():
        holder = start(actor, holding("first"))
        entered.wait(10)
        waiter = start(actor, alone(), {"who": "waiter"})
        queue_is(actor.organization, 1)
        last = start(actor, alone(), {"who": "last"})
        queue_is(actor.organization, 2)
        control.cancel_run(run=holder if who == "holder" else waiter, actor=actor)
        if who == "waiter":
            queue_is(actor.organization, 1)
            opened.set()
        assert finish(last).status == "completed"
        finish(waiter)
    opened.set()
    assert order == (["waiter", "last"] if who == "holder" else ["last"])


def test_the_deadline_of_a_step_ends_its_wait(actor):
    entered, opened = gate("first")
    with driving():
        first = start(actor, holding("first"))
        entered.wait(10)
        late = finish(start(actor, alone(deadline_s=0.3), {"who": "x"}))
        assert "DeadlineExceeded" in late.error
        opened.set()
        finish(first)
    assert order == []
    assert not LockWait.objects.exists()


def test_a_run_that_has_timed_out_holds_and_waits_for_nothing(actor):
    entered, opened = gate("first")
    with driving():
        first = start(actor, holding("first"))
        entered.wait(10)
        assert finish(start(actor, alone(), {"who": "x"}, limits={"timeout_s": 0.3})).status == "failed"
        assert not LockWait.objects.exists()
        opened.set()
        finish(first)


def test_a_lock_outlives_its_worker_and_its_step_enters_again(actor):
    run = start(actor, alone(), {"who": "x"})
    step = Step.objects.get(run=run)
    dead = registration.register(quarantine=False)
    Run.objects.filter(pk=run.pk).update(driver=dead, wake_at=None, status="running", epoch=1)
    mine = {"organization_id": actor.organization.pk, "name": "door", "run_id": run.pk, "step": bytes(step.step)}
    assert take_lock(**mine)
    assert take_over(dead, max_step_crashes=5) is not None
    with driving():
        other = start(actor, alone(), {"who": "y"})
        queue_is(actor.organization, 1)
        with driving(quarantine=True):
            assert finish(run).status == "completed"
        assert finish(other).status == "completed"
    assert order == ["x", "y"]


def test_a_lock_that_came_while_nobody_drove_the_run_is_found(actor):
    entered, opened = gate("first")
    with driving():
        first = start(actor, holding("first"))
        entered.wait(10)
        second = start(actor, alone(), {"who": "x"})
        at_rest(second)
        opened.set()
        finish(first)
        finish(second)
    assert order == ["x"]


def test_a_message_that_was_taken_in_too_early_is_no_loss(actor):
    """The lock is handed over before the journal says that the step waits for it."""
    run = start(actor, alone(), {"who": "x"})
    step = bytes(Step.objects.get(run=run).step)
    other = start(actor, {"a": {}})
    names = {"organization_id": actor.organization.pk, "name": "door"}
    take_lock(**names, run_id=other.pk, step=STEP)
    with driving():
        at_rest(run)
        assert LockWait.objects.get().run == run
        LockWait.objects.all().delete()
        Lock.objects.update(run=run, step=step)  # without any message
        Run.objects.filter(pk=run.pk).update(wake_at="2000-01-01T00:00Z")
        assert finish(run).status == "completed"


# --------------------------------------------------------------------------- forks


@contextmanager
def held_door(actor) -> Iterator[None]:
    """Somebody holds the door until the context is left. Needs a driver."""
    entered, opened = gate("holder")
    holder = start(actor, holding("holder"))
    wait_until(entered.is_set, "the door is held")
    yield
    opened.set()
    finish(holder)


def late_for_door(actor, deadline_s: float) -> Run:
    """A run that has waited for the door until its deadline."""
    run = finish(start(actor, alone(deadline_s=deadline_s), {"who": "late"}))
    assert "DeadlineExceeded" in run.error
    return run


def test_a_fork_that_waits_for_a_lock_has_what_was_left_of_its_time(actor):
    with driving():
        with held_door(actor):
            fork = fork_run(run=late_for_door(actor, 4), at_seq=2, actor=actor)
            queue_is(actor.organization, 1)
        assert finish(fork).status == "completed", fork.error
    assert order == ["late"]


def test_a_fork_whose_lock_does_not_come_in_time_fails_and_leaves_the_queue(actor):
    with driving(), held_door(actor):
        fork = finish(fork_run(run=late_for_door(actor, 1.5), at_seq=2, actor=actor))
        assert "DeadlineExceeded" in fork.error
        # A moment of the 1.5 s was over at the event that it begins with.
        assert (fork.finished_at - fork.created_at).total_seconds() > 0.75
        assert not LockWait.objects.exists()
    assert order == []


# --------------------------------------------------------------------------- what no transaction of a step can do


def test_the_lock_of_a_run_that_was_deleted_goes_to_who_waits(actor):
    with driving():
        gone = finish(start(actor, {"a": {}}))
        names = {"organization_id": actor.organization.pk, "name": "door"}
        assert take_lock(**names, run_id=gone.pk, step=STEP)
        waiter = start(actor, alone(), {"who": "x"})
        at_rest(waiter)
        gone.delete()
        assert sweep_locks()
        assert finish(waiter).status == "completed"
    assert not sweep_locks()


def test_what_a_step_took_that_was_over_by_then_is_swept(actor):
    with driving():
        over = finish(start(actor, {"a": {}}))
    names = {"organization_id": actor.organization.pk, "name": "door"}
    assert take_lock(**names, run_id=over.pk, step=STEP)
    assert not take_lock(**names, run_id=over.pk, step=OTHER)
    sweep_locks()
    assert (Lock.objects.count(), LockWait.objects.count()) == (1, 1), "it may have been taken just now"
    Lock.objects.update(acquired_at="2000-01-01T00:00Z")
    LockWait.objects.update(since="2000-01-01T00:00Z")
    sweep_locks()
    sweep_locks()
    Lock.objects.update(acquired_at="2000-01-01T00:00Z")
    sweep_locks()
    assert not Lock.objects.exists()
    assert not LockWait.objects.exists()


def test_two_who_ask_at_the_same_moment_do_not_both_get_it(actor):
    with driving():
        run = finish(start(actor, {"a": {}}))
    got: list[bool] = []
    barrier = threading.Barrier(8)

    def ask(number: int) -> None:
        from django.db import connections

        barrier.wait()
        names = {"organization_id": actor.organization.pk, "name": "door"}
        got.append(take_lock(**names, run_id=run.pk, step=bytes([number]) * 10))
        connections.close_all()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False] * 7 + [True]
    assert (Lock.objects.count(), LockWait.objects.count()) == (1, 7)


def test_thousands_may_wait(actor):
    """Waiting holds no place of a driver."""
    entered, opened = gate("first")
    limits = {"runs_per_worker": 2}
    from django.conf import settings

    with override_settings(WORKFLOW=settings.WORKFLOW.model_copy(update=limits)), driving():
        first = start(actor, holding("first"))
        entered.wait(10)
        runs = [start(actor, alone(), {"who": str(number)}) for number in range(10)]
        queue_is(actor.organization, 10)
        opened.set()
        for run in (first, *runs):
            assert finish(run).status == "completed"
    assert set(together) == {1}


failing = threading.Event()


@tool(name="fail_until_told")
def fail_until_told(who: str, ctx: Context) -> dict:
    if not failing.is_set():
        raise ValueError("not yet")
    return enter_alone(who, ctx)


def test_a_subgraph_that_goes_on_after_its_run_had_failed_takes_the_lock_of_its_call_again(actor):
    failing.clear()
    entered, opened = gate("door held")
    work = {"tool": "fail_until_told", "outputs": {}}
    inner = {"s": {"next": ["x", "y"]}, "x": {**work, "inputs": {"who": "x"}}, "y": {**work, "inputs": {"who": "y"}}}
    with driving():
        child = finish(start(actor, inner)).version.graph.slug
        run = finish(start(actor, {"g": {"graph": child, "lock": "door"}}))
        assert (run.status, Lock.objects.count()) == ("failed", 0)
        other = start(actor, holding("door held"))
        assert entered.wait(10)
        failing.set()
        control.retry_run(run=run, actor=actor)
        queue_is(actor.organization, 1)
        waits = Event.objects.filter(run=run, type="StepWaiting").count
        wait_until(lambda: waits() == 2, "both wait for it")
        assert order == []
        assert {reason.because for reason in explain_run(Run.objects.get(pk=run.pk))} >= {"lock"}
        opened.set()
        assert [finish(each).status for each in (run, other)] == ["completed", "completed"]
        wait_until(lambda: not Lock.objects.exists(), "what came to a step that was over is swept")
    assert sorted(order) == ["x", "y"]
    assert not LockWait.objects.exists()
