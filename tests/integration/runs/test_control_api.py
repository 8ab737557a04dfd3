"""Control verbs over REST, with a real driver."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from accounts.models import AuditEntry
from runs.models import Mailbox, Run
from tests.support.runs import driving, finish, start
from tests.support.tools import gate
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

TWO = {"a": {"tool": "increment", "next": "b"}, "b": {"tool": "increment"}}


def url(run: Run, verb: str = "") -> str:
    return f"/api/v1/runs/{run.uuid}/{verb}{'/' if verb else ''}"


def test_a_run_is_paused_edited_stepped_and_resumed(actor, api_client: APIClient) -> None:
    run = start(actor, TWO, {"n": 0}, breakpoints=[{"node": "a"}])
    with driving():
        wait_until(lambda: api_client.get(url(run)).json()["status"] == "paused", "the run is paused")
        assert api_client.get(url(run, "breakpoints")).json() == {
            "breakpoints": [{"id": "b1", "node": "a", "when": "before", "hits": 1}]
        }
        assert api_client.post(url(run, "edit") + "?wait=20", {"values": {"n": 10}}).status_code == 202
        assert api_client.get(url(run, "state")).json()["values"] == {"n": 10}
        assert api_client.post(url(run, "breakpoints") + "?wait=20", {"breakpoints": []}).status_code == 202
        assert api_client.post(url(run, "step") + "?wait=20").json()["status"] == "paused"
        answer = api_client.post(url(run, "resume") + "?wait=20", headers={"Idempotency-Key": "k"})
        assert answer.status_code == 202
        finish(run)
        assert api_client.post(url(run, "resume"), headers={"Idempotency-Key": "k"}).status_code == 202
        assert api_client.get(url(run, "state")).json()["values"] == {"n": 12}
    assert set(AuditEntry.objects.filter(action__startswith="run.").values_list("action", "actor")) == {
        ("run.edited", "owner"),
        ("run.breakpoints-set", "owner"),
        ("run.stepped", "owner"),
        ("run.resumed", "owner"),
    }


def test_a_pause_that_is_waited_for_answers_when_nothing_is_under_way(actor, api_client: APIClient) -> None:
    entered, opened = gate("api")
    with driving():
        run = start(actor, {"w": {"tool": "wait_for", "inputs": {"name": "api"}, "next": "e"}, "e": {}})
        assert entered.wait(30)
        began = time.monotonic()
        answer = api_client.post(url(run, "pause") + "?wait=1", {"reason": "look"})
        assert (answer.status_code, answer.json()["status"]) == (202, "paused")
        assert time.monotonic() - began > 0.9
        opened.set()
        cancelled = api_client.post(url(run, "cancel") + "?wait=20", {"graceful": True})
        assert cancelled.json()["status"] == "cancelled"


def test_what_is_not_allowed_is_told_in_the_one_shape(actor, api_client: APIClient) -> None:
    run = start(actor, TWO, {"n": 0})
    assert api_client.post(url(run, "pause")).status_code == 202
    answer = api_client.post(url(run, "pause"))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (409, "run-paused")
    assert "is paused already (owner paused it at" in error["message"]
    bad = api_client.post(url(run, "breakpoints"), {"breakpoints": [{"node": "x"}]})
    assert bad.status_code == 422
    assert bad.json()["error"]["details"][0]["path"] == "/breakpoints/0/node"
    for verb, body in (
        ("step", {"mode": "sideways"}),
        ("step", {"steps": ["xyz"]}),
        ("retry", {"steps": "all"}),
        ("limit", {"step": "00" * 10, "max_parallel": 0}),
        ("edit", {"values": []}),
        ("resume", {"now": True}),
    ):
        assert api_client.post(url(run, verb), body).status_code == 422, verb
    assert Mailbox.objects.count() == 1


def test_operators_control_and_editors_edit(
    actor, viewer: User, operator: User, editor: User, client_of: Callable[[User], APIClient]
) -> None:
    run = start(actor, TWO, {"n": 0})
    verbs: dict[str, dict[str, Any]] = {"pause": {}, "resume": {}, "cancel": {}, "step": {}, "retry": {}}
    for verb, body in verbs.items():
        assert client_of(viewer).post(url(run, verb), body).status_code == 403
    assert client_of(operator).post(url(run, "pause")).status_code == 202
    assert client_of(operator).post(url(run, "edit"), {"values": {"n": 1}}).status_code == 403
    assert client_of(editor).post(url(run, "edit"), {"values": {"n": 1}}).status_code == 409


def test_breakpoints_can_come_with_the_start(api_client: APIClient, actor) -> None:
    version = start(actor, TWO, {"n": 0}).version
    answer = api_client.post(
        "/api/v1/runs/", {"version": str(version.uuid), "initial_state": {"n": 0}, "breakpoints": [{"node": "b"}]}
    )
    assert answer.status_code == 201
    mail = Mailbox.objects.get(run__uuid=answer.json()["id"])
    assert json.loads(mail.payload) == {"breakpoints": [{"id": "b1", "node": "b", "when": "before"}]}
