"""The pages of runs."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from accounts.actor import Actor
from graphs.models import GraphVersion
from graphs.services import create_draft, create_graph
from runs import pages
from runs.models import Mailbox, Run
from runs.services import start_run
from tests.support.play import Play

pytestmark = pytest.mark.django_db

GRAPH: dict[str, Any] = {
    "name": "greet",
    "start_node": "hello",
    "nodes": {"hello": {"tool": "noop", "next": "bye"}, "bye": {"tool": "noop"}},
    "state": {
        "schema": {
            "type": "object",
            "properties": {"name": {"type": "string", "minLength": 2}, "times": {"type": "integer"}},
            "required": ["name"],
        },
        "defaults": {"times": 1},
    },
}


@pytest.fixture
def version(actor: Actor) -> GraphVersion:
    return create_graph(definition=GRAPH, actor=actor)


@pytest.fixture
def run(version: GraphVersion, actor: Actor) -> Run:
    return start_run(version=version, state={"name": "Ada"}, actor=actor)


@pytest.fixture
def browser(owner: User) -> Client:
    return signed_in(owner)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def boot_of(html: str) -> dict[str, Any]:
    found = re.search(r'<script id="boot" type="application/json">(.*?)</script>', html, re.DOTALL)
    assert found
    return json.loads(found[1])


def shown_runs(html: str) -> set[str]:
    return set(re.findall(r"/runs/([0-9a-f-]{36})/", html))


# --------------------------------------------------------------------------- one run


def test_a_run_is_readable_without_any_script(browser: Client, run: Run) -> None:
    Play(run).complete("hello", name="Grace")
    html = browser.get(f"/runs/{run.uuid}/").content.decode()
    text = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    for words in ("greet", "running", "hello</b>", "Completed node: hello", "Grace"):
        assert words in text


def test_the_script_starts_from_the_same_moment(browser: Client, run: Run) -> None:
    Play(run).complete("hello")
    run.refresh_from_db()
    boot = boot_of(browser.get(f"/runs/{run.uuid}/").content.decode())
    assert boot["run"]["id"] == str(run.uuid)
    assert boot["seq"] == boot["state"]["seq"] == run.seq
    assert boot["definition"]["start_node"] == "hello"
    assert boot["urls"]["socket"] == f"/ws/graph/run/{run.uuid}"
    assert {each["node"]: each["status"] for each in boot["nodes"]} == {"hello": "completed", "bye": "running"}


def test_what_tools_return_cannot_end_the_page_s_data_early(browser: Client, run: Run) -> None:
    hostile = "</script><script>alert(1)</script>"
    Play(run).complete("hello", name=hostile)
    html = browser.get(f"/runs/{run.uuid}/").content.decode()
    assert "<script>alert" not in html
    assert boot_of(html)["state"]["values"]["name"] == hostile


def test_the_addresses_that_the_script_uses_exist(browser: Client, run: Run) -> None:
    urls = boot_of(browser.get(f"/runs/{run.uuid}/").content.decode())["urls"]
    assert browser.get(urls["graph"]).status_code == 200
    assert browser.get(urls["run"]).json()["status"] == "pending"
    assert browser.get(urls["state"]).json().keys() == {"seq", "values", "conflicts"}


# --------------------------------------------------------------------------- cancelling


def test_an_operator_can_ask_for_the_end_of_a_run(operator: User, run: Run) -> None:
    answer = signed_in(operator).post(f"/runs/{run.uuid}/cancel/", {"reason": "enough"})
    assert (answer.status_code, answer["Location"]) == (302, f"/runs/{run.uuid}/")
    mail = Mailbox.objects.get(run=run)
    assert (mail.kind, json.loads(mail.payload)) == ("cancel", {"reason": "enough"})


def test_a_run_that_is_over_says_so_when_it_is_cancelled(browser: Client, run: Run) -> None:
    play = Play(run)
    play.complete("hello")
    play.complete("bye")
    answer = browser.post(f"/runs/{run.uuid}/cancel/", follow=True)
    assert "is already completed" in answer.content.decode()
    assert not Mailbox.objects.exists()


@pytest.mark.parametrize("is_over", [True, False])
def test_the_button_is_there_only_while_it_can_help(browser: Client, run: Run, is_over: bool) -> None:
    play = Play(run)
    play.complete("hello")
    if is_over:
        play.complete("bye")
    html = browser.get(f"/runs/{run.uuid}/").content.decode()
    assert ("Cancel this run" in html) is not is_over
    assert (boot_of(html)["cancel"] is None) is is_over


def test_a_viewer_can_look_but_neither_cancel_nor_start(viewer: User, run: Run) -> None:
    client = signed_in(viewer)
    html = client.get(f"/runs/{run.uuid}/").content.decode()
    assert boot_of(html)["cancel"] is None
    assert client.post(f"/runs/{run.uuid}/cancel/").status_code == 403
    assert client.post(f"/graphs/{run.version.graph.uuid}/start/").status_code == 403


def test_a_form_of_another_site_is_refused(owner: User, run: Run) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)
    assert client.post(f"/runs/{run.uuid}/cancel/").status_code == 403
    assert client.post(f"/graphs/{run.version.graph.uuid}/start/").status_code == 403


# --------------------------------------------------------------------------- starting


def test_the_form_starts_a_run_and_leads_to_its_page(operator: User, version: GraphVersion) -> None:
    typed = {"state-name": "Ada", "state-times": "3", "state-:rest": '{"mood": "good"}'}
    answer = signed_in(operator).post(f"/graphs/{version.graph.uuid}/start/", typed)
    run = Run.objects.get()
    assert answer["Location"] == f"/runs/{run.uuid}/"
    assert json.loads(run.input) == {"name": "Ada", "times": 3, "mood": "good"}
    assert (run.trigger, run.actor, run.created_by) == ("page", "operator", operator)


def test_what_the_schema_refuses_is_shown_at_its_field_and_nothing_starts(
    browser: Client, version: GraphVersion
) -> None:
    answer = browser.post(f"/graphs/{version.graph.uuid}/start/", {"state-name": "A", "state-times": "3"})
    assert answer.status_code == 422
    assert "too short" in answer.context["form"].errors["name"][0]
    assert answer.context["form"]["times"].value() == "3"
    assert not Run.objects.exists()


def test_a_graph_without_a_published_version_does_not_start(browser: Client, actor: Actor) -> None:
    draft = create_draft(definition=GRAPH, actor=actor)
    assert browser.post(f"/graphs/{draft.graph.uuid}/start/", {"state-name": "Ada"}).status_code == 404


# --------------------------------------------------------------------------- the list


def test_runs_can_be_narrowed_to_a_status_and_a_graph(browser: Client, actor: Actor, run: Run) -> None:
    other = start_run(version=create_graph(definition=GRAPH, actor=actor), state={"name": "Ada"}, actor=actor)
    Play(other).complete("hello")
    for query, expected in [
        ("", {run, other}),
        ("?status=pending", {run}),
        ("?status=running", {other}),
        (f"?graph={other.version.graph.slug}", {other}),
        (f"?status=pending&graph={other.version.graph.slug}", set()),
        ("?status=nonsense&before=nonsense", {run, other}),
    ]:
        html = browser.get(f"/runs/{query}").content.decode()
        assert shown_runs(html) == {str(each.uuid) for each in expected}, query


def test_older_runs_are_a_link_away(
    browser: Client, actor: Actor, version: GraphVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PAGE_SIZE", 2)
    runs = [start_run(version=version, state={"name": "Ada"}, actor=actor) for _ in range(5)]
    seen, url = [], "/runs/?status=pending"
    while url:
        html = browser.get(url).content.decode()
        seen.append(shown_runs(html))
        older = re.search(r'<a href="(\?[^"]+)" rel="next">', html)
        url = f"/runs/{older[1].replace('&amp;', '&')}" if older else ""
    names = [str(each.uuid) for each in reversed(runs)]
    assert seen == [set(names[:2]), set(names[2:4]), set(names[4:])]


# --------------------------------------------------------------------------- who may see what


def test_a_stranger_finds_nothing(stranger: User, run: Run) -> None:
    client = signed_in(stranger)
    assert shown_runs(client.get("/runs/").content.decode()) == set()
    assert client.get(f"/runs/{run.uuid}/").status_code == 404
    assert client.post(f"/runs/{run.uuid}/cancel/").status_code == 404
    assert client.post(f"/graphs/{run.version.graph.uuid}/start/").status_code == 404
    assert client.get(f"/runs/?before={run.uuid}").status_code == 200


def test_nobody_is_sent_to_the_login_page(run: Run) -> None:
    for path in ("/", "/graphs/", "/runs/", f"/runs/{run.uuid}/", f"/graphs/{run.version.graph.uuid}/"):
        assert Client().get(path)["Location"] == f"/login/?next={path}"
