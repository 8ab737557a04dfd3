"""Somebody is told of a run's end: at least once, signed, and without harm to anybody inside."""

import hashlib
import hmac
import json
import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.keys import seal, unseal
from graphs.models import GraphVersion
from graphs.services import create_graph
from runs import control
from runs.errands import DELIVERIES, Errands
from runs.errors import NoWebhook, RunNotFinished, WebhookUrlRefused
from runs.models import Chore, Run, Webhook
from runs.services import NewWebhook, redeliver_webhook, start_run
from runs.webhooks.body import organization_key
from runs.webhooks.delivering import claim_due, deliver, pause_after
from tests.support.receiver import Receiver, certificate_for, drip, hang_up, receiving, say_too_much, status
from tests.support.runs import definition, driving, finish
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

RUNS = "/api/v1/runs/"


@pytest.fixture
def version(actor) -> GraphVersion:
    return create_graph(definition=definition({"a": {}}), actor=actor)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(autouse=True)
def private_addresses_are_allowed(settings) -> None:
    limit(settings, webhooks_allow_private=True)


def limit(settings, **limits: Any) -> None:
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update=limits)


def ended(version, actor, url: str, *, secret: str = "", **more: Any) -> Run:
    run = start_run(version=version, state={}, actor=actor, webhook=NewWebhook(url=url, secret=secret), **more)
    Run.objects.filter(pk=run.pk).update(status="failed", error="why", wake_at=None, finished_at=timezone.now())
    run.refresh_from_db()
    retry_now()
    return run


def deliver_due() -> int:
    webhooks = claim_due(10)
    for webhook in webhooks:
        deliver(webhook)
    return len(webhooks)


def retry_now() -> None:
    Webhook.objects.filter(status="pending").update(next_at=timezone.now() - timedelta(seconds=1))


def test_the_end_of_a_run_is_told_signed_with_the_secret(version, actor, receiver):
    run = ended(version, actor, receiver.url, secret="hush", labels={"team": "a"}, business_key="order-1")
    assert deliver_due() == 1
    [(path, headers, body)] = receiver.requests
    assert path == "/ended?token=t"
    assert json.loads(body) == {
        "run": str(run.uuid),
        "graph": str(version.graph.uuid),
        "graph_name": version.graph.name,
        "version": 1,
        "status": "failed",
        "finished_at": run.finished_at.isoformat().replace("+00:00", "Z"),
        "error": "why",
        "labels": {"team": "a"},
        "business_key": "order-1",
    }
    assert headers["Content-Type"] == "application/json"
    assert headers["Workflow-Delivery"] == str(run.webhook.uuid)
    assert is_signed(headers, body, "hush")
    webhook = Webhook.objects.get()
    assert (webhook.status, webhook.attempts, webhook.last_error, webhook.next_at) == ("delivered", 1, "", None)
    assert webhook.delivered_at is not None
    assert deliver_due() == 0


def is_signed(headers: dict[str, str], body: bytes, key: str) -> bool:
    timestamp, digest = (part.partition("=")[2] for part in headers["Workflow-Signature"].split(","))
    assert abs(int(timestamp) - time.time()) < 60
    return hmac.new(key.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest() == digest


def test_without_a_secret_the_key_of_the_organization_signs(version, actor, stranger_actor, receiver, api_client):
    ended(version, actor, receiver.url)
    deliver_due()
    [(_, headers, body)] = receiver.requests
    key = api_client.get(f"{RUNS}webhook-key/").json()["key"]
    assert is_signed(headers, body, key)
    assert key != organization_key(stranger_actor.organization)


def test_a_secret_is_stored_encrypted(version, actor, receiver):
    ended(version, actor, receiver.url, secret="hush-hush")
    stored = Webhook.objects.get().secret
    assert "hush" not in stored
    assert unseal(stored) == "hush-hush"
    assert seal("hush-hush") != stored


def test_nobody_is_told_before_the_end(version, actor, receiver):
    run = start_run(version=version, state={}, actor=actor, webhook=NewWebhook(url=receiver.url))
    assert deliver_due() == 0
    Run.objects.filter(pk=run.pk).update(status="completed")
    assert deliver_due() == 1


def test_a_run_that_could_not_be_started_leaves_no_webhook(version, actor, receiver, monkeypatch):
    def break_down(**_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(Webhook.objects, "create", break_down)
    with pytest.raises(RuntimeError):
        start_run(version=version, state={}, actor=actor, webhook=NewWebhook(url=receiver.url))
    assert not Run.objects.exists()


# ------------------------------------------------------------------ failures


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (status(500), "answered with 500"),
        (status(404), "answered with 404"),
        (status(302, Location="http://127.0.0.1:1/"), "answered with 302"),
        (hang_up, "The request failed"),
        (drip, "did not answer within 0.3 s"),
    ],
    ids=["an error", "a refusal", "a redirect", "nothing", "a byte now and then"],
)
def test_what_is_not_taken_is_tried_again(version, actor, receiver, settings, answer, why):
    limit(settings, webhook_timeout_s=0.3)
    receiver.answers.append(answer)
    ended(version, actor, receiver.url)
    began = time.monotonic()
    deliver_due()
    assert time.monotonic() - began < 5
    webhook = Webhook.objects.get()
    assert (webhook.status, webhook.attempts, webhook.delivered_at) == ("pending", 1, None)
    assert why in webhook.last_error
    assert timedelta(0) < webhook.next_at - timezone.now() <= timedelta(seconds=1)
    assert deliver_due() == 0
    retry_now()
    assert deliver_due() == 1
    webhook.refresh_from_db()
    assert (webhook.status, webhook.attempts, webhook.last_error) == ("delivered", 2, "")
    assert len(receiver.requests) == 2
    assert len({headers["Workflow-Delivery"] for _, headers, _ in receiver.requests}) == 1


def test_nobody_listening_is_a_failure_too(version, actor):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    ended(version, actor, f"http://127.0.0.1:{port}/")
    deliver_due()
    assert "refused" in Webhook.objects.get().last_error


def test_a_long_answer_is_not_read_to_its_end(version, actor, receiver, settings):
    receiver.answers.append(say_too_much)
    ended(version, actor, receiver.url)
    began = time.monotonic()
    deliver_due()
    assert time.monotonic() - began < 2
    assert Webhook.objects.get().status == "delivered"


@pytest.mark.parametrize("tries", [1, 3])
def test_after_the_last_try_it_has_failed(version, actor, receiver, settings, tries):
    limit(settings, webhook_tries=tries)
    receiver.answers += [status(503)] * 10
    ended(version, actor, receiver.url)
    for _ in range(tries):
        assert Webhook.objects.get().status == "pending"
        retry_now()
        deliver_due()
    webhook = Webhook.objects.get()
    assert (webhook.status, webhook.attempts, webhook.next_at) == ("failed", tries, None)
    assert webhook.last_error == "The server answered with 503."


def test_the_pauses_grow_from_a_second_to_an_hour():
    assert [pause_after(attempt).total_seconds() for attempt in range(1, 9)] == [1, 4, 16, 64, 256, 1024, 3600, 3600]
    assert pause_after(10_000).total_seconds() == 3600


def test_a_secret_of_another_secret_key_fails_at_once_and_says_so(version, actor, receiver, settings):
    ended(version, actor, receiver.url, secret="hush")
    settings.SECRET_KEY, old = "x" * 50, settings.SECRET_KEY
    deliver_due()
    webhook = Webhook.objects.get()
    assert (webhook.status, receiver.requests) == ("failed", [])
    assert "SECRET_KEY" in webhook.last_error
    settings.SECRET_KEY_FALLBACKS = [old]
    assert unseal(webhook.secret) == "hush"


# ------------------------------------------------------------------ private addresses


def test_a_private_address_is_refused_at_the_start(version, actor, receiver, settings):
    limit(settings, webhooks_allow_private=False)
    with pytest.raises(WebhookUrlRefused):
        start_run(version=version, state={}, actor=actor, webhook=NewWebhook(url=receiver.url))
    assert not Run.objects.exists()


def test_a_name_of_a_private_address_is_refused_at_the_delivery_for_good(version, actor, settings, monkeypatch):
    limit(settings, webhooks_allow_private=False)
    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in ("8.8.8.8", "10.0.0.1")]
    monkeypatch.setattr("runs.webhooks.sending.socket.getaddrinfo", lambda *_, **__: answers)
    ended(version, actor, "http://rebound.example/")
    deliver_due()
    webhook = Webhook.objects.get()
    assert (webhook.status, webhook.attempts) == ("failed", 1)
    assert "rebound.example is an address of this machine or of a private network." in webhook.last_error


def test_the_request_goes_to_the_address_that_was_looked_at(version, actor, receiver, monkeypatch):
    port = int(receiver.url.split(":")[2].split("/")[0])
    asked = []

    def look_up(host: str, *_: object, **__: object) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr("runs.webhooks.sending.socket.create_connection", connect_by_address)
    monkeypatch.setattr("runs.webhooks.sending.socket.getaddrinfo", look_up)
    ended(version, actor, f"http://named.example:{port}/")
    deliver_due()
    assert asked == ["named.example"]
    [(_, headers, _)] = receiver.requests
    assert headers["Host"] == f"named.example:{port}"


def connect_by_address(address: tuple[str, int], timeout: float) -> socket.socket:
    """As socket.create_connection does, which would ask the look-up that the test has replaced."""
    connection = socket.socket()
    connection.connect(address)
    return connection


# ------------------------------------------------------------------ TLS


def test_over_tls_the_server_must_be_the_one_that_the_url_names(version, actor, tmp_path, monkeypatch):
    context = certificate_for("localhost", tmp_path)
    with receiving(context) as receiver:
        by_name = receiver.url.replace("127.0.0.1", "localhost")
        ended(version, actor, by_name)
        deliver_due()
        assert "CERTIFICATE_VERIFY_FAILED" in Webhook.objects.get().last_error, "nobody trusts it yet"
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        retry_now()
        deliver_due()
        assert Webhook.objects.get().status == "delivered"
        other = ended(version, actor, receiver.url)
        deliver_due()
        assert "IP address mismatch" in Webhook.objects.get(run=other).last_error
        assert len(receiver.requests) == 1


def test_a_server_that_never_ends_its_handshake_is_given_up(version, actor, settings):
    limit(settings, webhook_timeout_s=0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ended(version, actor, f"https://127.0.0.1:{silent.getsockname()[1]}/")
        began = time.monotonic()
        deliver_due()
        assert time.monotonic() - began < 5
    assert Webhook.objects.get().status == "pending"


# ------------------------------------------------------------------ many, and again


def test_two_that_look_at_once_make_one_delivery(version, actor, receiver):
    ended(version, actor, receiver.url)
    first, second = claim_due(10), claim_due(10)
    assert (len(first), len(second)) == (1, 0)


def test_a_delivery_whose_process_died_is_made_again(version, actor, receiver):
    ended(version, actor, receiver.url)
    assert claim_due(10)  # and dies
    retry_now()
    assert deliver_due() == 1
    assert Webhook.objects.get().attempts == 2


def test_a_late_failure_does_not_undo_a_success(version, actor, receiver):
    receiver.answers.append(status(500))
    run = ended(version, actor, receiver.url)
    [slow] = claim_due(10)
    redeliver_webhook(run=run, actor=actor)
    deliver(slow)
    assert Webhook.objects.get().attempts == 0
    assert deliver_due() == 1
    assert Webhook.objects.get().status == "delivered"


def test_who_was_told_is_told_again_when_somebody_asks_for_it(version, actor, receiver):
    run = ended(version, actor, receiver.url)
    deliver_due()
    redeliver_webhook(run=run, actor=actor)
    assert deliver_due() == 1
    assert len(receiver.requests) == 2


BREAKING = {"a": {"tool": "give", "inputs": {"value": {"y": "= 1 / x"}}}}


@pytest.fixture
def failed(actor, receiver) -> Run:
    """A run that fails until somebody edits its state, in a real driver, and nobody has been told yet."""
    version = create_graph(definition=definition(BREAKING), actor=actor)
    run = start_run(version=version, state={"x": 0}, actor=actor, webhook=NewWebhook(url=receiver.url))
    with driving():
        assert finish(run).status == "failed"
    return run


def go_on(run: Run, actor) -> None:
    """Let it complete after all."""
    control.edit_state(run=run, actor=actor, values={"x": 1})
    control.retry_run(run=run, actor=actor)
    with driving():
        wait_until(lambda: Run.objects.get(pk=run.pk).status == "completed", "it is completed")


def told(receiver: Receiver) -> list[str]:
    return [json.loads(body)["status"] for _, _, body in receiver.requests]


def test_a_failed_run_that_completes_after_a_retry_tells_of_both_ends(actor, failed, receiver):
    assert (deliver_due(), told(receiver)) == (1, ["failed"])
    go_on(failed, actor)
    assert (deliver_due(), told(receiver)) == (1, ["failed", "completed"])
    deliveries = {headers["Workflow-Delivery"] for _, headers, _ in receiver.requests}
    assert len(deliveries) == 2, "who drops what comes twice must not drop the second end"
    assert deliver_due() == 0


def test_a_delivery_that_is_under_way_while_the_run_is_opened_again_keeps_nobody_from_its_next_end(
    actor, failed, receiver
):
    [slow] = claim_due(10)
    go_on(failed, actor)
    deliver(slow)
    assert (deliver_due(), told(receiver)) == (1, ["failed", "completed"])


def test_an_end_that_nobody_could_be_told_of_costs_the_next_one_no_try(actor, failed, receiver, settings):
    limit(settings, webhook_tries=2)
    receiver.answers += [status(503)] * 2
    deliver_due()
    go_on(failed, actor)
    deliver_due()
    retry_now()
    deliver_due()
    assert told(receiver) == ["failed", "completed", "completed"]
    assert Webhook.objects.get().status == "delivered"


def test_a_run_that_is_paused_and_resumed_is_told_of_once(actor, version, receiver):
    run = start_run(version=version, state={}, actor=actor, webhook=NewWebhook(url=receiver.url))
    delivery = Webhook.objects.get().uuid
    control.pause_run(run=run, actor=actor)
    with driving():
        wait_until(lambda: Run.objects.filter(pk=run.pk, status="paused", driver=None).exists(), "it rests")
        control.resume_run(run=run, actor=actor)
        finish(run)
    assert (deliver_due(), deliver_due(), told(receiver)) == (1, 0, ["completed"])
    assert Webhook.objects.get().uuid == delivery


def test_a_run_that_goes_on_or_has_no_webhook_is_not_told_again(version, actor, receiver):
    going_on = start_run(version=version, state={}, actor=actor, webhook=NewWebhook(url=receiver.url))
    with pytest.raises(RunNotFinished):
        redeliver_webhook(run=going_on, actor=actor)
    with pytest.raises(NoWebhook):
        redeliver_webhook(run=start_run(version=version, state={}, actor=actor), actor=actor)


# ------------------------------------------------------------------ the errands of a cluster


@pytest.fixture
def errands() -> Iterator[Errands]:
    errands = Errands()
    errands.start()
    errands.start()
    yield errands
    errands.stop()


def test_a_cluster_tells_of_runs_that_its_drivers_have_ended(version, actor, receiver, errands):
    hooks = [NewWebhook(url=receiver.url) for _ in range(2 * DELIVERIES)]
    runs = [start_run(version=version, state={}, actor=actor, webhook=hook) for hook in hooks]
    with driving():
        for run in runs:
            finish(run)
    wait_until(lambda: not Webhook.objects.exclude(status="delivered").exists(), "all are delivered")
    assert sorted(json.loads(body)["run"] for _, _, body in receiver.requests) == sorted(str(run.uuid) for run in runs)


def test_a_cluster_prunes(actor, errands):
    version = create_graph(definition=definition({"a": {}}, retention={"days": 1}), actor=actor)
    run = start_run(version=version, state={}, actor=actor)
    wait_until(Chore.objects.exists, "the first hour's turn is taken")
    at = timezone.now() - timedelta(days=2)
    Run.objects.filter(pk=run.pk).update(status="completed", wake_at=None, finished_at=at)
    Chore.objects.update(next_at=timezone.now())
    wait_until(lambda: not Run.objects.exists(), "the run is pruned")


def test_an_errand_that_breaks_is_no_reason_to_give_up(version, actor, receiver, errands, monkeypatch):
    broken = []

    def break_down(limit: int) -> list[Webhook]:
        broken.append(limit)
        if len(broken) == 1:
            raise RuntimeError("oh")
        return claim_due(limit)

    monkeypatch.setattr("runs.errands.claim_due", break_down)
    ended(version, actor, receiver.url)
    wait_until(lambda: Webhook.objects.get().status == "delivered", "it is delivered after all")
    assert broken[:2] == [DELIVERIES, DELIVERIES]


# ------------------------------------------------------------------ over REST


def test_over_rest_a_run_is_started_with_a_webhook_and_shows_how_far_it_is(version, actor, receiver, api_client):
    webhook = {"url": receiver.url, "secret": "hush"}
    run = api_client.post(RUNS, {"version": str(version.uuid), "webhook": webhook}).json()
    shown = {
        "url": receiver.url.removesuffix("?token=t"),
        "status": "pending",
        "attempts": 0,
        "last_error": "",
        "delivered_at": None,
    }
    assert {**run["webhook"], "next_at": None} == {**shown, "next_at": None}
    again = f"{RUNS}{run['id']}/webhook/redeliver/"
    assert api_client.post(again).json()["error"]["code"] == "run-not-finished"
    Run.objects.update(status="completed", wake_at=None)
    deliver_due()
    assert api_client.get(f"{RUNS}{run['id']}/").json()["webhook"]["status"] == "delivered"
    answer = api_client.post(again)
    assert (answer.status_code, answer.json()["webhook"]["status"]) == (202, "pending")
    assert api_client.get(RUNS).json()["results"][0]["webhook"]["status"] == "pending"


def test_over_rest_a_run_without_a_webhook_has_none(version, actor, api_client):
    run = api_client.post(RUNS, {"version": str(version.uuid)}).json()
    assert run["webhook"] is None
    answer = api_client.post(f"{RUNS}{run['id']}/webhook/redeliver/")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no-webhook")


@pytest.mark.parametrize(
    ("webhook", "path", "code"),
    [
        ("https://example.com", "/webhook", "invalid"),
        ({}, "/webhook/url", "required"),
        ({"url": "https://example.com", "retries": 3}, "/webhook/retries", "unknown-key"),
        ({"url": "https://example.com", "secret": ""}, "/webhook/secret", "blank"),
        ({"url": "https://example.com", "secret": "x" * 201}, "/webhook/secret", "max-length"),
        ({"url": "gopher://example.com"}, "/webhook/url", "webhook-url-refused"),
    ],
)
def test_over_rest_a_webhook_that_cannot_be_is_refused_at_its_path(version, api_client, webhook, path, code):
    answer = api_client.post(RUNS, {"version": str(version.uuid), "webhook": webhook})
    assert answer.status_code == 422
    [detail] = answer.json()["error"]["details"]
    assert (detail["path"], detail["code"]) == (path, code)
    assert not Run.objects.exists()
