"""What ASGI does not tell: whether the client takes what is sent.

An ASGI server should let `send` wait while the client does not read. daphne's returns at once and buffers without
bound (https://github.com/django/daphne/issues/170). Its connection is a Twisted transport, though, which tells a
registered producer when its buffer is full and when it is empty again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from autobahn.twisted.websocket import WebSocketServerProtocol

from runs.stream.window import Window

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Callable[[], Awaitable[Any]], Send], Awaitable[None]]

_KEY = "workflow.connection"


def with_connection(application: Application) -> Application:
    """ASGI middleware, the outermost one, that leaves daphne's connection in the scope."""

    async def wrapped(scope: Scope, receive: Callable[[], Awaitable[Any]], send: Send) -> None:
        # daphne's `send` is a functools.partial over the connection.
        for argument in getattr(send, "args", ()):
            if isinstance(argument, WebSocketServerProtocol):
                scope = {**scope, _KEY: argument}
        await application(scope, receive, send)

    return wrapped


def throttle(window: Window, scope: Scope, *, close_s: float) -> None:
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
