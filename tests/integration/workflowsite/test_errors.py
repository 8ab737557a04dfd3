"""Errors that no view answers itself: JSON for programs, pages for people."""

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import Client
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

pytestmark = pytest.mark.django_db


def code_of(answer: object) -> str:
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "details"}
    return error["code"]


@pytest.mark.parametrize("path", ["/api/nothing", "/api/v1/nothing/", "/api/v2/runs/", "/graph/nothing"])
def test_what_is_not_there_is_json_in_the_api(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert code_of(answer) == "not-found"


@pytest.mark.parametrize("path", ["/api/v1/nothing/", "/graph/create/"])
def test_what_is_not_there_is_not_there_for_a_post_without_a_token_either(path: str) -> None:
    answer = Client(enforce_csrf_checks=True).post(path, {}, content_type="application/json")
    assert answer.status_code == 404
    assert code_of(answer) == "not-found"


@pytest.mark.parametrize(
    ("path", "meant"),
    [("/api/v1/runs", "/api/v1/runs/"), ("/api/v1/graphs", "/api/v1/graphs/"), ("/graph/create/", "/graph/create")],
)
def test_a_slash_too_few_or_too_many_is_said(client: Client, path: str, meant: str) -> None:
    answer = client.post(path, {}, content_type="application/json")
    assert answer.json()["error"]["message"] == f"There is nothing at {path}; did you mean {meant}?"


@pytest.mark.parametrize("debug", [False, True])
def test_what_is_not_there_is_a_page_elsewhere(client: Client, settings: Settings, debug: bool) -> None:
    settings.DEBUG = debug
    answer = client.get("/nothing/")
    assert answer.status_code == 404
    assert "Back to the overview" in answer.content.decode()
    assert client.get("/runs")["Location"] == "/runs/"


@pytest.mark.parametrize(("path", "kind"), [("/api/v1/runs/", "application/json"), ("/runs/", "text/html")])
def test_a_host_that_is_not_ours_is_refused(client: Client, path: str, kind: str) -> None:
    answer = client.get(path, headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert answer["Content-Type"].startswith(kind)


@pytest.mark.parametrize(("path", "kind"), [("/api/docs/", "application/json"), ("/runs/", "text/html")])
def test_who_may_not_look_is_told_so(client: Client, path: str, kind: str) -> None:
    client.force_login(User.objects.create(username="lonely"))
    answer = client.get(path)
    assert answer.status_code == 403
    assert answer["Content-Type"].startswith(kind)


@pytest.mark.parametrize(("path", "kind"), [("/api/v1/runs/", "application/json"), ("/runs/", "text/html")])
def test_a_bug_is_a_500_that_tells_nothing_of_itself(
    owner: User, monkeypatch: pytest.MonkeyPatch, path: str, kind: str
) -> None:
    def stumble(*args: object) -> None:
        raise ZeroDivisionError("the secret of the bug")

    monkeypatch.setattr("runs.selectors.Run.objects.filter", stumble)
    client = Client(raise_request_exception=False)
    client.force_login(owner)
    answer = client.get(path)
    assert answer.status_code == 500
    assert answer["Content-Type"].startswith(kind)
    assert "secret" not in answer.content.decode()


def test_while_the_database_is_busy_clients_are_asked_to_come_back(
    api_client: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr("accounts.services.issue_api_key", refuse)
    answer = api_client.post("/api/v1/api-keys/", {"name": "ci"})
    assert answer.status_code == 503
    assert answer["Retry-After"] == "1"
    assert code_of(answer) == "database-unavailable"
