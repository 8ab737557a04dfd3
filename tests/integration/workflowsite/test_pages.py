"""The first page, logging in and out, and what all pages keep to."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from accounts.actor import Actor
from graphs.services import create_graph
from runs.models import Run
from runs.services import start_run
from tests.support.play import Play

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(actor: Actor) -> Run:
    definition = {"name": "greet", "start_node": "hello", "nodes": {"hello": {"tool": "noop"}}}
    return start_run(version=create_graph(definition=definition, actor=actor), state={}, actor=actor)


@pytest.fixture
def browser(owner: User) -> Client:
    client = Client()
    client.force_login(owner)
    return client


def test_the_first_page_counts_and_lists_the_newest_runs(browser: Client, run: Run) -> None:
    Play(run).complete("hello")
    html = browser.get("/").content.decode()
    assert f'href="/runs/{run.uuid}/"' in html
    assert "<b>1</b><span>Graphs</span>" in html
    assert "<b>1</b><span>Runs completed</span>" in html


def test_the_first_page_of_an_empty_organization_says_what_to_do(stranger: User, run: Run) -> None:
    client = Client()
    client.force_login(stranger)
    html = client.get("/").content.decode()
    assert "Nothing has run yet." in html
    assert "<b>0</b><span>Graphs</span>" in html


def test_logging_in_leads_back_to_the_page_that_was_asked_for(run: Run, owner: User) -> None:
    owner.set_password("correct horse battery staple")
    owner.save()
    client = Client()
    refused = client.post("/login/", {"username": "owner", "password": "wrong"})
    assert "Please enter a correct username and password" in refused.content.decode()
    typed = {"username": "owner", "password": "correct horse battery staple", "next": "/runs/"}
    assert client.post("/login/", typed)["Location"] == "/runs/"
    assert client.get("/").status_code == 200


def test_logging_in_never_leads_to_another_site(owner: User) -> None:
    owner.set_password("correct horse battery staple")
    owner.save()
    typed = {"username": "owner", "password": "correct horse battery staple", "next": "https://evil.example/"}
    assert Client().post("/login/", typed)["Location"] == "/"


def test_logging_out_ends_the_session(browser: Client) -> None:
    assert browser.get("/logout/").status_code == 405
    assert browser.post("/logout/")["Location"] == "/login/"
    assert browser.get("/")["Location"] == "/login/?next=/"


def test_no_page_needs_more_than_the_strict_policy_allows(browser: Client, run: Run) -> None:
    paths = ["/", "/graphs/", "/runs/", f"/runs/{run.uuid}/", f"/graphs/{run.version.graph.uuid}/", "/nowhere/"]
    for response in [browser.get(path) for path in paths] + [Client().get("/login/")]:
        html = response.content.decode()
        assert "unsafe" not in response["Content-Security-Policy"]
        assert not re.search(r"<[^>]+\s(style|on[a-z]+)=", html)
        for attributes in re.findall(r"<script([^>]*)>", html):
            assert 'type="application/json"' in attributes or 'src="/static/' in attributes


def test_a_page_that_is_missing_or_forbidden_looks_like_the_others(browser: Client, viewer: User, run: Run) -> None:
    missing = browser.get("/nowhere/")
    assert missing.status_code == 404
    assert "Not found" in missing.content.decode()
    client = Client()
    client.force_login(viewer)
    forbidden = client.post(f"/runs/{run.uuid}/cancel/")
    assert "Not allowed" in forbidden.content.decode()
    assert "operator" in forbidden.content.decode()
