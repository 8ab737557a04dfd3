"""Runs over REST. The driver's part is played by the test."""

import json
import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.actor import Actor
from accounts.models import AuditEntry
from graphs.models import GraphVersion
from graphs.services import archive_graph, create_draft, create_graph, publish_version
from runs import bell
from runs.api import waiting
from runs.models import Event, Mailbox, Run
from tests.support.play import Play

RUNS = "/api/v1/runs/"
TWO_STEPS = {
    "name": "two steps",
    "start_node": "first",
    "nodes": {"first": {"tool": "noop", "next": "second"}, "second": {"tool": "noop"}},
    "state": {"schema": {"type": "object", "properties": {"n": {"type": "integer"}}}, "defaults": {"n": 0}},
}


@pytest.fixture
def version(actor: Actor) -> GraphVersion:
    return create_graph(definition=TWO_STEPS, actor=actor)


def started(client: APIClient, version: GraphVersion, **wanted: Any) -> dict[str, Any]:
    answer = client.post(RUNS, {"version": str(version.uuid), **wanted})
    assert answer.status_code == 201
    return answer.json()


def row(run: dict[str, Any]) -> Run:
    return Run.objects.get(uuid=run["id"])


def test_a_run_is_started_by_its_graph_or_by_a_version(api_client: APIClient, version: GraphVersion) -> None:
    for wanted in ({"graph": str(version.graph.uuid)}, {"version": str(version.uuid)}):
        answer = api_client.post(RUNS, {**wanted, "initial_state": {"n": 1}, "labels": {"team": "billing"}})
        assert answer.status_code == 201
        run = answer.json()
        assert (run["graph"], run["version"], run["labels"]) == (str(version.graph.uuid), 1, {"team": "billing"})
        assert (run["status"], run["state"], run["actor"]) == ("pending", None, "owner")
        assert api_client.get(f"{RUNS}{run['id']}/").json()["id"] == run["id"]


def test_a_graph_is_named_by_its_slug_too(api_client: APIClient, version: GraphVersion) -> None:
    assert api_client.post(RUNS, {"graph": version.graph.slug}).json()["graph"] == str(version.graph.uuid)
    assert api_client.post(RUNS, {"graph": "no-such-graph"}).status_code == 404


@pytest.mark.parametrize("both", [True, False])
def test_a_start_names_either_a_graph_or_a_version(api_client: APIClient, version: GraphVersion, both: bool) -> None:
    wanted = {"graph": str(version.graph.uuid), "version": str(version.uuid)} if both else {}
    answer = api_client.post(RUNS, wanted)
    assert answer.status_code == 422
    assert answer.json()["error"]["details"][0]["code"] == "graph-or-version"


def test_a_graph_may_be_named_with_the_number_of_a_version(api_client: APIClient, version: GraphVersion) -> None:
    slug = version.graph.slug
    assert api_client.post(RUNS, {"graph": f"{slug}@1"}).json()["version"] == 1
    assert api_client.post(RUNS, {"graph": f"{slug}@latest"}).json()["version"] == 1
    answers = [api_client.post(RUNS, {"graph": name}) for name in (f"{slug}@7", f"{slug}@", "none@1")]
    assert [answer.status_code for answer in answers] == [404, 422, 404]
    assert {answer.json()["error"]["details"][0]["path"] for answer in answers} == {"/graph"}


def test_what_to_do_about_others_needs_a_key_and_says_where(api_client: APIClient, version: GraphVersion) -> None:
    answer = api_client.post(RUNS, {"graph": version.graph.slug, "on_conflict": "reject"})
    assert [each["path"] for each in answer.json()["error"]["details"]] == ["/business_key"]


def test_a_draft_does_not_run(api_client: APIClient, actor: Actor) -> None:
    draft = create_draft(definition=TWO_STEPS, actor=actor)
    by_version = api_client.post(RUNS, {"version": str(draft.uuid)})
    assert by_version.status_code == 409
    by_graph = api_client.post(RUNS, {"graph": str(draft.graph.uuid)})
    assert by_graph.status_code == 422
    assert by_graph.json()["error"]["details"][0]["path"] == "/graph"


def test_a_state_that_does_not_fit_the_schema_is_refused_at_its_path(
    api_client: APIClient, version: GraphVersion
) -> None:
    answer = api_client.post(RUNS, {"version": str(version.uuid), "initial_state": {"n": "seven"}})
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["code"] == "initial-state-invalid"
    assert error["details"][0]["path"] == "/n"
    assert not Run.objects.exists()


def test_a_start_repeated_with_its_key_is_one_run(api_client: APIClient, version: GraphVersion) -> None:
    def start(n: int, key: str = "order-17") -> Any:
        wanted = {"version": str(version.uuid), "initial_state": {"n": n}}
        return api_client.post(RUNS, wanted, headers={"Idempotency-Key": key})

    assert start(1).json()["id"] == start(1).json()["id"]
    assert Run.objects.count() == 1

    other = start(2)
    assert other.status_code == 409
    assert other.json()["error"]["code"] == "idempotency-conflict"
    assert start(1, key="k" * 200).status_code == 201
    assert start(1, key="k" * 201).status_code == 422


def test_a_start_repeated_with_its_key_is_the_same_run_whatever_became_of_the_graph(
    api_client: APIClient, version: GraphVersion, actor: Actor
) -> None:
    def start() -> Any:
        wanted = {"graph": version.graph.slug, "initial_state": {"n": 1}}
        return api_client.post(RUNS, wanted, headers={"Idempotency-Key": "order-17"})

    first = start().json()
    schema = {"type": "object", "properties": {"n": {"type": "string"}}}
    draft = create_draft(graph=version.graph, definition={**TWO_STEPS, "state": {"schema": schema}}, actor=actor)
    publish_version(version=draft, actor=actor)
    assert start().json()["id"] == first["id"]
    GraphVersion.objects.filter(graph=version.graph).update(status="draft")
    assert start().json()["id"] == first["id"]


@pytest.mark.parametrize(
    "other",
    [
        {"business_key": "order-2"},
        {"labels": {"team": "billing"}},
        {"priority": 5},
        {"durability": "exit"},
        {"webhook": {"url": "https://example.com/"}},
        {"breakpoints": [{"node": "second"}]},
    ],
)
def test_a_key_that_comes_with_other_options_is_a_conflict(
    api_client: APIClient, version: GraphVersion, other: dict[str, Any]
) -> None:
    wanted, key = {"version": str(version.uuid), "business_key": "order-1"}, {"Idempotency-Key": "order-17"}
    assert api_client.post(RUNS, wanted, headers=key).status_code == 201
    answer = api_client.post(RUNS, {**wanted, **other}, headers=key)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "idempotency-conflict")
    assert Run.objects.count() == 1
    assert api_client.post(RUNS, dict(reversed(wanted.items())), headers=key).status_code == 201


def test_a_key_of_an_earlier_release_still_answers_with_its_run(api_client: APIClient, version: GraphVersion) -> None:
    wanted, key = {"version": str(version.uuid)}, {"Idempotency-Key": "order-17"}
    first = api_client.post(RUNS, wanted, headers=key).json()
    Run.objects.update(request_digest="")
    assert api_client.post(RUNS, wanted, headers=key).json()["id"] == first["id"]


def test_runs_are_searched(api_client: APIClient, version: GraphVersion, actor: Actor) -> None:
    a = started(api_client, version, business_key="order-1", labels={"team": "billing", "a.b-c_1": "x:y"})
    b = started(api_client, version, labels={"team": "shipping"})
    other = started(api_client, create_graph(definition=TWO_STEPS, actor=actor))
    Run.objects.filter(uuid=b["id"]).update(status="failed")

    def found(**wanted: Any) -> set[str]:
        return {run["id"] for run in api_client.get(RUNS, wanted).json()["results"]}

    assert found() == {a["id"], b["id"], other["id"]}
    assert found(status="failed") == {b["id"]}
    for graph in (str(version.graph.uuid), version.graph.slug):
        assert found(status=["failed", "pending"], graph=graph) == {a["id"], b["id"]}
    assert found(business_key="order-1") == {a["id"]}
    assert found(label="team:billing") == {a["id"]}
    assert found(label="a.b-c_1:x:y") == {a["id"]}
    assert found(label="team:") == set()


@pytest.mark.parametrize(
    "labels",
    [{"": "x"}, {"a b": "x"}, {'a"b': "x"}, {"a" * 65: "x"}, {"a": "x" * 201}, {f"k{n}": "x" for n in range(33)}],
)
def test_labels_that_cannot_be_searched_are_refused(
    api_client: APIClient, version: GraphVersion, labels: dict[str, str]
) -> None:
    answer = api_client.post(RUNS, {"version": str(version.uuid), "labels": labels})
    assert answer.status_code == 422
    assert answer.json()["error"]["details"][0]["path"].startswith("/labels")


@pytest.mark.parametrize(
    "wanted", [{"status": "lost"}, {"graph": "\x00"}, {"label": "team"}, {"label": '"a:b'}, {"business_key": "\x00"}]
)
def test_a_search_that_makes_no_sense_is_refused(api_client: APIClient, wanted: dict[str, str]) -> None:
    answer = api_client.get(RUNS, wanted)
    assert answer.status_code == 422
    assert answer.json()["error"]["details"][0]["path"] == f"/{next(iter(wanted))}"


def test_runs_of_an_archived_graph_are_found(api_client: APIClient, version: GraphVersion, actor: Actor) -> None:
    run = started(api_client, version)
    archive_graph(graph=version.graph, actor=actor)
    found = api_client.get(RUNS, {"graph": version.graph.slug}).json()["results"]
    assert [each["id"] for each in found] == [run["id"]]


@pytest.mark.parametrize(
    ("method", "path", "field"),
    [
        ("get", RUNS, "graph"),
        ("post", RUNS, "graph"),
        ("post", RUNS, "version"),
        ("post", "/graph/run", "graph_id"),
    ],
)
def test_what_a_request_names_is_missing_at_its_field_whoever_has_it(
    api_client: APIClient, stranger_actor: Actor, method: str, path: str, field: str
) -> None:
    foreign = create_graph(definition=TWO_STEPS, actor=stranger_actor)
    theirs = [str(foreign.uuid)] if field == "version" else [str(foreign.graph.uuid)]
    nobodys = [str(uuid4())]
    if field == "graph":
        theirs.append(foreign.graph.slug)
        nobodys.append("no-such-graph")
    answers = [getattr(api_client, method)(path, {field: name}) for name in (*theirs, *nobodys)]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    [detail] = answers[0].json()["error"]["details"]
    assert (detail["path"], detail["code"]) == (f"/{field}", "not-found")


def test_the_state_is_read_as_of_now_and_as_of_any_event(api_client: APIClient, version: GraphVersion) -> None:
    run = started(api_client, version, initial_state={"n": 1})
    play = Play(row(run))
    play.complete("first", n=2)
    state = f"{RUNS}{run['id']}/state/"

    assert api_client.get(state).json() == {"seq": play.run.seq, "values": {"n": 2}, "conflicts": []}
    assert api_client.get(state, {"seq": 1}).json() == {"seq": 1, "values": {"n": 1}, "conflicts": []}
    too_late = api_client.get(state, {"seq": play.run.seq + 1})
    assert too_late.status_code == 404
    assert too_late.json()["error"]["details"][0]["path"] == "/seq"
    for seq in ("0", "-1", "x", str(2**63)):
        assert api_client.get(state, {"seq": seq}).status_code == 422
    assert api_client.get(state, {"sequence": 1}).status_code == 400


def test_steps_come_in_the_order_of_their_scheduling(api_client: APIClient, version: GraphVersion) -> None:
    run = started(api_client, version)
    play = Play(row(run))
    play.complete("first")
    play.fail("second", "no more")

    steps = api_client.get(f"{RUNS}{run['id']}/steps/").json()["results"]
    assert [(step["node"], step["status"]) for step in steps] == [("first", "completed"), ("second", "failed")]
    assert len(steps[0]["id"]) == 20
    assert steps[0]["error"] is None
    assert steps[1]["error"]["message"] == "no more"


def test_the_journal_is_read_after_a_cursor(api_client: APIClient, version: GraphVersion) -> None:
    run = started(api_client, version)
    Play(row(run)).complete("first", n=2)
    events = f"{RUNS}{run['id']}/events/"

    all_of_them = api_client.get(events).json()["results"]
    assert [event["type"] for event in all_of_them] == ["RunStarted", "StepCompleted"]
    assert api_client.get(events, {"after": 1}).json()["results"] == all_of_them[1:]
    assert api_client.get(events, {"limit": 1}).json()["results"] == all_of_them[:1]
    assert api_client.get(events, {"after": 2**63 - 1}).json()["results"] == []
    for wanted in ({"after": -1}, {"after": 2**63}, {"limit": 0}, {"limit": 1001}, {"wait": 61}, {"wait": "nan"}):
        assert api_client.get(events, wanted).status_code == 422


def test_a_cancel_is_posted_to_the_runs_driver(api_client: APIClient, version: GraphVersion) -> None:
    run = started(api_client, version)
    answer = api_client.post(f"{RUNS}{run['id']}/cancel/", {"reason": "wrong input"})
    assert answer.status_code == 202
    mail = Mailbox.objects.get(run__uuid=run["id"])
    assert (mail.kind, json.loads(mail.payload), mail.actor) == (
        "cancel",
        {"reason": "wrong input", "graceful": False},
        "owner",
    )


def test_a_run_that_is_over_cannot_be_cancelled(api_client: APIClient, version: GraphVersion) -> None:
    run = started(api_client, version)
    Run.objects.filter(uuid=run["id"]).update(status="completed")
    answer = api_client.post(f"{RUNS}{run['id']}/cancel/")
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "run-finished"


# --------------------------------------------------------------------------- waiting


def completes(run: Run) -> None:
    """What a driver's last commit leaves, and the bell after it."""
    play = Play(run)
    play.complete("first")
    play.complete("second", n=7)
    Run.objects.filter(pk=run.pk).update(finished_at=timezone.now())
    bell.ring_watchers(run.pk, play.run.seq)


def meanwhile(work: Callable[[], None]) -> threading.Thread:
    def in_a_thread_of_its_own() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=in_a_thread_of_its_own)
    thread.start()
    return thread


def a_run_appears() -> Run:
    run = None
    while run is None:
        run = Run.objects.first()
    return run


@pytest.mark.django_db(transaction=True)
def test_a_start_that_waits_answers_with_the_final_state(api_client: APIClient, version: GraphVersion) -> None:
    other = meanwhile(lambda: completes(a_run_appears()))
    answer = api_client.post(f"{RUNS}?wait=30", {"version": str(version.uuid)})
    other.join()
    assert answer.status_code == 201
    assert (answer.json()["status"], answer.json()["state"]) == ("completed", {"n": 7})


@pytest.mark.django_db(transaction=True)
def test_who_waits_for_events_gets_the_next_one(api_client: APIClient, version: GraphVersion) -> None:
    run = started(api_client, version)
    other = meanwhile(lambda: completes(row(run)))
    answer = api_client.get(f"{RUNS}{run['id']}/events/", {"after": 1, "wait": 30})
    other.join()
    assert answer.json()["results"][0]["seq"] == 2


@pytest.mark.django_db(transaction=True)
def test_nobody_waits_for_a_run_that_is_over(api_client: APIClient, version: GraphVersion) -> None:
    run = started(api_client, version)
    completes(row(run))
    last = Event.objects.filter(run__uuid=run["id"]).count()
    answer = api_client.get(f"{RUNS}{run['id']}/events/", {"after": last, "wait": 60})
    assert answer.json()["results"] == []


@pytest.mark.django_db(transaction=True)
def test_who_waits_in_vain_gets_what_there_is(api_client: APIClient, version: GraphVersion) -> None:
    run = row(started(api_client, version))
    waiting.wait_for_entry(run, after=run.seq, timeout_s=0.01)
    waiting.wait_for_end(run, timeout_s=0.01)
    run.refresh_from_db()
    assert run.status == "pending"


def test_only_so_many_requests_may_wait(
    api_client: APIClient, version: GraphVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_places", threading.BoundedSemaphore(1))
    waiting._places.acquire()
    run = started(api_client, version)
    answer = api_client.get(f"{RUNS}{run['id']}/events/", {"after": 1, "wait": 60})
    assert answer.status_code == 429
    assert answer["Retry-After"] == "1"
    assert answer.json()["error"]["code"] == "throttled"


# --------------------------------------------------------------------------- starting again


def test_a_run_is_started_again_with_its_state_and_options(api_client: APIClient, version: GraphVersion) -> None:
    options = {"business_key": "order-1", "labels": {"team": "a"}, "durability": "exit", "priority": 7}
    run = started(api_client, version, initial_state={"n": 5}, **options)
    answer = api_client.post(f"{RUNS}{run['id']}/rerun/")
    again = answer.json()
    assert answer.status_code == 201
    assert again["id"] != run["id"]
    assert {name: again[name] for name in options} == options
    assert (again["trigger"], again["version"], row(again).input) == ("rerun", 1, row(run).input)
    entry = AuditEntry.objects.get(action="run.rerun")
    assert (entry.object_id, entry.data) == (run["id"], {"run": again["id"]})


def test_a_run_is_started_again_with_the_newest_version(
    api_client: APIClient, version: GraphVersion, actor: Actor
) -> None:
    run = started(api_client, version, initial_state={"n": 5})
    newer = create_draft(graph=version.graph, definition=TWO_STEPS, actor=actor)
    publish_version(version=newer, actor=actor)
    for wanted, number in ((None, 1), ({"version": "same"}, 1), ({"version": "latest"}, 2)):
        assert api_client.post(f"{RUNS}{run['id']}/rerun/", wanted).json()["version"] == number


def test_a_run_is_started_again_without_its_webhook(api_client: APIClient, version: GraphVersion) -> None:
    run = started(api_client, version, webhook={"url": "https://example.com/"})
    assert run["webhook"] is not None
    assert api_client.post(f"{RUNS}{run['id']}/rerun/").json()["webhook"] is None


@pytest.mark.parametrize(
    ("wanted", "path"),
    [({"version": "newest"}, "/version"), ({"state": {}}, "/state"), ({"version": None}, "/version")],
)
def test_a_start_again_that_makes_no_sense_is_refused(
    api_client: APIClient, version: GraphVersion, wanted: dict[str, Any], path: str
) -> None:
    run = started(api_client, version)
    answer = api_client.post(f"{RUNS}{run['id']}/rerun/", wanted)
    assert (answer.status_code, answer.json()["error"]["details"][0]["path"]) == (422, path)


def test_a_run_of_an_archived_graph_is_not_started_again(
    api_client: APIClient, version: GraphVersion, actor: Actor
) -> None:
    run = started(api_client, version)
    archive_graph(graph=version.graph, actor=actor)
    for wanted in ("same", "latest"):
        answer = api_client.post(f"{RUNS}{run['id']}/rerun/", {"version": wanted})
        assert (answer.status_code, answer.json()["error"]["details"][0]["path"]) == (404, "/version")
