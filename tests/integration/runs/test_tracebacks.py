"""Where somebody who writes a tool reads in which line it has failed."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from rest_framework.test import APIClient

from accounts.actor import Actor
from runs.models import Run
from tests.support.runs import driving, finish, start
from tools import tool

pytestmark = pytest.mark.django_db(transaction=True)


@tool(name="tracebacks.look_up")
def look_up(index: int = 7) -> dict:
    """Look at a place that is not there."""
    return {"found": [][index]}


@pytest.fixture
def failed(actor: Actor) -> Run:
    """m ⇉ look (twice)"""
    nodes = {
        "m": {"next": {"map": "= [1]", "to": "look", "join": "end", "collect": {"found": "= found"}}},
        "look": {"tool": "tracebacks.look_up", "retry": {"max_attempts": 2, "initial_interval_s": 0.01}},
    }
    with driving():
        return finish(start(actor, nodes))


def test_the_tracebacks_of_all_attempts_are_there_over_rest_on_a_page_and_in_the_admin(
    failed: Run, api_client: APIClient, owner: User
):
    newest, first = api_client.get(f"/api/v1/runs/{failed.uuid}/errors/").json()["results"]
    assert [(error["node"], error["path"], error["attempt"]) for error in (newest, first)] == [
        ("look", "m[0]", 2),
        ("look", "m[0]", 1),
    ]
    assert newest["message"] == "list index out of range"
    assert 'return {"found": [][index]}' in newest["traceback"]
    assert newest["step"] in {
        step["id"] for step in api_client.get(f"/api/v1/runs/{failed.uuid}/steps/").json()["results"]
    }

    browser = Client()
    browser.force_login(owner)
    run_page = browser.get(f"/runs/{failed.uuid}/").content.decode()
    assert f'<a class="small" href="/runs/{failed.uuid}/errors/">Tracebacks</a>' in run_page
    page = browser.get(f"/runs/{failed.uuid}/errors/").content.decode()
    assert page.count("return {&quot;found&quot;: [][index]}") == 2

    browser.force_login(User.objects.create_superuser("root"))
    page = browser.get(f"/admin/runs/run/{failed.pk}/change/").content.decode()
    assert page.count("return {&quot;found&quot;: [][index]}") == 2
    assert "IndexError: list index out of range" in page


def test_a_viewer_sees_no_code(failed: Run, viewer: User):
    client = Client()
    client.force_login(viewer)
    assert client.get(f"/api/v1/runs/{failed.uuid}/errors/").status_code == 403
    assert client.get(f"/runs/{failed.uuid}/errors/").status_code == 403
    assert "Tracebacks" not in client.get(f"/runs/{failed.uuid}/").content.decode()


def test_a_run_without_failures_says_so(actor: Actor, owner: User):
    with driving():
        run = finish(start(actor, {"a": {"tool": "noop"}}))
    client = Client()
    client.force_login(owner)
    assert "Tracebacks" not in client.get(f"/runs/{run.uuid}/").content.decode()
    assert "No attempt of a step of this run has failed." in client.get(f"/runs/{run.uuid}/errors/").content.decode()
