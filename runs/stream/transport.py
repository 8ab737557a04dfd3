"""What daphne's connection can do and its ASGI interface does not pass on.

An ASGI server should let `send` wait while the client does not read. daphne's returns at once and buffers without
bound (https://github.com/django/daphne/issues/170). Its connection is a Twisted transport, though, which tells a
registered producer when its buffer is full and when it is empty again.

It also drops the reason of a close, and refuses the standard close codes (https://github.com/django/daphne/issues/374).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from autobahn.twisted.websocket import WebSocketServerProtocol
from autobahn.util import encode_truncate

from runs.stream.window import Window

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_KEY = "workflow.connection"
_REASON_BYTES = 123


def with_connection(application: Application) -> Application:
    """ASGI middleware, the outermost one, that leaves daphne's connection in the scope and closes through it."""

    async def wrapped(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        connection = _connection_behind(send)
        if connection is None:
            await application(scope, receive, send)
        else:
            await application({**scope, _KEY: connection}, receive, _closing_through(connection, send))

    return wrapped


def _connection_behind(send: Send) -> WebSocketServerProtocol | None:
    """daphne's `send` is a functools.partial over the connection."""
    arguments = getattr(send, "args", ())
    return next((one for one in arguments if isinstance(one, WebSocketServerProtocol)), None)


def _closing_through(connection: WebSocketServerProtocol, send: Send) -> Send:
    async def passing(message: Message) -> None:
        if message["type"] == "websocket.close" and connection.state == connection.STATE_OPEN:
            reason = encode_truncate(message.get("reason", ""), _REASON_BYTES)
            connection.sendCloseFrame(code=message.get("code", 1000), reasonUtf8=reason, isReply=False)
        else:
            await send(message)

    return passing


def throttle(window: Window, scope: MutableMapping[str, Any], *, close_s: float) -> None:
    """Let daphne's connection open and close the window; do nothing under a server whose `send` waits.

    A connection that we close has `close_s` to take what was sent before it is cut off.
    """
    connection = scope.get(_KEY)
    if connection is not None:
        connection.unregisterProducer()  # the HTTP channel that the connection came through
        connection.registerProducer(_Producer(window, connection.transport), True)
        connection.closeHandshakeTimeout = close_s


class _Producer:
    """A Twisted IPushProducer. While the client takes nothing, nothing is read from it: what it sends has answers."""

    def __init__(self, window: Window, transport: Any) -> None:
        self._window = window
        self._transport = transport

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's name
        self._window.pause()
        self._transport.pauseProducing()

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's name
        self._window.resume()
        self._transport.resumeProducing()

    def stopProducing(self) -> None:  # noqa: N802 - Twisted's name
        """The connection is lost; the consumer hears of it by itself."""
