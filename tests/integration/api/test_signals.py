"""Signals over REST. Nobody drives the runs."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from accounts.actor import Actor
from accounts.models import AuditEntry
from runs.models import Run, Signal
from tests.support.runs import start

SIGNALS = "/api/v1/signals/"


@pytest.fixture
def run(actor: Actor) -> Run:
    return start(actor, {"w": {"wait": {"signal": "paid"}}}, business_key="order 7")


def test_a_signal_is_sent_to_a_run_or_a_business_key_and_listed_while_it_is_kept(api_client: APIClient, run: Run):
    to_run = api_client.post(f"/api/v1/runs/{run.uuid}/signals/", {"name": "paid", "payload": {"secret": 1}})
    to_key = api_client.post(SIGNALS, {"name": "paid", "business_key": "order 7"})
    assert (to_run.status_code, to_key.status_code) == (201, 201)
    assert (to_run.json()["run"], to_key.json()["run"]) == (str(run.uuid), None)
    listed = api_client.get(SIGNALS).json()["results"]
    assert listed == [to_run.json(), to_key.json()]
    assert "secret" not in str(listed)
    assert list(Signal.objects.values_list("payload", flat=True)) == ['{"secret":1}', "null"]
    assert [entry.action for entry in AuditEntry.objects.filter(action="signal.sent")] == ["signal.sent"] * 2
    for query, found in [(f"run={run.uuid}", to_run), ("business_key=order 7", to_key)]:
        assert api_client.get(f"{SIGNALS}?{query}").json()["results"] == [found.json()]
    assert api_client.get(f"{SIGNALS}?name=shipped").json()["results"] == []


def test_a_signal_that_is_repeated_with_its_key_is_sent_once(api_client: APIClient, run: Run):
    for path, body in [
        (f"/api/v1/runs/{run.uuid}/signals/", {"name": "paid"}),
        (SIGNALS, {"name": "paid", "business_key": "order 7"}),
    ]:
        first, again, other = (
            api_client.post(path, {**body, "payload": payload}, headers={"Idempotency-Key": path})
            for payload in (1, 1, 2)
        )
        assert first.json() == again.json()
        assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency-conflict")
    assert Signal.objects.count() == 2


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"payload": 1, "business_key": "k"}, "/name"),
        ({"name": "paid"}, "/business_key"),
        ({"name": "x" * 256, "business_key": "k"}, "/name"),
        ({"name": "paid", "business_key": "k", "pay": 1}, "/pay"),
    ],
)
def test_a_signal_needs_a_name_and_an_address(api_client: APIClient, db: None, body: dict, path: str):
    answer = api_client.post(SIGNALS, body)
    assert (answer.status_code, answer.json()["error"]["details"][0]["path"]) == (422, path)


def test_a_run_that_is_over_refuses_signals(api_client: APIClient, run: Run):
    Run.objects.filter(pk=run.pk).update(status="completed", wake_at=None)
    answer = api_client.post(f"/api/v1/runs/{run.uuid}/signals/", {"name": "paid"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "run-finished")


def test_nobody_sees_the_signals_of_another_organization(
    api_client: APIClient, run: Run, stranger: User, client_of: Callable[[User], APIClient]
):
    api_client.post(SIGNALS, {"name": "paid", "business_key": "order 7"})
    assert client_of(stranger).get(SIGNALS).json()["results"] == []
