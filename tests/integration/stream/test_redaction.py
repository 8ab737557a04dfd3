"""What a graph marks secret comes out of no door: each is opened while the run goes on, and when it has failed."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from accounts.actor import Actor
from accounts.models import Role
from accounts.services import issue_api_key
from runs.models import Event, Run, StepError, StreamChunk
from runs.verification import verify_run
from tests.conftest import acting
from tests.integration.api.url_map import operations
from tests.integration.stream.server import Server, receive, receive_all, receive_events
from tests.support.runs import definition, driving, finish, start
from tests.support.tools import gate
from tests.support.waiting import wait_until
from tools import Context, reducer, tool

CANARY = "canary-bird"
PUBLIC = "public-word"
STATE_DOORS = {
    "GET /graph/state/{run_id}",
    "GET /api/v1/runs/{uuid}/state/",
    "GET /api/v1/runs/{uuid}/events/",
    "page",
    "admin",
    "socket from the start",
    "socket with a snapshot",
}
"""Doors that show the state or what has changed it, secrets left out."""

SCHEMA = {
    "properties": {
        "token": {"type": "string", "format": "password", "maxLength": 100},
        "accounts": {"type": "array", "items": {"properties": {"password": {"writeOnly": True}}}},
        "seen": {"type": "array", "items": {"$ref": "#/$defs/maybe"}},
    },
    "$defs": {"maybe": {"anyOf": [{"type": "string", "format": "password"}, {"type": "null"}]}},
}

#   a ──► fan ══ map of accounts ══► w ──► wait ──► b, which fails
NODES = {
    "a": {
        "tool": "confide",
        "outputs": {"token": "= result.renewed", "seen": "= [token]", "word": "= result.word"},
        "next": "fan",
    },
    "fan": {
        "next": {
            "map": "= accounts",
            "as": "account",
            "to": "w",
            "join": "wait",
            "collect": {"seen": "= account.password"},
        }
    },
    "w": {},
    "wait": {"tool": "whisper", "next": "b"},
    "b": {"tool": "blurt"},
}
INPUT = {
    "token": CANARY,
    "accounts": [{"name": PUBLIC, "password": CANARY}, {"name": "other", "password": CANARY}],
    "word": PUBLIC,
}


@tool
def confide(token: str, ctx: Context) -> dict:
    ctx.log(f"The token is {token}.")
    return {"renewed": f"{token}-2", "word": PUBLIC}


@tool
def whisper(token: str, ctx: Context) -> dict:
    entered, opened = ENTERED_AND_OPEN
    ctx.stream(f"I saw {token}")
    entered.set()
    opened.wait(60)
    return {}


@tool
def blurt(token: str) -> dict:
    raise ValueError(f"{PUBLIC} with {token!r}")


ENTERED_AND_OPEN = gate("redaction")


@pytest.fixture
def actor(transactional_db: None, owner: User) -> Actor:
    return acting(owner)


@pytest.fixture
def key(actor: Actor) -> str:
    return issue_api_key(name="watcher", role=Role.VIEWER, actor=actor)[1]


@pytest.fixture
def admin_client(actor: Actor, owner: User, client_of: Callable[[User], APIClient]) -> APIClient:
    owner.is_staff = owner.is_superuser = True
    owner.save()
    return client_of(owner)


def published(client: APIClient) -> str:
    answer = client.post("/graph/create", definition(NODES, state={"schema": SCHEMA, "reducers": {"seen": "extend"}}))
    assert answer.status_code == 200, answer.content
    return answer.json()["graph_id"]


def opened_doors(run: Run, client: APIClient, server: Server, key: str) -> dict[str, str]:
    """What each door shows of the run, by the door's name."""
    parts = {"uuid": run.uuid, "run_id": run.uuid}
    on_a_run = [each for each in operations() if each.view.queryset is not None and each.view.queryset.model is Run]
    shown = {str(each): client.get(each.path(parts)).content.decode() for each in on_a_run if not each.writes}
    shown["page"] = client.get(f"/runs/{run.uuid}/").content.decode()
    shown["errors"] = client.get(f"/runs/{run.uuid}/errors/").content.decode()
    shown["pages"] = client.get("/runs/").content.decode()
    shown["home"] = client.get("/").content.decode()
    shown["admin"] = client.get(f"/admin/runs/run/{run.pk}/change/").content.decode()
    shown["admin's list"] = client.get("/admin/runs/run/").content.decode()
    for door, query in (("socket from the start", "?after=0"), ("socket with a snapshot", "")):
        with server.watch(run.uuid, query, key=key) as socket:
            if run.is_terminal:
                messages: Any = receive_all(socket)
            else:
                messages = [receive_events(socket, run.seq), receive(socket)] if query else receive(socket)
        shown[door] = json.dumps(messages)
    if run.is_terminal:
        with server.watch(run.uuid, "?format=text", key=key) as socket:
            shown["socket of the log"] = "\n".join(map(str, socket))
    return shown


def test_a_secret_comes_out_of_no_door(server: Server, admin_client: APIClient, key: str) -> None:
    entered, opened = ENTERED_AND_OPEN
    graph = published(admin_client)
    with driving():
        answer = admin_client.post("/api/v1/runs/", {"graph": graph, "initial_state": INPUT})
        assert answer.status_code == 201, answer.content
        run = Run.objects.get(uuid=answer.json()["id"])
        wait_until(lambda: entered.is_set() and StreamChunk.objects.filter(run=run).exists(), "it is in the middle")
        run.refresh_from_db()
        half_way = opened_doors(run, admin_client, server, key)
        assert [chunk.text for chunk in StreamChunk.objects.filter(run=run)] == ["I saw [redacted]"]
        opened.set()
        finish(run)
        at_the_end = opened_doors(run, admin_client, server, key)
    for shown in (half_way, at_the_end):
        assert [door for door, text in shown.items() if CANARY in text] == []
        assert {door for door, text in shown.items() if PUBLIC in text} >= STATE_DOORS
    assert run.error == f"b: ValueError: {PUBLIC} with '[redacted]'"
    assert CANARY not in StepError.objects.get(run=run).traceback
    assert CANARY in Event.objects.get(run=run, seq=1).data, "the state is folded from it"


@reducer("agree_of_redaction", version=1)
def agree(value: Any, updates: list[Any]) -> Any:
    for each in (value, *updates[:-1]):
        if each not in (None, updates[-1]):
            raise ValueError(f"{each} is not {updates[-1]}")
    return updates[-1]


AGREED = {"schema": SCHEMA, "reducers": {"token": "agree_of_redaction@1"}}
ITEMS = f"= ['{CANARY}-1', '{CANARY}-2']"


def setting(which: str) -> dict[str, Any]:
    return {"tool": "give", "inputs": {"value": {"token": f"{CANARY}-{which}"}}, "next": "j"}


@pytest.mark.parametrize(
    ("nodes", "state", "error"),
    [
        pytest.param(
            {
                "s": {"next": {"map": "= [1]", "to": "w", "join": "j", "collect": {"x": "= table[token]"}}},
                "w": {"next": "j"},
                "j": {},
            },
            {"schema": SCHEMA, "defaults": {"token": CANARY, "table": {}}},
            'MapFailed: 1 of 1 items failed; 0 are tolerated. Item 0 failed at "end": ExpressionError: ',
            id="collect",
        ),
        pytest.param(
            {
                "s": {"next": {"map": ITEMS, "as": "item", "to": "w", "join": "j"}},
                "w": {"tool": "noop", "outputs": {"token": "= item"}, "next": "j"},
                "j": {},
            },
            AGREED,
            "ReducerError: ",
            id="the write of a map",
        ),
        pytest.param(
            {"s": {"next": ["a", "b"]}, "a": setting("a"), "b": setting("b"), "j": {"join": "all"}},
            AGREED,
            "ReducerError: ",
            id="a join",
        ),
        pytest.param(
            {"s": {"next": ["a", "b"]}, "a": setting("a"), "b": setting("b"), "j": {}},
            AGREED,
            "ReducerError: ",
            id="the end",
        ),
    ],
)
def test_a_secret_is_in_no_failure_of_what_comes_between_steps(
    actor: Actor, nodes: dict[str, Any], state: dict[str, Any], error: str
) -> None:
    with driving():
        run = finish(start(actor, nodes, state=state))
    failures = Event.objects.filter(run=run, type__in=("ItemFailed", "BranchFrozen", "RunFailed"))
    assert error in run.error
    assert CANARY not in run.error
    assert failures
    assert CANARY not in "".join(failures.values_list("data", flat=True))
    assert verify_run(run).differences == []


def test_the_admin_does_not_name_a_lock_that_was_named_by_a_secret(admin_client: APIClient, actor: Actor) -> None:
    entered, opened = gate("locked")
    with driving():
        holder = start(actor, {"a": {"tool": "wait_for", "inputs": {"name": "locked"}, "lock": CANARY}})
        wait_until(entered.is_set, "the lock is held")
        run = start(actor, {"a": {"tool": "noop", "lock": "= token"}}, {"token": CANARY}, state={"schema": SCHEMA})
        wait_until(lambda: Event.objects.filter(run=run, type="StepWaiting").exists(), "it waits")
        page = admin_client.get(f"/admin/runs/run/{run.pk}/change/").content.decode()
        opened.set()
        finish(holder)
        finish(run)
    assert "Waiting at node: a" in page
    assert CANARY not in page


def test_an_answer_that_waited_for_the_run_has_the_state_without_the_secret(
    server: Server, admin_client: APIClient, key: str
) -> None:
    ENTERED_AND_OPEN[1].set()
    graph = published(admin_client)
    with driving():
        answer = admin_client.post("/api/v1/runs/?wait=30", {"graph": graph, "initial_state": INPUT}).json()
    assert answer["status"] == "failed"
    assert answer["state"] == {
        "token": "[redacted]",
        "accounts": [{"name": PUBLIC, "password": "[redacted]"}, {"name": "other", "password": "[redacted]"}],
        "seen": ["[redacted]"] * 3,
        "word": PUBLIC,
    }


def test_a_secret_that_the_schema_refuses_is_not_repeated(actor: Actor, admin_client: APIClient) -> None:
    body = {"graph": published(admin_client), "initial_state": {**INPUT, "token": CANARY * 50}}
    answer = admin_client.post("/api/v1/runs/", body)
    assert answer.status_code == 422
    assert CANARY not in answer.content.decode()
    assert "does not satisfy 'maxLength'" in answer.content.decode()


def test_the_form_that_starts_a_run_asks_for_a_secret_as_for_a_password(actor: Actor, admin_client: APIClient) -> None:
    page = admin_client.get(f"/graphs/{published(admin_client)}/").content.decode()
    assert '<input type="password" name="state-token"' in page
