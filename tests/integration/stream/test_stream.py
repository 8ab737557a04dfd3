"""The stream of a run through a real server: order, no gap, no repeat, the end."""

import subprocess
import sys

import pytest
from websockets.exceptions import InvalidStatus

from runs.models import Run
from tests.integration.stream.scribe import Scribe
from tests.integration.stream.server import (
    Server,
    close_code,
    environment,
    receive,
    receive_all,
    receive_events,
    running_server,
    seqs,
)


def test_the_backlog_comes_first_then_what_happens_then_the_end(
    server: Server, run: Run, scribe: Scribe, key: str
) -> None:
    scribe.write(3)
    with server.watch(run.uuid, "?after=0", key=key) as client:
        assert [event["seq"] for event in receive_events(client, 3)] == [1, 2, 3]
        scribe.write(2)
        assert [event["seq"] for event in receive_events(client, 2)] == [4, 5]
        scribe.finish()
        *messages, end = receive_all(client)
    assert seqs(messages) == [6]
    assert end == {"type": "end", "status": "completed", "seq": 6}
    assert client.close_code == 1000


def test_an_event_has_the_fields_that_rest_gives_it(server: Server, run: Run, scribe: Scribe, key: str) -> None:
    scribe.write()
    with server.watch(run.uuid, "?after=0", key=key) as client:
        (event,) = receive_events(client, 1)
    assert set(event) == {"seq", "type", "at", "node", "step", "message", "data"}
    assert (event["type"], event["node"], event["message"]) == ("StepCompleted", "work", "Completed node: work")


def test_a_client_that_comes_back_misses_nothing_and_gets_nothing_twice(
    server: Server, run: Run, scribe: Scribe, key: str
) -> None:
    got: list[int] = []
    for _ in range(10):
        with server.watch(run.uuid, f"?after={len(got)}", key=key) as client:
            scribe.write(7)
            got += [event["seq"] for event in receive_events(client, 1)]
        scribe.write(3)
    scribe.finish()
    with server.watch(run.uuid, f"?after={len(got)}", key=key) as client:
        got += seqs(receive_all(client))
    assert got == list(range(1, 102))


def test_another_process_writes_and_every_event_arrives_once_and_in_order(server: Server, run: Run, key: str) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.stream.scribe", str(run.pk), "1000", "1"], env=environment()
    )
    got: list[int] = []
    while len(got) < 1_001:
        with server.watch(run.uuid, f"?after={len(got)}", key=key) as client:
            got += [event["seq"] for event in receive_events(client, min(200, 1_001 - len(got)))]
    assert got == list(range(1, 1_002))
    assert writer.wait() == 0


def test_a_server_that_is_killed_in_mid_stream_costs_no_event(run: Run, scribe: Scribe, key: str) -> None:
    with running_server() as first, first.watch(run.uuid, "?after=0", key=key) as client:
        scribe.write(300)
        got = [event["seq"] for event in receive_events(client, 200)]
        scribe.write(700)
        first.kill()
        got += seqs(receive_all(client))
    with running_server() as second, second.watch(run.uuid, f"?after={got[-1]}", key=key) as client:
        scribe.finish()
        got += seqs(receive_all(client))
    assert got == list(range(1, 1_002))


def test_a_burst_of_a_thousand_events_in_one_transaction_arrives_in_order(
    server: Server, run: Run, scribe: Scribe, key: str
) -> None:
    with server.watch(run.uuid, "?after=0", key=key) as client:
        scribe.write(1_000)
        assert [event["seq"] for event in receive_events(client, 1_000)] == list(range(1, 1_001))


def test_without_the_bell_the_slow_poll_brings_it(server: Server, run: Run, scribe: Scribe, key: str) -> None:
    with server.watch(run.uuid, "?after=0", key=key) as client:
        scribe.write()
        receive_events(client, 1)
        scribe.write(ring=False)
        assert [event["seq"] for event in receive_events(client, 1)] == [2]


def test_a_run_that_is_over_is_told_and_closed(server: Server, run: Run, scribe: Scribe, key: str) -> None:
    scribe.write(2)
    scribe.finish("failed")
    with server.watch(run.uuid, "?after=0", key=key) as client:
        messages = receive_all(client)
    assert seqs(messages) == [1, 2, 3]
    assert messages[-1] == {"type": "end", "status": "failed", "seq": 3}
    assert client.close_code == 1000


def test_who_has_everything_of_a_run_that_is_over_gets_the_end_alone(
    server: Server, run: Run, scribe: Scribe, key: str
) -> None:
    last = scribe.finish("cancelled")
    with server.watch(run.uuid, f"?after={last}", key=key) as client:
        assert receive_all(client) == [{"type": "end", "status": "cancelled", "seq": last}]


def test_plain_text_is_the_published_log_line_by_line(server: Server, run: Run, scribe: Scribe, key: str) -> None:
    scribe.write(2)
    with server.watch(run.uuid, "?format=text", key=key) as client:
        assert [client.recv(10), client.recv(10)] == ["Completed node: work"] * 2
        scribe.finish()
        assert client.recv(10) == "Completed node: work"
        assert close_code(client) == 1000


def test_what_a_tool_streams_arrives_while_it_runs(server: Server, run: Run, scribe: Scribe, key: str) -> None:
    scribe.write()
    with server.watch(run.uuid, "?after=0", key=key) as client:
        receive_events(client, 1)
        scribe.stream(0, "Hel")
        first = receive(client)
        scribe.stream(1, "lo")
        second = receive(client)
    chunk = {"step": "01" * 10, "node": None}
    assert first == {"type": "stream", "chunks": [{**chunk, "number": 0, "text": "Hel"}]}
    assert second == {"type": "stream", "chunks": [{**chunk, "number": 1, "text": "lo"}]}


def test_a_run_deleted_under_a_watcher_closes_as_one_that_does_not_exist(
    server: Server, run: Run, scribe: Scribe, key: str
) -> None:
    with server.watch(run.uuid, "?after=0", key=key) as client:
        scribe.write()
        receive_events(client, 1)
        run.delete()
        assert close_code(client) == 4404


@pytest.mark.parametrize(
    "query",
    [
        "after=-1",
        "after=x",
        "after=",
        "after=1&after=2",
        f"after={'9' * 19}",
        "after=1e3",
        "after=%D9%A1",
        "after=%00",
        "format=xml",
        "ack=yes",
        "ack=1&format=text",
        "foo=1",
        "after=0&foo=",
    ],
)
def test_a_query_that_makes_no_sense_is_closed_with_4400(server: Server, run: Run, key: str, query: str) -> None:
    with server.watch(run.uuid, f"?{query}", key=key) as client:
        assert close_code(client) == 4400


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("?afer=3", 'There is no query parameter "afer" here. Did you mean "after"? Known are: after, format, ack.'),
        (
            f"?format{'%F0%9F%98%80' * 40}=",
            'There is no query parameter "format\\U0001f600\\U00" here. Known are: after, format, ack.',
        ),
    ],
)
def test_a_parameter_that_nobody_reads_is_refused_with_a_reason(
    server: Server, run: Run, key: str, query: str, reason: str
) -> None:
    with server.watch(run.uuid, query, key=key) as client:
        assert close_code(client) == 4400
        assert client.close_reason == reason


def test_a_cursor_past_the_end_of_the_journal_is_closed_with_4400(
    server: Server, run: Run, scribe: Scribe, key: str
) -> None:
    scribe.write(2)
    with server.watch(run.uuid, "?after=3", key=key) as client:
        assert close_code(client) == 4400


def test_another_path_is_refused_at_the_handshake(server: Server, run: Run, key: str) -> None:
    with pytest.raises(InvalidStatus) as refused, server.watch("../../elsewhere", key=key):
        pass
    assert refused.value.response.status_code == 403
