"""`kill -9` of a worker between what the outside gave and the step that it ends: nothing is lost or doubled."""

from pathlib import Path

import pytest

from accounts.actor import Actor
from runs import selectors
from runs.human_tasks import answer_task
from runs.models import Event, HumanTask, Run, Signal
from runs.signals import signal_business_key, signal_run
from tests.durability import sabotage as _sabotage  # noqa: F401 - registers its tools here, too
from tests.durability.judging import assert_completed_once
from tests.durability.workers import killed_worker
from tests.support.runs import finish, is_waiting, start
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

#   w (paid) ──► x (paid) ──► y (paid): three turns of signals, in the order in which they were sent
SIGNALS = {
    "w": {"wait": {"signal": "paid"}, "outputs": {"seen": "= result.payload"}, "next": "x"},
    "x": {"wait": {"signal": "paid"}, "outputs": {"seen": "= result.payload"}, "next": "y"},
    "y": {"wait": {"signal": "paid"}, "outputs": {"seen": "= result.payload"}},
}
APPEND = {"reducers": {"seen": "append"}, "defaults": {"seen": []}}


@pytest.mark.parametrize(
    ("sabotage", "durability"),
    [
        ("after-taking-a-signal:1", "exit"),
        ("after-taking-a-signal:1", "async"),
        ("after-taking-a-signal:2", "sync"),
        ("before-a-commit:2", "exit"),
        ("after-a-commit:2", "sync"),
    ],
)
def test_a_signal_is_neither_lost_nor_taken_twice(actor: Actor, tmp_path: Path, sabotage: str, durability: str):
    with killed_worker(sabotage, tmp_path):
        run = start(actor, SIGNALS, state=APPEND, durability=durability)
        for number in range(4):
            signal_run(run=run, name="paid", payload=number, actor=actor)
        finish(run)
    assert selectors.current_state(run).values == {"seen": [0, 1, 2]}
    assert_completed_once(run)
    assert [signal.payload for signal in Signal.objects.filter(consumed_at=None)] == ["3"]


def test_two_runs_of_a_business_key_share_its_signals(actor: Actor, tmp_path: Path):
    with killed_worker("after-taking-a-signal:3", tmp_path):
        runs = [start(actor, SIGNALS, state=APPEND, business_key="order 7") for _ in range(2)]
        for number in range(6):
            signal_business_key(business_key="order 7", name="paid", payload=number, actor=actor)
        for run in runs:
            finish(run)
    seen = [selectors.current_state(run).values["seen"] for run in runs]
    assert sorted(number for numbers in seen for number in numbers) == [0, 1, 2, 3, 4, 5]


def test_a_task_that_was_expired_by_a_driver_that_died_goes_on_by_its_default(actor: Actor, tmp_path: Path):
    human = {"title": "?", "due_s": 0.5, "on_due": {"answer": {"ok": False}}}
    with killed_worker("after-expiring-a-task:1", tmp_path):
        run = finish(start(actor, {"ask": {"human": human}}))
    assert selectors.current_state(run).values == {"ok": False}
    assert HumanTask.objects.get().status == "expired"


@pytest.mark.parametrize("sabotage", ["before-a-commit:1", "after-a-commit:1", "before-a-commit:3"])
def test_a_question_is_asked_once_and_its_answer_taken_once(actor: Actor, tmp_path: Path, sabotage: str):
    with killed_worker(sabotage, tmp_path):
        run = start(actor, {"ask": {"human": {"title": "?"}, "next": "b"}, "b": {"tool": "count"}}, {"n": 0})
        wait_until(lambda: HumanTask.objects.filter(run=run).exists(), "somebody is asked")
        wait_until(lambda: is_waiting(run), "it waits")
        answer_task(task=HumanTask.objects.get(run=run), answer={"n": 5}, actor=actor)
        finish(run)
    assert run.status == Run.Status.COMPLETED, run.error
    assert selectors.current_state(run).values["n"] == 6
    assert HumanTask.objects.get().status == "answered"
    assert Event.objects.filter(run=run, type="StepCompleted", data__contains='"node":"ask"').count() == 1
