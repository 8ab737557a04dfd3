"""Tasks over REST. The driver's part is played by the test."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.actor import Actor
from accounts.models import AuditEntry
from runs.models import HumanTask, Mailbox, Run, TaskAssignee
from tests.support.runs import start

TASKS = "/api/v1/tasks/"
FORM = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}


@pytest.fixture
def run(actor: Actor) -> Run:
    return start(actor, {"ask": {"human": {"title": "Ship it?", "form": FORM}}})


@pytest.fixture
def task(run: Run) -> HumanTask:
    """As a driver opens it, for the member called operator."""
    task = HumanTask.objects.create(
        organization=run.organization, run=run, step=b"0123456789", node="ask", title="Ship it?",
        form=json.dumps(FORM), created_at=timezone.now(), due_at=run.created_at,
    )  # fmt: skip
    TaskAssignee.objects.create(task=task, kind="user", name="operator")
    return task


def post(client: APIClient, task: HumanTask, verb: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    answer = client.post(f"{TASKS}{task.uuid}/{verb}/", body)
    return answer.status_code, answer.json()


def test_a_task_is_listed_looked_at_and_answered(task: HumanTask, operator: User, client_of: Callable[..., APIClient]):
    client = client_of(operator)
    (listed,) = client.get(f"{TASKS}?mine=true&status=open").json()["results"]
    assert listed == client.get(f"{TASKS}{task.uuid}/").json()
    assert (listed["form"], listed["assignees"]["users"]) == (FORM, ["operator"])
    assert (listed["is_mine"], listed["is_overdue"], listed["status"]) == (True, True, "open")
    code, answered = post(client, task, "answer", {"answer": {"ok": True}})
    assert (code, answered["status"], answered["answers"][0]["answer"]) == (200, "answered", {"ok": True})
    mail = Mailbox.objects.get()
    assert (mail.kind, mail.actor) == ("answer", "operator")
    payload = json.loads(mail.payload)
    assert (payload["step"], payload["task"]) == (bytes(task.step).hex(), task.uuid.hex)
    assert AuditEntry.objects.filter(action="task.answered", actor="operator").exists()
    code, refused = post(client, task, "answer", {"answer": {"ok": False}})
    assert (code, refused["error"]["code"]) == (409, "task-closed")
    assert "by operator" in refused["error"]["message"]
    assert client.get(f"{TASKS}?status=open").json()["results"] == []


def test_a_viewer_looks_and_does_not_answer(task: HumanTask, viewer: User, client_of: Callable[..., APIClient]):
    client = client_of(viewer)
    (listed,) = client.get(f"{TASKS}?run={task.run.uuid}").json()["results"]
    assert listed["is_mine"] is False
    assert client.get(f"{TASKS}?mine=true").json()["results"] == []
    code, refused = post(client, task, "answer", {"answer": {"ok": True}})
    assert (code, refused["error"]["code"]) == (403, "not-assigned")


@pytest.mark.parametrize(
    ("body", "path"), [({}, "/answer"), ({"answer": {"ok": 1}}, "/ok"), ({"answer": 5}, ""), ({"answer": None}, "")]
)
def test_a_wrong_answer_is_refused_where_it_is_wrong(
    task: HumanTask, operator: User, client_of: Callable[..., APIClient], body: dict[str, Any], path: str
):
    code, refused = post(client_of(operator), task, "answer", body)
    assert (code, refused["error"]["details"][0]["path"]) == (422, path)
    assert HumanTask.objects.get().answers == "[]"


def test_a_task_is_delegated(api_client: APIClient, task: HumanTask, viewer: User):
    code, delegated = post(api_client, task, "delegate", {"users": ["viewer"]})
    assert (code, delegated["assignees"]) == (200, {"users": ["viewer"], "roles": [], "groups": []})
    assert json.loads(Mailbox.objects.get().payload)["assignees"] == {"users": ["viewer"]}
    code, refused = post(api_client, task, "delegate", {"users": ["viewer", "nobody"]})
    assert (code, refused["error"]["details"][0]["path"]) == (422, "/users/1")
