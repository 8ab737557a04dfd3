"""Clients that read slowly or not at all, on a real server: its memory stays bounded, and nobody loses an event."""

import base64
import json
import os
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed

from runs.models import Run
from tests.integration.stream.scribe import Scribe
from tests.integration.stream.server import Server, receive, receive_all, receive_events, running_server, seqs

MIB = 1024 * 1024
EVENT_BYTES = 8 * 1024


@pytest.fixture(scope="module")
def server(django_db_setup: None) -> Iterator[Server]:
    with running_server(WORKFLOW_STREAM_STALL_S="1", WORKFLOW_STREAM_WINDOW_BYTES=str(64 * 1024)) as server:
        yield server


def socket_that_nobody_reads(server: Server, run: Run, key: str) -> socket.socket:
    """Open a stream by hand, with a small receive buffer, and leave it there."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(20)
    client.connect(("127.0.0.1", server.port))
    handshake = (
        f"GET /ws/graph/run/{run.uuid}?after=0 HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\nAuthorization: Bearer {key}\r\n\r\n"
    )
    client.sendall(handshake.encode())
    return client


def drained_bytes(client: socket.socket) -> int:
    """Read what is left until the other side has gone."""
    size = 0
    try:
        while data := client.recv(65_536):
            size += len(data)
    except ConnectionResetError:
        pass
    return size


def test_sockets_that_nobody_reads_cost_little_and_are_closed(
    server: Server, run: Run, scribe: Scribe, key: str
) -> None:
    scribe.write()
    with server.watch(run.uuid, "?after=0", key=key) as warm:
        receive_events(warm, 1)
    before = server.resident_bytes
    clients = [socket_that_nobody_reads(server, run, key) for _ in range(20)]
    with server.watch(run.uuid, "?after=0", key=key) as reader:
        for _ in range(30):
            scribe.write(100, padding=EVENT_BYTES)
        assert [event["seq"] for event in receive_events(reader, 3_001)] == list(range(1, 3_002))
        grown_bytes = server.resident_bytes - before
        server.wait_for("WSDISCONNECT", times=len(clients))
    assert grown_bytes < 60 * MIB  # 20 sockets with 24 MiB waiting for each
    for client in clients:
        assert drained_bytes(client) < 3_000 * EVENT_BYTES
        client.close()


def test_a_client_that_acknowledges_nothing_gets_a_window_and_no_more(
    server: Server, run: Run, scribe: Scribe, key: str
) -> None:
    scribe.write(1_000, padding=EVENT_BYTES)
    with server.watch(run.uuid, "?after=0&ack=1", key=key) as client:
        messages = receive_all(client)
    assert (client.close_code, client.close_reason) == (
        1013,
        "You take nothing. Come back with the last seq as 'after'.",
    )
    got = seqs(messages)
    assert got == list(range(1, len(got) + 1))
    assert len(got) < 1_000


def test_a_client_that_acknowledges_gets_everything(server: Server, run: Run, scribe: Scribe, key: str) -> None:
    scribe.write(500, padding=EVENT_BYTES)
    scribe.finish()
    got: list[int] = []
    with server.watch(run.uuid, "?after=0&ack=1", key=key) as client:
        while (message := receive(client))["type"] == "events":
            got += seqs([message])
            with suppress(ConnectionClosed):  # the server may have said everything already
                client.send(json.dumps({"ack": got[-1]}))
    assert got == list(range(1, 502))
    assert message == {"type": "end", "status": "completed", "seq": 501}


@pytest.mark.parametrize(
    "nonsense", ["hello", '{"ack": "7"}', '{"ack": true}', '{"ack": 1e999}', "[" * 50, "x" * 10_000]
)
def test_an_acknowledgement_that_is_none_closes_with_4400(
    server: Server, run: Run, scribe: Scribe, key: str, nonsense: str
) -> None:
    scribe.write()
    with server.watch(run.uuid, "?after=0&ack=1", key=key) as client:
        receive_events(client, 1)
        client.send(nonsense)
        receive_all(client)
        assert client.close_code == 4400


def test_a_client_that_does_not_acknowledge_may_say_what_it_likes(
    server: Server, run: Run, scribe: Scribe, key: str
) -> None:
    with server.watch(run.uuid, "?after=0", key=key) as client:
        scribe.write()
        receive_events(client, 1)
        client.send("ping")
        client.send(b"\x00\xff")
        scribe.write()
        assert [event["seq"] for event in receive_events(client, 1)] == [2]


def test_a_message_of_two_megabytes_closes_the_socket_and_harms_nobody(
    server: Server, run: Run, scribe: Scribe, key: str
) -> None:
    with server.watch(run.uuid, "?after=0", key=key) as other, server.watch(run.uuid, "?after=0", key=key) as client:
        try:
            client.send("x" * 2 * MIB)
            receive_all(client)
        except ConnectionClosed:
            pass
        assert client.close_code in {1006, 1009}
        scribe.write()
        receive_events(other, 1)
