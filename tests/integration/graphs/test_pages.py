"""The pages of graphs."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from accounts.actor import Actor
from graphs.models import GraphVersion
from graphs.services import create_draft, create_graph, publish_version, start_draft

pytestmark = pytest.mark.django_db


def definition(name: str = "greet", **state: Any) -> dict[str, Any]:
    nodes = {"hello": {"tool": "noop", "next": ["a", "b"]}, "a": {"tool": "noop"}, "b": {"tool": "noop"}}
    return {"name": name, "start_node": "hello", "nodes": nodes, "state": state}


@pytest.fixture
def version(actor: Actor) -> GraphVersion:
    return create_graph(definition=definition(), actor=actor)


@pytest.fixture
def browser(owner: User) -> Client:
    client = Client()
    client.force_login(owner)
    return client


def page(browser: Client, version: GraphVersion, query: str = "") -> str:
    return browser.get(f"/graphs/{version.graph.uuid}/{query}").content.decode()


def drawn(html: str) -> dict[str, Any]:
    found = re.search(r'<script id="definition" type="application/json">(.*?)</script>', html, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_graphs_are_listed_with_their_newest_version(browser: Client, version: GraphVersion, actor: Actor) -> None:
    create_draft(graph=version.graph, definition=definition(), actor=actor)
    html = browser.get("/graphs/").content.decode()
    assert f'<a href="/graphs/{version.graph.uuid}/">greet</a>' in html
    assert '<code class="muted small">greet</code>' in html
    assert '<td>2 <span class="muted">draft</span>' in html


def test_a_node_that_calls_a_graph_leads_to_its_page(browser: Client, version: GraphVersion, actor: Actor) -> None:
    nodes = {"call": {"graph": version.graph.slug}, "made": {"graph": "= made"}, "gone": {"graph": "no-such-graph"}}
    caller = create_draft(definition={"name": "caller", "start_node": "call", "nodes": nodes}, actor=actor)
    found = re.search(r'<script id="called" type="application/json">(.*?)</script>', page(browser, caller))
    assert found
    assert json.loads(found[1]) == {"call": f"/graphs/{version.graph.uuid}/?version=1"}


def test_the_version_that_runs_is_shown(browser: Client, version: GraphVersion, actor: Actor) -> None:
    create_draft(graph=version.graph, definition=definition("renamed"), actor=actor)
    html = page(browser, version)
    assert "version 1, published" in html
    assert drawn(html)["name"] == "greet"


def test_another_version_can_be_asked_for_and_is_not_started(
    browser: Client, version: GraphVersion, actor: Actor
) -> None:
    create_draft(graph=version.graph, definition=definition("renamed"), actor=actor)
    html = page(browser, version, "?version=2")
    assert drawn(html)["name"] == "renamed"
    assert "Start a run" not in html


@pytest.mark.parametrize("number", ["3", "x", "-1", "99999999999999999999"])
def test_a_version_that_is_not_there_is_not_found(browser: Client, version: GraphVersion, number: str) -> None:
    assert browser.get(f"/graphs/{version.graph.uuid}/?version={number}").status_code == 404


def test_the_graph_is_readable_without_any_script(browser: Client, version: GraphVersion) -> None:
    text = re.sub(r"<script.*?</script>", "", page(browser, version), flags=re.DOTALL)
    assert "<b>hello</b>" in text
    assert "tool noop" in text
    assert "→ a, b" in text


def test_a_draft_that_is_empty_has_a_page_that_says_what_is_missing(browser: Client, actor: Actor) -> None:
    draft = start_draft(name="new", actor=actor)
    html = page(browser, draft)
    assert "version 1, draft" in html
    assert "Notes on this version" in html


def test_the_form_asks_for_the_keys_of_the_schema(browser: Client, actor: Actor) -> None:
    schema = {"properties": {"name": {"type": "string"}, "times": {"type": "integer"}}, "required": ["name"]}
    version = create_graph(definition=definition(schema=schema, defaults={"times": 3}), actor=actor)
    response = browser.get(f"/graphs/{version.graph.uuid}/")
    fields = [(key.name, field.value(), field.field.required) for key, field in response.context["form"].key_fields()]
    assert fields == [("name", None, True), ("times", 3, False)]


def test_the_newest_published_version_is_the_one_that_starts(
    browser: Client, version: GraphVersion, actor: Actor
) -> None:
    draft = create_draft(graph=version.graph, definition=definition("second"), actor=actor)
    publish_version(version=draft, actor=actor)
    assert "version 2, published" in page(browser, version)
    assert "Start a run" not in page(browser, version, "?version=1")


def test_a_stranger_finds_nothing(stranger: User, version: GraphVersion) -> None:
    client = Client()
    client.force_login(stranger)
    assert "greet" not in client.get("/graphs/").content.decode()
    assert client.get(f"/graphs/{version.graph.uuid}/").status_code == 404


def test_who_may_enter_the_admin_is_led_to_what_makes_and_changes_graphs(
    browser: Client, owner: User, version: GraphVersion, actor: Actor
) -> None:
    draft = create_draft(graph=version.graph, definition=definition(), actor=actor)
    change = f'href="/admin/graphs/graphversion/{draft.pk}/change/">Edit<'
    add = 'href="/admin/graphs/graph/add/"'
    assert change not in page(browser, version, "?version=2")
    assert add not in browser.get("/graphs/").content.decode()
    owner.is_staff = True
    owner.save()
    assert change in page(browser, version, "?version=2")
    assert f'href="/admin/graphs/graphversion/{version.pk}/change/">In the admin<' in page(browser, version)
    assert add in browser.get("/graphs/").content.decode()
