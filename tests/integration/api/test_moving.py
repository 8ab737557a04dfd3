"""Forking, migrating and patching runs over REST."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.actor import Actor
from accounts.models import AuditEntry
from graphs import services as graphs
from graphs.models import GraphVersion
from runs.models import Mailbox, Run
from runs.services import start_run
from tests.support.play import Play
from tests.support.runs import definition

pytestmark = pytest.mark.django_db

RUNS = "/api/v1/runs/"
TOOL = {"tool": "increment", "inputs": {"n": "= n"}}
NODES = {"first": {**TOOL, "next": "second"}, "second": TOOL}


@pytest.fixture
def run(actor: Actor) -> Run:
    """One whose first step is over."""
    version = graphs.create_graph(definition=definition(NODES), actor=actor)
    run = start_run(version=version, state={"n": 0}, actor=actor)
    play = Play(run)
    play.complete("first", n=1)
    return play.run


def another_version(run: Run, actor: Actor, nodes: dict[str, Any]) -> GraphVersion:
    draft = graphs.create_draft(graph=run.version.graph, definition=definition(nodes), actor=actor)
    return graphs.publish_version(version=draft, actor=actor)


def test_a_fork_is_a_run_of_its_own(api_client: APIClient, run: Run) -> None:
    body = {"seq": 2, "values": {"m": 7}, "delete": ["n"], "labels": {"for": "fun"}, "paused": True}
    answer = api_client.post(f"{RUNS}{run.uuid}/fork/", body)
    assert answer.status_code == 201
    fork = answer.json()
    assert (fork["forked_from"], fork["fork_seq"], fork["labels"]) == (str(run.uuid), 2, {"for": "fun"})
    assert api_client.get(f"{RUNS}{fork['id']}/state/").json()["values"] == {"m": 7}
    assert fork["status"] == "paused"
    assert api_client.get(f"{RUNS}{run.uuid}/").json()["forked_from"] is None
    events = api_client.get(f"{RUNS}{fork['id']}/events/").json()["results"]
    assert [event["type"] for event in events] == ["RunForked", "StateEdited", "RunPaused"]
    assert "snapshot" not in events[0]["data"]
    assert events[0]["message"] == f"Run forked from run {run.uuid} after event 2"


def test_a_fork_deletes_no_key_that_is_not_there(api_client: APIClient, run: Run) -> None:
    answer = api_client.post(f"{RUNS}{run.uuid}/fork/", {"seq": 2, "delete": ["n", "m"]})
    assert answer.status_code == 422
    assert [(each["path"], each["code"]) for each in answer.json()["error"]["details"]] == [
        ("/delete/1", "no-such-key")
    ]


def test_a_fork_that_is_asked_for_twice_with_one_key_is_one_run(api_client: APIClient, run: Run) -> None:
    address, key = f"{RUNS}{run.uuid}/fork/", {"Idempotency-Key": "once"}
    answers = [api_client.post(address, {"seq": 2}, headers=key).json() for _ in range(2)]
    assert answers[0]["id"] == answers[1]["id"]
    assert Run.objects.count() == 2
    assert api_client.post(address, {"seq": 1}, headers=key).status_code == 409


@pytest.mark.parametrize(
    "other", [{"values": {"n": 7}}, {"delete": ["n"]}, {"paused": True}, {"labels": {"for": "fun"}}, {"seq": 1}]
)
def test_a_key_that_comes_with_another_fork_is_a_conflict(
    api_client: APIClient, run: Run, other: dict[str, Any]
) -> None:
    address, key = f"{RUNS}{run.uuid}/fork/", {"Idempotency-Key": "once"}
    fork = api_client.post(address, {"seq": 2}, headers=key).json()
    assert api_client.post(address, {"seq": 2, **other}, headers=key).status_code == 409
    assert api_client.post(f"{RUNS}{fork['id']}/fork/", {"seq": 1}, headers=key).status_code == 409
    start = {"version": str(run.version.uuid)}
    assert api_client.post(RUNS, start, headers=key).status_code == 409
    assert Run.objects.count() == 2


def test_a_fork_at_an_event_that_has_not_come_is_refused(api_client: APIClient, run: Run) -> None:
    answer = api_client.post(f"{RUNS}{run.uuid}/fork/", {"seq": 3})
    assert answer.status_code == 404
    assert Run.objects.count() == 1


def test_a_fork_at_an_end_is_a_conflict(api_client: APIClient, run: Run) -> None:
    Play(run).complete("second", n=2)
    answer = api_client.post(f"{RUNS}{run.uuid}/fork/", {"seq": 4})
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "fork-refused"


@pytest.mark.parametrize("edit", [{"values": {"n": 7}}, {"delete": ["n"]}])
def test_to_edit_the_state_of_a_fork_takes_an_editor(client_of, operator: User, editor: User, run: Run, edit) -> None:
    address = f"{RUNS}{run.uuid}/fork/"
    assert client_of(operator).post(address, {"seq": 2, **edit}, format="json").status_code == 403
    assert client_of(operator).post(address, {"seq": 2}, format="json").status_code == 201
    assert client_of(editor).post(address, {"seq": 2, **edit}, format="json").status_code == 201


def test_to_fork_to_another_version_takes_an_editor(
    client_of, actor: Actor, operator: User, editor: User, run: Run
) -> None:
    version = another_version(run, actor, {**NODES, "second": {**TOOL, "next": "third"}, "third": TOOL})
    address, body = f"{RUNS}{run.uuid}/fork/", {"seq": 2, "version": str(version.uuid)}
    assert client_of(operator).post(address, body, format="json").status_code == 403
    assert client_of(editor).post(address, body, format="json").status_code == 201


def test_a_fork_to_a_version_that_marks_nothing_keeps_the_secrets_of_the_run(
    api_client: APIClient, actor: Actor, run: Run
) -> None:
    state = {"schema": {"properties": {"pin": {"type": "string", "writeOnly": True}}}}
    draft = graphs.create_draft(graph=run.version.graph, definition=definition(NODES, state=state), actor=actor)
    version = graphs.publish_version(version=draft, actor=actor)
    secretive = start_run(version=version, state={"pin": "9876-canary"}, actor=actor)
    body = {"seq": 1, "version": str(run.version.uuid)}
    fork = api_client.post(f"{RUNS}{secretive.uuid}/fork/", body).json()
    assert fork["version"] == 1
    assert api_client.get(f"{RUNS}{fork['id']}/state/").json()["values"] == {"pin": "[redacted]"}
    assert "canary" not in api_client.get(f"{RUNS}{fork['id']}/events/").content.decode()


def test_a_fork_may_name_a_version_of_the_same_graph_only(api_client: APIClient, actor: Actor, run: Run) -> None:
    other = graphs.create_graph(definition=definition(NODES), actor=actor)
    version = another_version(run, actor, {**NODES, "first": {**TOOL, "next": "last"}, "last": TOOL, "second": TOOL})
    address = f"{RUNS}{run.uuid}/fork/"
    assert api_client.post(address, {"seq": 2, "version": str(other.uuid)}).status_code == 404
    body = {"seq": 2, "version": str(version.uuid), "mapping": {"second": "last"}}
    answer = api_client.post(address, body)
    assert (answer.status_code, answer.json()["version"]) == (201, 2)


def test_a_dry_run_says_where_the_branches_would_go_and_changes_nothing(
    api_client: APIClient, actor: Actor, run: Run
) -> None:
    version = another_version(run, actor, {"first": {**TOOL, "next": "last"}, "last": TOOL})
    address = f"{RUNS}{run.uuid}/migrate/"
    answer = api_client.post(address, {"version": str(version.uuid), "dry_run": True})
    assert answer.status_code == 200
    plan = answer.json()
    assert not plan["possible"]
    assert [(move["node"], move["to"], move["status"]) for move in plan["moves"]] == [("second", None, "running")]
    assert [(one["code"], one["node"]) for one in plan["obstacles"]] == [("node-missing", "second")]
    body = {"version": str(version.uuid), "mapping": {"second": "last"}, "dry_run": True}
    assert api_client.post(address, body).json()["possible"]
    assert not Mailbox.objects.exists()


def test_a_migration_is_posted_to_the_runs_driver(api_client: APIClient, actor: Actor, run: Run) -> None:
    version = another_version(run, actor, {"first": {**TOOL, "next": "last"}, "last": TOOL})
    body = {"version": str(version.uuid), "mapping": {"second": "last"}}
    answer = api_client.post(f"{RUNS}{run.uuid}/migrate/", body)
    assert (answer.status_code, answer.json()["possible"]) == (202, True)
    mail = Mailbox.objects.get(run=run)
    assert (mail.kind, json.loads(mail.payload)["digest"]) == ("migrate", version.sha256)


def test_of_two_migrations_at_once_one_is_a_conflict(api_client: APIClient, actor: Actor, run: Run) -> None:
    versions = [another_version(run, actor, {**NODES, name: TOOL, "second": {**TOOL, "next": name}}) for name in "xy"]
    address = f"{RUNS}{run.uuid}/migrate/"
    answers = [api_client.post(address, {"version": str(version.uuid)}) for version in versions]
    assert [answer.status_code for answer in answers] == [202, 409]
    assert answers[1].json()["error"]["details"][0]["code"] == "migration-pending"
    assert Mailbox.objects.count() == 1


def test_a_migration_that_cannot_be_is_a_conflict_with_every_reason(
    api_client: APIClient, actor: Actor, run: Run
) -> None:
    version = another_version(run, actor, {"first": {**TOOL, "next": "last"}, "last": TOOL})
    address = f"{RUNS}{run.uuid}/migrate/"
    error = api_client.post(address, {"version": str(version.uuid)}).json()["error"]
    assert error["code"] == "migration-refused"
    assert [(detail["code"], detail["path"]) for detail in error["details"]] == [("node-missing", "/nodes/second")]
    answer = api_client.post(address, {"version": str(run.version.uuid)})
    assert answer.status_code == 409
    assert answer.json()["error"]["details"][0]["code"] == "same-version"


def test_a_patch_publishes_a_version_and_posts_the_migration(api_client: APIClient, run: Run) -> None:
    changes = {"nodes": {"second": {"next": "third"}, "third": TOOL}}
    answer = api_client.post(f"{RUNS}{run.uuid}/patch/", {"changes": changes})
    assert (answer.status_code, answer.json()["number"]) == (202, 2)
    version = GraphVersion.objects.get(uuid=answer.json()["version"])
    assert version.is_published
    assert json.loads(version.definition)["nodes"]["second"]["next"] == "third"
    assert Mailbox.objects.get(run=run).kind == "migrate"


@pytest.mark.parametrize("changes", [{}, {"start_node": "first"}, {"limits": {}}])
def test_a_patch_that_changes_nothing_is_refused(api_client: APIClient, run: Run, changes: dict[str, Any]) -> None:
    answer = api_client.post(f"{RUNS}{run.uuid}/patch/", {"changes": changes})
    assert answer.status_code == 422
    assert [(each["path"], each["code"]) for each in answer.json()["error"]["details"]] == [
        ("/changes", "nothing-to-change")
    ]
    assert run.version.graph.versions.count() == 1


def test_a_bad_mapping_is_named_by_its_place_in_the_request(api_client: APIClient, actor: Actor, run: Run) -> None:
    version = another_version(run, actor, {**NODES, "third": TOOL})
    body = {"version": str(version.uuid), "mapping": {"gate": "third"}}
    details = api_client.post(f"{RUNS}{run.uuid}/migrate/", body).json()["error"]["details"]
    assert [(each["path"], each["code"]) for each in details] == [("/mapping/gate", "mapping-unknown")]


@pytest.mark.parametrize("version", [2, "x"])
def test_a_version_is_named_by_its_id(api_client: APIClient, run: Run, version: object) -> None:
    answer = api_client.post(f"{RUNS}{run.uuid}/migrate/", {"version": version})
    assert answer.status_code == 422
    assert answer.json()["error"]["details"][0]["message"].startswith("Give an id here")


def test_a_patch_that_breaks_the_definition_is_refused(api_client: APIClient, run: Run) -> None:
    answer = api_client.post(f"{RUNS}{run.uuid}/patch/", {"changes": {"start_node": "nowhere"}})
    assert answer.status_code == 422
    assert run.version.graph.versions.count() == 1


def take_in(mail: Mailbox, version: GraphVersion) -> None:
    """As the run's driver does."""
    Mailbox.objects.filter(pk=mail.pk).update(consumed_at=timezone.now())
    Run.objects.filter(pk=mail.run_id).update(version=version, begun_with=mail.run.version_id)


def test_a_migration_that_is_asked_for_twice_with_one_key_is_one(api_client: APIClient, actor: Actor, run: Run) -> None:
    version = another_version(run, actor, {"first": {**TOOL, "next": "last"}, "last": TOOL})
    address, key = f"{RUNS}{run.uuid}/migrate/", {"Idempotency-Key": "once"}
    body = {"version": str(version.uuid), "mapping": {"second": "last"}}
    answers = [api_client.post(address, body, headers=key) for _ in range(2)]
    take_in(Mailbox.objects.get(), version)
    answers.append(api_client.post(address, body, headers=key))
    assert [answer.status_code for answer in answers] == [202, 202, 202]
    assert answers[0].json() == answers[1].json() == answers[2].json()
    assert answers[0].json()["moves"]
    assert Mailbox.objects.count() == AuditEntry.objects.filter(action="run.migrated").count() == 1
    other = api_client.post(address, {**body, "mapping": {}}, headers=key)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency-conflict")


def test_a_patch_that_is_asked_for_twice_with_one_key_is_one_version(api_client: APIClient, run: Run) -> None:
    address, key = f"{RUNS}{run.uuid}/patch/", {"Idempotency-Key": "once"}
    body = {"changes": {"description": "patched"}}
    answers = [api_client.post(address, body, headers=key) for _ in range(2)]
    take_in(Mailbox.objects.get(), GraphVersion.objects.get(uuid=answers[0].json()["version"]))
    answers.append(api_client.post(address, body, headers=key))
    assert [answer.status_code for answer in answers] == [202, 202, 202]
    assert answers[0].json() == answers[1].json() == answers[2].json()
    assert run.version.graph.versions.count() == 2
    other = api_client.post(address, {"changes": {"description": "otherwise"}}, headers=key)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency-conflict")
    assert run.version.graph.versions.count() == 2


def test_a_key_of_a_control_verb_is_none_for_a_patch(api_client: APIClient, run: Run) -> None:
    key = {"Idempotency-Key": "once"}
    assert api_client.post(f"{RUNS}{run.uuid}/pause/", headers=key).status_code == 202
    answer = api_client.post(f"{RUNS}{run.uuid}/patch/", {"changes": {"description": "patched"}}, headers=key)
    assert answer.status_code == 409
    assert run.version.graph.versions.count() == 1


def test_the_method_patch_is_no_way_to_patch_a_run(api_client: APIClient, run: Run) -> None:
    for address in (f"{RUNS}{run.uuid}/", f"{RUNS}{run.uuid}/patch/"):
        assert api_client.patch(address, {"changes": {}}).status_code == 405
