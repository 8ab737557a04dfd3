"""Nodes with `cache`: a result that was computed before is taken, and one that is wanted by many is computed once.

An entry's key names the organization, the tool with its signature, and what the node says tells results apart. Whoever
finds no entry claims it, for `CLAIM_S` and again as long as the computation goes on; all others wait for the entry, or
for a claim that has run out because its driver died. What fails is not kept: the next one who waits tries it.

Values are canonical JSON. A cache that does not answer costs a computation and nothing else.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import django.db
import redis
from django.conf import settings
from django.core.cache import BaseCache, caches

from graphs.plan import NodePlan
from runs.driver.invoke import Call
from runs.driver.lending import in_thread
from runs.engine import View
from tools import Command, strict_json
from tools.base import Tool
from tools.calling import given_arguments
from tools.results import check_result, packed, unpacked
from tools.strict_json import Json

logger = logging.getLogger(__name__)

ALIAS = "results"
"""The cache of Django's framework."""
CLAIM_S = 10.0
FIRST_LOOK_S = 0.02
LAST_LOOK_S = 0.5
TOO_LARGE = {"too_large": True}
"""Stands for a result that is not kept, so that those who want it do not wait for each other."""
TOO_LARGE_S = 60.0

_UNREACHABLE = (django.db.Error, redis.RedisError, OSError)
_background: set[asyncio.Task[None]] = set()
"""The loop itself keeps no task alive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a step looks for, and where it comes from if the step has to compute it."""

    key: str
    ttl_s: float
    origin: str
    """`run-uuid:step`"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A result that another step has computed."""

    value: Json | Command
    origin: str


def entry_of(
    node: NodePlan, tool: Tool, *, organization_id: int, inputs: Mapping[str, Json], seen: View, origin: str
) -> Entry:
    """The entry of a call. Raises ExpressionError, and JsonInvalid for a key that is no JSON."""
    cache = node.spec.cache
    assert cache is not None  # noqa: S101 - the caller looked
    if node.cache_key is None:
        told_apart: Json = given_arguments(tool, inputs=inputs, local_names=seen.local_names, state=seen.state)
    else:
        told_apart = node.cache_key(seen)
    parts = [organization_id, tool.name, tool.signature_hash, node.cache_key is None, told_apart]
    digest = hashlib.sha256(strict_json.dumps(parts).encode()).hexdigest()
    return Entry(key=digest, ttl_s=cache.ttl_s, origin=origin)


async def reuse(call: Call, entry: Entry, compute: Callable[[], None], *, left_s: float | None) -> None:
    """End `call` with the entry's value as soon as there is one, or let it `compute` it.

    Raises TimeoutError if it has to wait longer than `left_s` for somebody else's computation.
    """
    try:
        async with asyncio.timeout(left_s):
            found = await _look_until_clear(entry)
    except TimeoutError:
        raise TimeoutError("The step's time was over before another run had computed the result.") from None
    if isinstance(found, Hit):
        call.pass_on(found.value, cached_from=found.origin)
        return
    if found is not None:
        call.claim = found
        found.keep()
    compute()


async def _look_until_clear(entry: Entry) -> Hit | Claim | None:
    """The value, or the claim to compute it; None if nobody may or can keep what is computed."""
    pause_s = FIRST_LOOK_S
    token = uuid.uuid4().hex
    while True:
        try:
            found = await in_thread(_look, entry, token)
        except _UNREACHABLE as error:
            logger.warning("The cache of results cannot be reached: %s", error)
            return None
        if found is not BUSY:
            return cast("Hit | Claim | None", found)
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, LAST_LOOK_S)


BUSY = object()
"""Somebody else computes it."""


def _look(entry: Entry, token: str) -> object:
    cache = _cache()
    if (found := _read(cache, entry)) is not None:
        return found.hit
    if not cache.add(f"claim:{entry.key}", token, CLAIM_S):
        return BUSY
    claim = Claim(entry, token)
    if (found := _read(cache, entry)) is not None:  # computed between the two looks
        claim.release()
        return found.hit
    return claim


@dataclass(frozen=True, slots=True)
class _Found:
    hit: Hit | None
    """None of a value that is too large to be kept."""


def _read(cache: BaseCache, entry: Entry) -> _Found | None:
    stored = cache.get(f"value:{entry.key}")
    if stored is None:
        return None
    return _Found(None if stored == TOO_LARGE else Hit(value=unpacked(stored), origin=stored["from"]))


class Claim:
    """The right to compute an entry, until it is settled or dropped, or its driver dies."""

    def __init__(self, entry: Entry, token: str) -> None:
        self._entry = entry
        self._token = token
        self._keeping: asyncio.Task[None] | None = None

    def keep(self) -> None:
        """Renew the claim while the computation goes on."""
        self._keeping = asyncio.get_running_loop().create_task(self._renew())

    def settle(self, value: object) -> None:
        """Keep what a tool returned, which the step has ended well with, and let the others have it."""
        limits = settings.WORKFLOW
        try:
            packed = _packed(value, self._entry.origin)
        except BaseException:  # its own methods are a tool's code, and need not answer twice
            self.drop()
            return
        text = strict_json.dumps(packed)
        if strict_json.text_bytes(text) > limits.max_cached_bytes:
            packed, ttl_s = TOO_LARGE, min(self._entry.ttl_s, TOO_LARGE_S)
        else:
            ttl_s = self._entry.ttl_s
        self._end(packed, ttl_s)

    def drop(self) -> None:
        """Nothing came of it: let the next one try."""
        self._end(None, 0)

    def release(self) -> None:
        """Give the claim up, in a thread."""
        cache = _cache()
        if cache.get(f"claim:{self._entry.key}") == self._token:
            cache.delete(f"claim:{self._entry.key}")

    def _end(self, packed: Json, ttl_s: float) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
        task = asyncio.get_running_loop().create_task(self._write(packed, ttl_s))
        _background.add(task)
        task.add_done_callback(_background.discard)

    async def _write(self, packed: Json, ttl_s: float) -> None:
        def write() -> None:
            if packed is not None:
                _cache().set(f"value:{self._entry.key}", packed, ttl_s)
            self.release()

        try:
            await in_thread(write)
        except _UNREACHABLE as error:
            logger.warning("A result could not be kept in the cache: %s", error)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(CLAIM_S / 3)
            try:
                await in_thread(_cache().touch, f"claim:{self._entry.key}", CLAIM_S)
            except _UNREACHABLE as error:
                logger.warning("A claim on a result could not be renewed: %s", error)


def _cache() -> BaseCache:
    return cast(BaseCache, caches[ALIAS])


# --------------------------------------------------------------------------- results as JSON


def _packed(value: object, origin: str) -> Json:
    limits = settings.WORKFLOW
    checked = check_result(value, max_bytes=limits.max_update_bytes, max_depth=limits.max_json_depth)
    return {"from": origin, **packed(checked)}
