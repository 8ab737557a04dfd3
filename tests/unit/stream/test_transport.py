"""How daphne's connection opens and closes a socket's window."""

import functools
from typing import Any

import pytest
from autobahn.twisted.websocket import WebSocketServerProtocol

from runs.stream.transport import throttle, with_connection
from runs.stream.window import Stalled, Window


class Transport:
    """A Twisted transport with one producer, as much of it as is asked for."""

    def __init__(self) -> None:
        self.producer: Any = "the HTTP channel"
        self.is_reading = True

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # noqa: N802
        assert self.producer is None
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:  # noqa: N802
        self.producer = None

    def pauseProducing(self) -> None:  # noqa: N802
        self.is_reading = False

    def resumeProducing(self) -> None:  # noqa: N802
        self.is_reading = True


@pytest.fixture
def window() -> Window:
    return Window(acknowledged=False, limit_bytes=1, stall_s=0.001)


@pytest.fixture
def connection() -> WebSocketServerProtocol:
    connection = WebSocketServerProtocol()
    connection.transport = Transport()
    return connection


async def scope_seen_behind(send: Any) -> dict[str, Any]:
    seen: dict[str, Any] = {}

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)

    await with_connection(application)({"type": "websocket"}, None, send)  # type: ignore[arg-type]
    return seen


async def test_a_full_send_buffer_closes_the_window_and_an_empty_one_opens_it(
    window: Window, connection: WebSocketServerProtocol
) -> None:
    scope = await scope_seen_behind(functools.partial(print, connection))
    throttle(window, scope, close_s=10)
    producer = connection.transport.producer
    producer.pauseProducing()
    with pytest.raises(Stalled):
        await window.room()
    assert not connection.transport.is_reading
    producer.resumeProducing()
    await window.room()
    assert connection.transport.is_reading


async def test_a_lost_connection_is_no_error(window: Window, connection: WebSocketServerProtocol) -> None:
    throttle(window, await scope_seen_behind(functools.partial(print, connection)), close_s=10)
    connection.transport.producer.stopProducing()
    await window.room()


async def test_a_connection_that_is_closed_has_time_to_take_what_was_sent(
    window: Window, connection: WebSocketServerProtocol
) -> None:
    throttle(window, await scope_seen_behind(functools.partial(print, connection)), close_s=10)
    assert connection.closeHandshakeTimeout == 10


async def test_under_another_server_the_window_stays_open(window: Window) -> None:
    throttle(window, await scope_seen_behind(print), close_s=10)
    await window.room()
