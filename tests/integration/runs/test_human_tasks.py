"""Tasks of people, in a real driver."""

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connections
from rest_framework.test import APIClient

from accounts.actor import Actor
from accounts.models import Role
from graphs.services import create_graph
from runs import control, services
from runs.errors import AlreadyAnswered, AnswerInvalid, DelegateUnknown, NotAssigned, RunsError, TaskClosed
from runs.forking import fork_run
from runs.human_tasks import answer_task, delegate_task, is_overdue, open_tasks_for, shown_answers
from runs.models import Event, HumanTask, Mailbox, Run, Step
from runs.selectors import current_state
from tests.conftest import acting, member
from tests.support.runs import definition, driving, finish, is_waiting, start
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

FORM = {
    "type": "object",
    "properties": {"approved": {"type": "boolean"}, "note": {"type": "string", "maxLength": 5}},
    "required": ["approved"],
}


def asking(next_: Any = None, outputs: dict[str, Any] | None = None, **human: Any) -> dict[str, Any]:
    """Nodes that ask people and go on."""
    ask: dict[str, Any] = {"human": {"title": "Ship it?", "form": FORM, **human}}
    if outputs:
        ask["outputs"] = outputs
    return {"ask": {**ask, "next": next_ or "late"}, "late": {}}


def task_of(run: Run) -> HumanTask:
    """The open task of a run that waits for it."""
    wait_until(lambda: HumanTask.objects.filter(run=run, status="open").exists(), "the task is there")
    return HumanTask.objects.get(run=run, status="open")


def asked(actor: Actor, *, due_soon: bool = False, **parts: Any) -> tuple[Run, HumanTask]:
    run = start(actor, asking(**parts))
    task = task_of(run)
    if not due_soon:
        wait_until(lambda: is_waiting(run), "it has left memory")
    return run, task


def state_of(run: Run) -> dict[str, Any]:
    return current_state(run).values


def test_a_step_asks_and_the_answer_is_its_update(actor):
    with driving():
        run, task = asked(actor, instructions="Look twice.")
        assert (task.title, task.instructions, task.node) == ("Ship it?", "Look twice.", "ask")
        assert Step.objects.get(run=run).status == Step.Status.WAITING
        answered = answer_task(task=task, answer={"approved": True}, actor=actor)
        assert answered.status == "answered"
        assert finish(run).status == "completed"
    assert state_of(run) == {"approved": True}
    entry = Event.objects.get(run=run, type="StepCompleted", data__contains='"node":"ask"')
    assert '"actor":"owner"' in entry.data


def test_outputs_see_who_answered_what_and_when(actor, operator):
    outputs = {"ok": "= result.answer.approved", "by": "= result.by", "at": "= result.at"}
    with driving():
        run, task = asked(actor, outputs=outputs)
        answer_task(task=task, answer={"approved": False}, actor=acting(operator))
        finish(run)
    state = state_of(run)
    assert (state["ok"], state["by"]) == (False, "operator")
    assert datetime.fromisoformat(state["at"]).tzinfo is not None


def test_a_quorum_gathers_one_answer_of_each(actor, operator, editor):
    with driving():
        run, task = asked(actor, quorum=2, outputs={"votes": "= result.answers"})
        answer_task(task=task, answer={"approved": True}, actor=acting(operator))
        with pytest.raises(AlreadyAnswered):
            answer_task(task=task, answer={"approved": True}, actor=acting(operator))
        assert not Mailbox.objects.exists()
        assert [one["by"] for one in shown_answers(HumanTask.objects.get())] == ["operator"]
        answer_task(task=task, answer={"approved": False}, actor=acting(editor))
        finish(run)
    votes = state_of(run)["votes"]
    assert [(vote["by"], vote["answer"]) for vote in votes] == [
        ("operator", {"approved": True}),
        ("editor", {"approved": False}),
    ]


def test_a_quorum_changes_nothing_unless_outputs_say_so(actor, operator, editor):
    with driving():
        run, task = asked(actor, quorum=2)
        for user in (operator, editor):
            answer_task(task=task, answer={"approved": True}, actor=acting(user))
        finish(run)
    assert state_of(run) == {}


@pytest.mark.parametrize(
    ("assignees", "who"),
    [
        ({}, {"operator", "editor", "owner"}),
        ({"users": ["viewer"]}, {"viewer"}),
        ({"roles": ["editor"]}, {"editor", "owner"}),
        ({"groups": ["legal"]}, {"operator"}),
        ({"users": ["viewer"], "groups": ["legal"]}, {"viewer", "operator"}),
        ({"users": ["somebody else"]}, set()),
    ],
)
def test_who_is_named_may_answer_and_nobody_else(actor, viewer, operator, editor, stranger_actor, assignees, who):
    operator.groups.add(Group.objects.create(name="legal"))
    stranger_actor.user.groups.add(Group.objects.get(name="legal"))
    everybody = [actor, stranger_actor, *map(acting, (viewer, operator, editor))]
    with driving():
        _, task = asked(actor, assignees=assignees)
    assert {each.name for each in everybody if open_tasks_for(each).exists()} == who
    for each in everybody:
        if each.name not in who and each is not stranger_actor:
            with pytest.raises(NotAssigned):
                answer_task(task=task, answer={"approved": True}, actor=each)


def test_a_key_that_is_called_like_a_user_is_not_that_user(actor):
    key = Actor(organization=actor.organization, name="viewer", role=Role.OPERATOR)
    with driving():
        _, task = asked(actor, assignees={"users": ["viewer"]})
    with pytest.raises(NotAssigned):
        answer_task(task=task, answer={"approved": True}, actor=key)


@pytest.mark.parametrize(
    ("answer", "path"), [({}, ""), ({"approved": "yes"}, "/approved"), ({"approved": True, "note": "x" * 6}, "/note")]
)
def test_an_answer_fits_the_form(actor, answer, path):
    with driving():
        _, task = asked(actor)
    with pytest.raises(AnswerInvalid) as refused:
        answer_task(task=task, answer=answer, actor=actor)
    assert [detail.path for detail in refused.value.details] == [path]
    answer_task(task=task, answer={"approved": True, "note": "x" * 5}, actor=actor)


def test_the_first_of_two_who_answer_at_once_wins_and_the_other_learns_who(actor, operator, editor):
    outcomes: list[Any] = []

    def answer(by: Actor) -> None:
        try:
            outcomes.append(answer_task(task=task, answer={"approved": True}, actor=by))
        except RunsError as error:
            outcomes.append(error)
        finally:
            connections.close_all()

    with driving():
        run, task = asked(actor)
        threads = [threading.Thread(target=answer, args=(acting(user),)) for user in (operator, editor)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        finish(run)
    (late,) = [outcome for outcome in outcomes if isinstance(outcome, TaskClosed)]
    (won,) = [outcome for outcome in outcomes if isinstance(outcome, HumanTask)]
    assert late.by == (shown_answers(won)[0]["by"],)
    assert Event.objects.filter(run=run, type="StepCompleted", data__contains='"node":"ask"').count() == 1


def test_a_task_is_closed_when_its_step_is_not_wanted_any_more(actor):
    nodes = {
        "s": {"next": ["ask", "w"]},
        "ask": {"human": {"title": "?"}, "next": "j"},
        "w": {"wait": {"signal": "never"}, "next": "j"},
        "j": {"join": "all"},
    }
    with driving():
        run = start(actor, nodes)
        task = task_of(run)
        control.cancel_run(run=run, actor=actor)
        finish(run)
        task.refresh_from_db()
    assert (task.status, task.closed_at is None) == ("cancelled", False)
    with pytest.raises(TaskClosed):
        answer_task(task=task, answer={}, actor=actor)


def test_a_task_that_nobody_answered_in_time_goes_where_it_says(actor):
    with driving():
        run, _ = asked(
            actor, due_soon=True, due_s=0.2, on_due="late", next_="end", outputs={"ok": "= result.answer.approved"}
        )
        finish(run)
    assert HumanTask.objects.get().status == "expired"
    assert (run.status, state_of(run)) == ("completed", {})
    assert Step.objects.filter(run=run, node="late").exists()


def test_a_default_answer_is_taken_and_nobody_gave_it(actor):
    outputs = {"ok": "= result.answer.approved", "by": "= result.by"}
    with driving():
        run, _ = asked(actor, due_soon=True, due_s=0.2, on_due={"answer": {"approved": False}}, outputs=outputs)
        finish(run)
    assert state_of(run) == {"ok": False, "by": None}


def test_a_default_answer_joins_those_that_came(actor, operator):
    with driving():
        run, task = asked(
            actor, due_soon=True, due_s=1, on_due={"answer": {"approved": False}}, quorum=3,
            outputs={"votes": "= result.answers"},
        )  # fmt: skip
        answer_task(task=task, answer={"approved": True}, actor=acting(operator))
        finish(run)
    assert [vote["by"] for vote in state_of(run)["votes"]] == ["operator", None]


def test_a_task_without_on_due_stays_open_and_is_overdue(actor):
    with driving():
        run, task = asked(actor, due_s=0.01)
        assert is_overdue(task, datetime.now(UTC) + timedelta(seconds=1))
        assert run.wake_at is None
        answer_task(task=task, answer={"approved": True}, actor=actor)
        finish(run)


def test_an_answer_that_came_a_moment_before_the_due_time_wins(actor):
    """It was given while no driver held the run, and the due time passed before one looked."""
    with driving():
        run, task = asked(actor, due_s=6, on_due={"answer": {"approved": False}})
    answer_task(task=task, answer={"approved": True}, actor=actor)
    pass_due_time(run)
    with driving():
        finish(run)
    assert state_of(run) == {"approved": True}


def test_a_task_that_a_dead_driver_expired_ends_with_the_next(actor):
    with driving():
        run, task = asked(actor, due_s=6, on_due={"answer": {"approved": False}})
    HumanTask.objects.filter(pk=task.pk).update(status="expired", closed_at=datetime.now(UTC))
    pass_due_time(run)
    with driving():
        finish(run)
    assert state_of(run) == {"approved": False}


def pass_due_time(run: Run) -> None:
    entry = Event.objects.get(run=run, type="StepWaiting")
    due_at = entry.data.split('"timeout_at":"')[1].split('"')[0]
    Event.objects.filter(pk=entry.pk).update(data=entry.data.replace(due_at, "2026-01-01T00:00:00+00:00"))
    Run.objects.filter(pk=run.pk).update(wake_at=datetime.now(UTC))


def test_a_delegated_task_is_for_the_others(actor, operator, viewer):
    with driving():
        run, task = asked(actor, assignees={"users": ["operator"]})
        delegated = delegate_task(task=task, to={"users": ["viewer"]}, actor=acting(operator))
        assert [(one.kind, one.name) for one in delegated.assignees.all()] == [("user", "viewer")]
        with pytest.raises(NotAssigned):
            delegate_task(task=task, to={"users": ["operator"]}, actor=acting(operator))
        wait_until(lambda: Event.objects.filter(run=run, type="StepWaiting").count() == 2, "it is journaled")
        answer_task(task=task, answer={"approved": True}, actor=acting(viewer))
        finish(run)
    assert '"assignees":{"users":["viewer"]}' in Event.objects.filter(run=run, type="StepWaiting").last().data
    assert HumanTask.objects.count() == 1


@pytest.mark.parametrize(
    ("to", "path"),
    [
        ({}, ""),
        ({"users": ["stranger"]}, "/users/0"),
        ({"roles": ["king"]}, "/roles/0"),
        ({"groups": ["x"]}, "/groups/0"),
    ],
)
def test_a_task_is_delegated_to_somebody_who_is_there(actor, stranger, to, path):
    with driving():
        _, task = asked(actor)
    with pytest.raises(DelegateUnknown) as refused:
        delegate_task(task=task, to=to, actor=actor)
    assert [detail.path for detail in refused.value.details] == [path]


def test_an_editor_delegates_what_is_anothers(actor, editor, viewer, organization):
    with driving():
        _, task = asked(actor, assignees={"users": ["owner"]})
    with pytest.raises(NotAssigned):
        delegate_task(task=task, to={"users": ["viewer"]}, actor=acting(member(organization, "op", Role.OPERATOR)))
    delegate_task(task=task, to={"users": ["viewer"]}, actor=acting(editor))


def test_secrets_of_an_answer_are_not_shown(actor):
    form = {"type": "object", "properties": {"pin": {"type": "string", "writeOnly": True}, "key": {"type": "string"}}}
    secret = {"type": "string", "format": "password"}
    state = {"schema": {"type": "object", "properties": {"key": secret, "pin": secret}}}
    with driving():
        run = start(actor, asking(form=form), state=state)
        task = answer_task(task=task_of(run), answer={"pin": "1234", "key": "abcd"}, actor=actor)
        finish(run)
    assert shown_answers(task)[0]["answer"] == {"pin": "[redacted]", "key": "[redacted]"}


@pytest.mark.parametrize("forked", [False, True])
def test_what_a_subgraph_marks_secret_is_shown_of_no_answer_to_its_questions(actor, operator, api_client, forked):
    schema = {"type": "object", "properties": {"key": {"type": "string", "format": "password"}}}
    asks = definition(asking(form={"type": "object"}, quorum=2), state={"schema": schema})
    child = create_graph(definition=asks, actor=actor)
    with driving():
        run = start(actor, {"c": {"graph": child.graph.slug}})
        task_of(run)
        if forked:
            run = fork_run(run=run, at_seq=Event.objects.get(run=run, type="StepWaiting").seq, actor=actor)
        shown = []
        for each in (actor, acting(operator)):
            task = answer_task(task=task_of(run), answer={"key": "canary-bird", "word": "public"}, actor=each)
            shown.append(doors_of(task, api_client))
        finish(run)
        shown.append(doors_of(task, api_client))
    assert [one["answer"] for one in shown_answers(task)] == [{"key": "[redacted]", "word": "public"}] * 2
    assert not [door for doors in shown for door, text in doors.items() if "canary" in text]
    assert all("public" in doors["task"] for doors in shown)


def doors_of(task: HumanTask, client: APIClient) -> dict[str, str]:
    """What people are shown of a task and its run, by where."""
    run = task.run.uuid
    doors = {
        "task": f"/api/v1/tasks/{task.uuid}/",
        "tasks": "/api/v1/tasks/",
        "page": f"/tasks/{task.uuid}/",
        "events": f"/api/v1/runs/{run}/events/",
        "steps": f"/api/v1/runs/{run}/steps/",
        "explain": f"/api/v1/runs/{run}/explain/",
        "page of the run": f"/runs/{run}/",
    }
    answers = {door: client.get(path) for door, path in doors.items()}
    assert {answer.status_code for answer in answers.values()} == {200}
    return {door: answer.content.decode() for door, answer in answers.items()}


def test_a_run_that_commits_at_its_end_asks_at_once(actor):
    with driving():
        run = start(actor, asking(), durability="exit")
        answer_task(task=task_of(run), answer={"approved": True}, actor=actor)
        finish(run)
    assert state_of(run) == {"approved": True}


def test_each_item_of_a_map_asks_for_itself(actor):
    nodes = {
        "m": {"next": {"map": "= items", "as": "item", "to": "ask", "collect": {"all": "= ok"}}},
        "ask": {"human": {"title": "?"}},
    }
    with driving():
        run = start(actor, nodes, {"items": [0, 1, 2]})
        wait_until(lambda: HumanTask.objects.filter(run=run).count() == 3, "three are asked")
        for number, task in enumerate(HumanTask.objects.filter(run=run)):
            answer_task(task=task, answer={"ok": number}, actor=actor)
        finish(run)
    assert sorted(state_of(run)["all"]) == [0, 1, 2]


@pytest.mark.slow
def test_a_thousand_runs_that_wait_hold_nothing_and_each_ends_within_moments_of_its_answer(actor):
    version = create_graph(definition=definition(asking()), actor=actor)
    for _ in range(1_000):
        services.start_run(version=version, state={}, actor=actor)
    waiting = Run.objects.filter(status=Run.Status.WAITING, driver=None, wake_at=None)
    with driving():
        wait_until(lambda: waiting.count() == 1_000, "all have left memory")
        epochs = set(Run.objects.values_list("epoch", flat=True))
        task = HumanTask.objects.order_by("pk")[500]
        began = time.monotonic()
        answer_task(task=task, answer={"approved": True}, actor=actor)
        run = finish(task.run)
        took_s = time.monotonic() - began
        assert (run.status, run.epoch) == (Run.Status.COMPLETED, 2)
        assert waiting.count() == 999
    assert epochs == {1}, "nobody takes them up to look whether they still wait"
    assert took_s < 2
