"""The heartbeats of one call: each proves that the tool lives, and of their details the newest are kept now and then.

A tool may beat as often as it likes, from any thread. What is kept goes to disk, so that is done once a second at most,
and costs a tool that does not beat nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from runs.driver.invoke import Call
from runs.driver.logs import checked_details
from tools.strict_json import Json

KEEP_EVERY_S = 1.0


class Heartbeats:
    """Takes the heartbeats of a call."""

    def __init__(
        self, call: Call, *, keep: Callable[[Json], None], on_loop: Callable[..., None], every_s: float = KEEP_EVERY_S
    ) -> None:
        """`keep` gets details on the event loop, where `on_loop` has a function called."""
        self._call = call
        self._keep = keep
        self._on_loop = on_loop
        self._every_s = every_s
        self._kept: Json = None
        self._is_watched = False
        """Whether the loop looks for new details by itself."""

    def __call__(self, details: Json) -> None:
        """The tool lives, and is so far. Raises JsonInvalid."""
        self._call.beat(checked_details(details))
        if details is not None and not self._is_watched:
            self._is_watched = True
            self._on_loop(self._look)

    def _look(self) -> None:
        if self._call.over:
            return
        details = self._call.heartbeat
        if details != self._kept:
            self._kept = details
            self._keep(details)
        asyncio.get_running_loop().call_later(self._every_s, self._look_again)

    def _look_again(self) -> None:
        self._is_watched = False  # first: a beat from here on is seen below, or has the loop look anew
        if self._call.heartbeat != self._kept:
            self._is_watched = True
            self._look()
