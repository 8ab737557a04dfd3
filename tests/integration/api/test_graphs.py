"""Graphs and versions over REST."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from accounts.models import AuditEntry
from graphs.models import Graph

GRAPHS = "/api/v1/graphs/"
ONE_NODE = {"name": "one", "start_node": "a", "nodes": {"a": {"tool": "noop"}}}
TWO_NODES = {"name": "two", "start_node": "a", "nodes": {"a": {"tool": "noop", "next": "b"}, "b": {"tool": "noop"}}}
BROKEN = {"name": "broken", "start_node": "nowhere", "nodes": {"a": {"next": "b"}, "c": {"tool": "noop", "nxt": "a"}}}


def created(client: APIClient, definition: dict[str, Any] = ONE_NODE, **options: Any) -> dict[str, Any]:
    answer = client.post(GRAPHS, {"definition": definition, **options})
    assert answer.status_code == 201
    return answer.json()


def version_url(version: dict[str, Any]) -> str:
    return f"{GRAPHS}{version['graph']}/versions/{version['number']}/"


def test_a_graph_is_created_and_published_at_once(api_client: APIClient) -> None:
    version = created(api_client, publish=True)
    assert (version["number"], version["status"], len(version["sha256"])) == (1, "published", 64)
    assert version["definition"] == ONE_NODE

    graph = api_client.get(f"{GRAPHS}{version['graph']}/").json()
    assert (graph["name"], graph["published_version"], graph["archived_at"]) == ("one", 1, None)


def test_the_answer_says_which_graph_a_name_that_is_taken_has_become(api_client: APIClient) -> None:
    first, second = created(api_client, publish=True), created(api_client, publish=True)
    assert (first["slug"], second["slug"]) == ("one", "one-2")
    assert second["graph"] == api_client.get(f"{GRAPHS}{second['graph']}/").json()["id"]
    assert api_client.post("/api/v1/runs/", {"graph": second["slug"]}).json()["graph"] == second["graph"]


def test_a_draft_is_replaced_then_published_then_frozen(api_client: APIClient) -> None:
    draft = created(api_client)
    assert draft["status"] == "draft"

    replaced = api_client.put(version_url(draft), {"definition": TWO_NODES})
    assert replaced.json()["definition"] == TWO_NODES
    published = api_client.post(f"{version_url(draft)}publish/")
    assert published.json()["status"] == "published"

    for again in (
        api_client.put(version_url(draft), {"definition": ONE_NODE}),
        api_client.post(f"{version_url(draft)}publish/"),
        api_client.delete(version_url(draft)),
    ):
        assert again.status_code == 409
        assert again.json()["error"]["code"] == "version-published"


def test_a_graph_gets_a_second_version(api_client: APIClient) -> None:
    first = created(api_client, publish=True)
    versions = f"{GRAPHS}{first['graph']}/versions/"
    second = api_client.post(versions, {"definition": TWO_NODES}).json()
    assert (second["graph"], second["number"], second["status"]) == (first["graph"], 2, "draft")

    assert [each["number"] for each in api_client.get(versions).json()["results"]] == [2, 1]
    assert api_client.delete(version_url(second)).status_code == 204
    assert api_client.get(version_url(second)).status_code == 404


def test_the_same_definition_twice_makes_two_graphs(api_client: APIClient) -> None:
    first, second = created(api_client), created(api_client)
    assert first["graph"] != second["graph"]
    slugs = [graph["slug"] for graph in api_client.get(GRAPHS).json()["results"]]
    assert len(set(slugs)) == 2


@pytest.mark.parametrize("publish", [True, False])
def test_all_that_is_wrong_is_said_at_once_and_nothing_is_stored(api_client: APIClient, publish: bool) -> None:
    answer = api_client.post(GRAPHS, {"definition": BROKEN, "publish": publish})
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["code"] == "definition-invalid"
    assert {detail["path"] for detail in error["details"]} >= {"/nodes/c/nxt"}
    assert not Graph.objects.exists()


def test_lint_says_what_is_wrong_and_stores_nothing(api_client: APIClient) -> None:
    unknown_tool = {"name": "x", "start_node": "a", "nodes": {"a": {"tool": "no_such_tool"}}}
    problems = api_client.post(f"{GRAPHS}lint/", {"definition": unknown_tool}).json()["problems"]
    assert ("error", "/nodes/a/tool", "a") in {(each["level"], each["path"], each["node"]) for each in problems}
    assert not Graph.objects.exists()

    draft = created(api_client)
    assert api_client.get(f"{version_url(draft)}lint/").json() == {"problems": []}


def test_a_version_comes_back_with_what_lint_says_about_it(api_client: APIClient) -> None:
    unreachable = {**TWO_NODES, "nodes": {"a": {"tool": "noop"}, "b": {"tool": "noop"}}}
    published = created(api_client, unreachable, publish=True)
    versions = f"{GRAPHS}{published['graph']}/versions/"
    draft = api_client.post(versions, {"definition": unreachable}).json()
    answers = (
        published,
        draft,
        api_client.put(version_url(draft), {"definition": unreachable}).json(),
        api_client.post(f"{version_url(draft)}publish/").json(),
        api_client.post(f"{GRAPHS}import/", unreachable).json(),
    )
    linted = api_client.get(f"{version_url(published)}lint/").json()["problems"]
    assert [(each["level"], each["code"], each["node"]) for each in linted] == [("warning", "unreachable", "b")]
    assert [answer["warnings"] for answer in answers] == [linted] * len(answers)
    assert created(api_client, ONE_NODE, publish=True)["warnings"] == []


def test_a_draft_says_what_keeps_it_from_being_published(api_client: APIClient) -> None:
    draft = created(api_client, {"name": "x", "start_node": "a", "nodes": {"a": {"tool": "no_such_tool"}}})
    refused = api_client.post(f"{version_url(draft)}publish/").json()["error"]["details"]
    assert [(each["level"], each["path"]) for each in draft["warnings"]] == [("error", "/nodes/a/tool")]
    assert [each["path"] for each in refused] == ["/nodes/a/tool"]


def test_what_is_exported_can_be_imported(api_client: APIClient) -> None:
    first = created(api_client, TWO_NODES)
    exported = api_client.get(f"{version_url(first)}export/")
    assert exported["Content-Disposition"] == 'attachment; filename="two-1.json"'

    second = api_client.post(f"{GRAPHS}import/", exported.json())
    assert second.status_code == 201
    assert second.json()["definition"] == TWO_NODES
    assert second.json()["graph"] != first["graph"]


def test_two_versions_are_compared(api_client: APIClient) -> None:
    first = created(api_client, publish=True)
    second = api_client.post(f"{GRAPHS}{first['graph']}/versions/", {"definition": TWO_NODES}).json()

    found = api_client.get(f"{version_url(second)}diff/?against=1").json()["differences"]
    assert [(each["path"], each["change"]) for each in found] == [
        ("/name", "changed"),
        ("/nodes/a/next", "added"),
        ("/nodes/b", "added"),
    ]
    missing = api_client.get(f"{version_url(second)}diff/?against=7")
    assert missing.status_code == 404
    assert missing.json()["error"]["details"][0]["path"] == "/against"
    assert api_client.get(f"{version_url(second)}diff/").status_code == 422


def test_a_graph_is_renamed(api_client: APIClient) -> None:
    graph = f"{GRAPHS}{created(api_client)['graph']}/"
    renamed = api_client.patch(graph, {"name": "Better", "description": "What it does."}).json()
    assert (renamed["name"], renamed["description"], renamed["slug"]) == ("Better", "What it does.", "one")
    assert api_client.patch(graph, {"slug": "other"}).status_code == 422
    assert AuditEntry.objects.filter(action="graph.renamed", actor="owner").count() == 1


def test_an_archived_graph_is_kept_but_starts_no_runs(api_client: APIClient) -> None:
    version = created(api_client, publish=True)
    graph = f"{GRAPHS}{version['graph']}/"
    assert api_client.post(f"{graph}archive/").json()["archived_at"] is not None

    for wanted in ({"graph": version["graph"]}, {"version": version["id"]}):
        assert api_client.post("/api/v1/runs/", wanted).status_code == 404
    assert api_client.post("/graph/run", {"graph_id": version["graph"]}).status_code == 404
    assert api_client.get(f"{GRAPHS}?archived=false").json()["results"] == []
    assert len(api_client.get(f"{GRAPHS}?archived=true").json()["results"]) == 1

    misspelt = api_client.get(f"{GRAPHS}?archived=ture")
    assert misspelt.status_code == 422
    assert misspelt.json()["error"]["details"][0]["path"] == "/archived"

    assert api_client.post(f"{graph}restore/").json()["archived_at"] is None
    assert api_client.post("/api/v1/runs/", {"graph": version["graph"]}).status_code == 201


def test_a_graph_is_deleted_unless_it_has_run(api_client: APIClient) -> None:
    version = created(api_client, publish=True)
    graph = f"{GRAPHS}{version['graph']}/"
    assert api_client.post("/api/v1/runs/", {"graph": version["graph"]}).status_code == 201
    refused = api_client.delete(graph)
    assert refused.status_code == 409
    assert refused.json()["error"]["code"] == "graph-has-runs"

    assert api_client.delete(f"{GRAPHS}{created(api_client)['graph']}/").status_code == 204
    assert Graph.objects.count() == 1


def test_lists_are_paged_by_a_cursor(api_client: APIClient) -> None:
    names = [f"graph {number}" for number in range(5)]
    for name in names:
        created(api_client, {**ONE_NODE, "name": name})
    found, page = [], f"{GRAPHS}?limit=2"
    while page:
        answer = api_client.get(page).json()
        assert len(answer["results"]) <= 2
        found += [graph["name"] for graph in answer["results"]]
        page = answer["next"]
    assert found == names[::-1]
    assert [graph["name"] for graph in api_client.get(f"{GRAPHS}?name=PH 3").json()["results"]] == ["graph 3"]


@pytest.mark.parametrize(("limit", "status"), [("1", 200), ("200", 200), ("0", 422), ("201", 422), ("many", 422)])
def test_a_page_has_1_to_200_entries(api_client: APIClient, limit: str, status: int) -> None:
    answer = api_client.get(GRAPHS, {"limit": limit})
    assert answer.status_code == status
    if status == 422:
        assert answer.json()["error"]["details"][0]["path"] == "/limit"


@pytest.mark.parametrize(
    "cursor", ["x", "cD1hYmM=", "cD0tMQ==", "cD05OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "bz05OTk5OTk5OTk="]
)
def test_a_cursor_that_we_did_not_make_is_no_5xx(api_client: APIClient, cursor: str) -> None:
    assert api_client.get(GRAPHS, {"cursor": cursor}).status_code in (200, 404)


def test_every_door_to_a_strangers_graph_is_shut(api_client: APIClient, stranger: User, client_of: Any) -> None:
    version = created(client_of(stranger), publish=True)
    for path, wanted in (
        ("/api/v1/runs/", {"graph": version["graph"]}),
        ("/api/v1/runs/", {"version": version["id"]}),
        ("/graph/run", {"graph_id": version["graph"]}),
        (f"{GRAPHS}{version['graph']}/versions/", {"definition": ONE_NODE}),
    ):
        answer = api_client.post(path, wanted)
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "not-found"


def test_a_definition_is_taken_up_to_its_limit(api_client: APIClient, settings: Settings) -> None:
    size = len(json.dumps(TWO_NODES, separators=(",", ":")))
    for limit, status in ((size, 201), (size - 1, 413)):
        settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"max_definition_bytes": limit})
        assert api_client.post(GRAPHS, {"definition": TWO_NODES}).status_code == status


def test_the_api_speaks_json_whatever_is_asked_for(api_client: APIClient) -> None:
    answer = api_client.get(GRAPHS, headers={"Accept": "text/html"})
    assert answer.status_code == 406
    assert answer.json()["error"]["code"] == "not-acceptable"
