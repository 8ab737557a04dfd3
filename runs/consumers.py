"""The WebSocket door, `/ws/graph/run/{run_id}`. docs/stream.md is its reference."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, ClassVar

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.db import Error

from runs.stream.admission import SocketRefused, Wishes, admit, comes_from_here
from runs.stream.delivery import deliver
from runs.stream.transport import throttle
from runs.stream.window import Stalled, Window
from tools import strict_json

logger = logging.getLogger(__name__)

RIGHTS_INTERVAL_S = 30.0
"""How long somebody who has lost the right to watch may go on watching."""
INTERNAL_ERROR = 1011
TRY_AGAIN_LATER = 1013
_ACK_BYTES = 100


class RunConsumer(AsyncWebsocketConsumer):
    """Lets a client in, passes the stream on to it, and turns it out when its right to watch has ended."""

    open_sockets: ClassVar[int] = 0
    _service: asyncio.Task[None] | None = None
    _window: Window | None = None
    """Set where the client acknowledges."""

    async def connect(self) -> None:
        if not comes_from_here(self.scope):
            await self.close()  # not accepted, so it is answered with 403
            return
        await self.accept()
        RunConsumer.open_sockets += 1
        self._service = asyncio.create_task(self._serve())

    async def disconnect(self, code: int) -> None:
        if self._service is not None:
            RunConsumer.open_sockets -= 1
            self._service.cancel()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Take an acknowledgement; a client that did not ask for them may say what it likes."""
        if self._window is None:
            return
        try:
            self._window.acknowledge(_acknowledged(text_data))
        except SocketRefused as refusal:
            await self.close(refusal.close_code)

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Handle a message without what Channels puts before each: a turn in the one thread of the database."""
        await getattr(self, message["type"].replace(".", "_"))(message)

    async def _serve(self) -> None:
        try:
            await self._stream()
            await self.close(1000)
        except SocketRefused as refusal:
            await self.close(refusal.close_code, str(refusal))
        except Stalled:
            await self.close(TRY_AGAIN_LATER, "You take nothing. Come back with the last seq as 'after'.")
        except Error as error:
            logger.warning("A stream ends because the database does not answer: %s.", error)
            await self.close(TRY_AGAIN_LATER, "The database does not answer.")
        except Exception:
            logger.exception("A stream ends because of a bug.")
            await self.close(INTERNAL_ERROR)

    async def _stream(self) -> None:
        limits = settings.WORKFLOW
        if RunConsumer.open_sockets > limits.max_sockets:
            raise SocketRefused(TRY_AGAIN_LATER, "Too many sockets are open on this server.")
        run_uuid = self.scope["url_route"]["kwargs"]["run_id"]
        run = await database_sync_to_async(admit)(self.scope, run_uuid)
        wishes = Wishes.of(self.scope["query_string"])
        window = Window(
            acknowledged=wishes.acknowledges,
            limit_bytes=limits.stream_window_bytes,
            stall_s=limits.stream_stall_s,
        )
        throttle(window, self.scope, close_s=limits.stream_stall_s)
        self._window = window if wishes.acknowledges else None
        delivery = asyncio.create_task(deliver(run, wishes, window, self.send))
        try:
            while delivery not in (await asyncio.wait({delivery}, timeout=RIGHTS_INTERVAL_S))[0]:
                await database_sync_to_async(admit)(self.scope, run_uuid)
            await delivery
        finally:
            delivery.cancel()


class NoSuchSocket(AsyncWebsocketConsumer):
    """Turns down a WebSocket on any other path: not accepted, so it is answered with 403."""

    async def connect(self) -> None:
        await self.close()


def _acknowledged(text: str | None) -> int:
    """The seq in `{"ack": seq}`. Raises SocketRefused (4400)."""
    try:
        message = strict_json.parse(text or "", max_bytes=_ACK_BYTES, max_depth=1)
    except strict_json.JsonInvalid:
        message = None
    seq = message.get("ack") if isinstance(message, dict) else None
    if type(seq) is not int:
        raise SocketRefused(4400, 'A client that asked for acknowledgements sends {"ack": seq}, nothing else.')
    return seq
