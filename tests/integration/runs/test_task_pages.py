"""The pages of tasks. The driver's part is played by the test."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from accounts.actor import Actor
from runs import task_pages
from runs.models import HumanTask, Mailbox, TaskAssignee
from tests.support.runs import start

pytestmark = pytest.mark.django_db

FORM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "approved": {"type": "boolean", "title": "Approved?"},
        "note": {"type": "string", "minLength": 3, "description": "For the file."},
    },
    "required": ["approved"],
}


def ask(actor: Actor, *assigned: str, form: dict[str, Any] = FORM, **values: Any) -> HumanTask:
    """A task as a driver opens it, for the members that are named."""
    run = start(actor, {"ask": {"human": {"title": "Ship <it>?"}}})
    task = HumanTask.objects.create(
        organization=run.organization, run=run, step=b"0123456789", node="ask", title="Ship <it>?",
        form=json.dumps(form), created_at=timezone.now(), **values,
    )  # fmt: skip
    for name in assigned:
        TaskAssignee.objects.create(task=task, kind="user", name=name)
    return task


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def html_of(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_inbox_shows_what_waits_for_the_reader_and_the_navigation_counts_it(actor, operator, viewer):
    task = ask(actor, "operator", due_at=timezone.now())
    mine = html_of(signed_in(operator), "/tasks/")
    assert f'href="/tasks/{task.uuid}/">Ship &lt;it&gt;?</a>' in mine
    assert "overdue" in mine
    assert '>Tasks <span class="badge">1</span></a>' in mine
    others = html_of(signed_in(viewer), "/tasks/")
    assert "Nobody waits for you." in others
    assert 'class="badge"' not in others
    assert str(task.uuid) in html_of(signed_in(viewer), "/tasks/?show=open")
    assert str(task.uuid) not in html_of(signed_in(viewer), "/tasks/?show=closed")


def test_a_task_is_answered_with_the_form_of_its_schema(actor, operator):
    task, browser = ask(actor, "operator"), signed_in(operator)
    html = html_of(browser, f"/tasks/{task.uuid}/")
    assert '<label for="id_answer-approved">Approved? <small>boolean</small></label>' in html
    assert "For the file." in html
    refused = browser.post(f"/tasks/{task.uuid}/answer/", {"answer-approved": "true", "answer-note": "x"})
    assert refused.status_code == 422
    assert "too short" in refused.content.decode()
    answered = browser.post(f"/tasks/{task.uuid}/answer/", {"answer-approved": "true", "answer-note": "good"})
    assert (answered.status_code, answered["Location"]) == (302, "/tasks/")
    (given,) = json.loads(Mailbox.objects.get().payload)["answers"]
    assert (given["answer"], given["by"]) == ({"approved": True, "note": "good"}, "operator")
    closed = html_of(browser, f"/tasks/{task.uuid}/")
    assert "Your answer</h2>" not in closed
    assert "&quot;approved&quot;: true" in closed


@pytest.mark.parametrize(
    ("form", "field", "text", "answer"),
    [
        ({"type": "object"}, "answer-:rest", '{"n": 1}', {"n": 1}),
        ({"type": "object", "properties": {"a b": {}}}, "answer-:rest", '{"a b": 1}', {"a b": 1}),
        ({"type": "string"}, "answer-answer", "yes", "yes"),
        ({"enum": ["yes", "no"]}, "answer-answer", '"yes"', "yes"),
        ({"enum": ["yes", "no"]}, "answer-answer", '"maybe"', None),
        ({"anyOf": [{"type": "object"}]}, "answer-answer", '{"n": 1}', {"n": 1}),
        ({"type": "integer"}, "answer-answer", "5", 5),
    ],
)
def test_every_schema_has_a_form(actor, owner, form, field, text, answer):
    task = ask(actor, form=form)
    browser = signed_in(owner)
    html_of(browser, f"/tasks/{task.uuid}/")
    browser.post(f"/tasks/{task.uuid}/answer/", {field: text})
    task.refresh_from_db()
    given = json.loads(task.answers)
    assert [one["answer"] for one in given] == ([] if answer is None else [answer])


def test_who_is_not_asked_sees_the_task_and_no_form(actor, viewer):
    task, browser = ask(actor, "operator"), signed_in(viewer)
    html = html_of(browser, f"/tasks/{task.uuid}/")
    assert "Others are asked." in html
    assert "<form class" not in html
    browser.post(f"/tasks/{task.uuid}/answer/", {"answer-approved": "true"})
    browser.post(f"/tasks/{task.uuid}/delegate/", {"username": "viewer"})
    assert not Mailbox.objects.exists()


def test_a_task_is_handed_to_another_member(actor, editor, viewer):
    task, browser = ask(actor, "operator"), signed_in(editor)
    assert "<option>viewer</option>" in html_of(browser, f"/tasks/{task.uuid}/")
    browser.post(f"/tasks/{task.uuid}/delegate/", {"username": "viewer"})
    assert list(task.assignees.values_list("name", flat=True)) == ["viewer"]
    browser.post(f"/tasks/{task.uuid}/delegate/", {"username": "nobody"})
    assert list(task.assignees.values_list("name", flat=True)) == ["viewer"]


def test_a_strangers_tasks_are_not_there(actor, stranger):
    task = ask(actor)
    browser = signed_in(stranger)
    assert browser.get(f"/tasks/{task.uuid}/").status_code == 404
    assert browser.post(f"/tasks/{task.uuid}/answer/").status_code == 404
    assert browser.post(f"/tasks/{task.uuid}/delegate/").status_code == 404
    assert str(task.uuid) not in html_of(browser, "/tasks/?show=open")


def test_the_admin_lists_tasks_for_reading_with_a_link_to_answer_them(actor, owner):
    task = ask(actor, "operator", answers='[{"answer":{"approved":true},"at":"x","by":"ada"}]')
    owner.is_staff = True
    owner.save()
    browser = signed_in(owner)
    assert f'href="/tasks/{task.uuid}/">answer</a>' in html_of(browser, "/admin/runs/humantask/")
    html = html_of(browser, f"/admin/runs/humantask/{task.pk}/change/")
    assert "user operator" in html
    assert "&quot;by&quot;:&quot;ada&quot;" in html
    assert browser.post(f"/admin/runs/humantask/{task.pk}/change/", {"title": "x"}).status_code == 403


def test_the_inbox_has_pages(actor, operator):
    first = ask(actor, "operator")
    more = [
        HumanTask(
            organization=first.organization, run=first.run, step=b"%010d" % number, node="ask",
            title=f"Question {number}", form="{}", created_at=timezone.now(),
        )
        for number in range(task_pages.PAGE_SIZE)
    ]  # fmt: skip
    HumanTask.objects.bulk_create(more)
    client = signed_in(operator)
    newest = html_of(client, "/tasks/?show=open")
    assert newest.count("Question ") == task_pages.PAGE_SIZE
    assert f'href="/tasks/{first.uuid}/"' not in newest
    (older,) = re.findall(r'href="([^"]*before=[^"]*)" rel="next"', newest)
    oldest = html_of(client, f"/tasks/{unescape(older)}")
    assert f'href="/tasks/{first.uuid}/"' in oldest
    assert "Question " not in oldest
    assert 'rel="next"' not in oldest
    assert '<a href="?show=open">Newest</a>' in oldest
    assert "Question " in html_of(client, "/tasks/?show=open&before=nonsense")


def test_the_fields_of_a_form_are_lines_and_required_ones_come_first_in_their_order(actor, operator):
    text = {"type": "string"}
    form = {"type": "object", "properties": {"age": text, "name": text, "born": {**text, "format": "date"}},
            "required": ["name", "born"]}  # fmt: skip
    html = html_of(signed_in(operator), f"/tasks/{ask(actor, 'operator', form=form).uuid}/")
    assert re.findall(r'<label for="id_answer-(\w+)">', html) == ["name", "born", "age"]
    assert re.search(r'<input type="date" name="answer-born"', html)
    assert "born <small>date</small>" in html
    assert re.search(r'<textarea name="answer-name" rows="1" [^>]*class="code"', html)
