"""One client's share of the stream: a snapshot, the frames after it, the end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing

from channels.db import database_sync_to_async

from runs import selectors
from runs.models import Run
from runs.stream.admission import SocketRefused, Wishes
from runs.stream.feed import Position
from runs.stream.frames import Frame, dump
from runs.stream.hub import hub
from runs.stream.window import Window


async def deliver(run: Run, wishes: Wishes, window: Window, send: Callable[[str], Awaitable[None]]) -> None:
    """Send what the client asked for, each frame when the window has room; return when the run is over.

    Raises Stalled when the client takes nothing, SocketRefused for an `after` past the end of the journal (4400) and
    when the run is deleted (4404), and `django.db.Error`.
    """
    position = Position(seq=wishes.after or 0)
    if wishes.format == "json" and wishes.after is None:
        # Read before the feed is brought up to date, so that it is never ahead of the feed.
        snapshot = await database_sync_to_async(_snapshot)(run)
        position.seq = snapshot.seq
        await _send(snapshot, wishes, window, send)
    async with hub.watching(run.pk) as feed:
        if position.seq > feed.seq:
            raise SocketRefused(4400, f"The journal ends at {feed.seq}; there is nothing after {position.seq} yet.")
        async with aclosing(feed.follow(position)) as frames:
            async for frame in frames:
                await _send(frame, wishes, window, send)
        if feed.status is None:
            raise SocketRefused(4404, "The run has been deleted.")
        if wishes.format == "json":
            await send(dump({"type": "end", "status": feed.status, "seq": feed.seq}))


async def _send(frame: Frame, wishes: Wishes, window: Window, send: Callable[[str], Awaitable[None]]) -> None:
    window.sent(frame)
    for message in (frame.text,) if wishes.format == "json" else frame.lines:
        await send(message)
    await window.room()


def _snapshot(run: Run) -> Frame:
    state = selectors.current_state(run)
    text = dump(
        {
            "type": "snapshot",
            "seq": state.seq,
            "status": run.status,
            "state": state.values,
            "log": selectors.execution_log(run, upto=state.seq),
        }
    )
    return Frame(text=text, size_bytes=len(text.encode()), seq=state.seq)
