"""The stream of runs that a driver executes: what a watcher sees is what REST and the log say."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from websockets.sync.client import ClientConnection

from accounts.actor import Actor
from accounts.models import Role
from accounts.services import issue_api_key
from runs import selectors
from runs.log import log_lines
from runs.models import Run, Step, StreamChunk
from tests.conftest import acting
from tests.integration.stream.server import Server, receive, receive_all, receive_events, seqs
from tests.support.runs import driving, finish, start
from tests.support.tools import gate
from tests.support.waiting import WAIT_S

#  count ──► count ──► … (50 times) ──► wait ──► count_on ──► …
NODES = {
    "count": {"tool": "increment", "next": {"condition": "n >= 50", "if_true": "wait", "if_false": "count"}},
    "wait": {"tool": "wait_for", "inputs": {"name": "stream"}, "next": "count_on"},
    "count_on": {"tool": "increment", "next": {"condition": "n >= 100", "if_true": "end", "if_false": "count_on"}},
}


@pytest.fixture
def actor(transactional_db: None, owner: User) -> Actor:
    return acting(owner)


@pytest.fixture
def key(actor: Actor) -> str:
    return issue_api_key(name="watcher", role=Role.VIEWER, actor=actor)[1]


@pytest.fixture
def driver(actor: Actor) -> Iterator[None]:
    with driving():
        yield


@pytest.mark.usefixtures("driver")
def test_a_snapshot_and_the_events_after_it_are_the_whole_run(server: Server, actor: Actor, key: str) -> None:
    entered, opened = gate("stream")
    run = start(actor, NODES, {"n": 0})
    assert entered.wait(WAIT_S)
    with server.watch(run.uuid, key=key) as client:
        snapshot = receive(client)
        opened.set()
        *messages, end = receive_all(client)
    assert set(snapshot) == {"type", "seq", "status", "state", "log"}
    assert (snapshot["type"], snapshot["status"], snapshot["state"]) == ("snapshot", "running", {"n": 50})
    assert seqs(messages) == list(range(snapshot["seq"] + 1, end["seq"] + 1))
    assert end == {"type": "end", "status": "completed", "seq": Run.objects.get(pk=run.pk).seq}
    later = [
        line for message in messages for event in message["events"] for line in log_lines(event["type"], event["data"])
    ]
    assert snapshot["log"] + later == selectors.execution_log(run)


@pytest.mark.usefixtures("driver")
def test_watched_before_it_starts_until_its_end_nothing_is_missed(server: Server, actor: Actor, key: str) -> None:
    _, opened = gate("stream")
    opened.set()
    run = start(actor, NODES, {"n": 0})
    with server.watch(run.uuid, "?format=text", key=key) as client:
        lines = list(client)
    assert client.close_code == 1000
    assert lines == selectors.execution_log(run)


@pytest.mark.usefixtures("driver")
def test_a_run_that_is_over_gives_its_snapshot_and_its_end(server: Server, actor: Actor, key: str) -> None:
    run = finish(start(actor, {"a": {"tool": "misbehave", "inputs": {"how": "raise a tool error"}}}))
    with server.watch(run.uuid, key=key) as client:
        snapshot, end = receive_all(client)
    assert snapshot["status"] == "failed"
    assert snapshot["log"] == ["Started node: a", "Failed node: a: ToolError: in my own words"]
    assert end == {"type": "end", "status": "failed", "seq": run.seq}


def test_a_run_that_no_driver_has_taken_yet_can_be_watched(server: Server, actor: Actor, key: str) -> None:
    run = start(actor, {"a": {"tool": "give", "inputs": {"value": {}}}}, {"x": "é\u2028"})
    with server.watch(run.uuid, key=key) as client:
        snapshot = receive(client)
        assert (snapshot["status"], snapshot["state"]) == ("pending", {"x": "é\u2028"})
        with driving():
            assert receive_all(client)[-1] == {"type": "end", "status": "completed", "seq": 3}


@pytest.mark.usefixtures("driver")
def test_what_a_tool_streams_is_seen_with_its_node_before_the_step_is_over(
    server: Server, actor: Actor, key: str
) -> None:
    _, opened = gate("aloud")
    run = start(actor, {"a": {"tool": "think_aloud", "inputs": {"name": "aloud"}}})
    with server.watch(run.uuid, "?after=0", key=key) as client:
        receive_events(client, 1)
        chunks: list[dict[str, object]] = []
        while len(chunks) < 2:
            chunks += receive(client).get("chunks", [])
        step = Step.objects.get(run=run).key
        assert chunks == [
            {"step": step, "node": "a", "number": 0, "text": "Hmm, "},
            {"step": step, "node": "a", "number": 1, "text": "well"},
        ]
        opened.set()
        assert receive_all(client)[-1]["type"] == "end"


def receive_chunks(client: ClientConnection, number: int) -> list[tuple[int, str]]:
    chunks: list[dict[str, Any]] = []
    while len(chunks) < number:
        chunks += receive(client).get("chunks", [])
    return [(chunk["number"], chunk["text"]) for chunk in chunks]


def test_what_the_next_attempt_of_a_step_streams_is_seen_after_what_the_last_one_did(
    server: Server, actor: Actor, key: str, settings: Any
) -> None:
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"stop_grace_s": 0.05})
    _, opened = gate("aloud")
    run = start(actor, {"a": {"tool": "think_aloud", "inputs": {"name": "aloud"}}})
    with server.watch(run.uuid, "?after=0", key=key) as client:
        with driving():
            assert receive_chunks(client, 2) == [(0, "Hmm, "), (1, "well")]
        with driving():
            assert receive_chunks(client, 2) == [(2, "Hmm, "), (3, "well")]
            opened.set()
            assert receive_all(client)[-1]["type"] == "end"


def test_a_step_that_goes_on_as_the_same_attempt_is_heard_by_those_who_heard_its_beginning(
    server: Server, actor: Actor, key: str
) -> None:
    _, opened = gate("aloud")
    run = start(actor, {"a": {"tool": "think_aloud", "inputs": {"name": "aloud"}}})
    Run.objects.filter(pk=run.pk).update(epoch=1)
    for number in range(2):  # of a driver that let go of the run without another word
        StreamChunk.objects.create(run=run, step=Step.objects.get(run=run).step, number=number, text="lost ")
    with server.watch(run.uuid, "?after=0", key=key) as client:
        assert receive_chunks(client, 2) == [(0, "lost "), (1, "lost ")]
        with driving():
            assert receive_chunks(client, 2) == [(2, "Hmm, "), (3, "well")]
            opened.set()
            receive_all(client)
    assert not StreamChunk.objects.filter(run=run).exists()
