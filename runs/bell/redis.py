"""The bell over Redis pub/sub, for processes that share a SQLite file but no directory for sockets (containers)."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, contextmanager
from pathlib import Path

from redis import Redis, RedisError
from redis.asyncio import Redis as AsyncRedis

from runs.bell.channels import CHANNELS, Hint, Role, encode
from runs.bell.outbox import Batch, Outbox
from runs.bell.remote import heard

_TIMEOUT_S = 2.0


class RedisBell:
    def __init__(self, url: str, database: str) -> None:
        self._url = url
        # One Redis may serve several installations. The path of the file may differ between containers.
        self._suffix = hashlib.sha256(Path(database).name.encode()).hexdigest()[:16]
        self._outbox = Outbox(self._connected)

    def ring(self, role: Role, hint: Hint) -> None:
        self._outbox.put(role, hint)

    def close(self) -> None:
        self._outbox.close()

    def listen(self, role: Role, on_hint: Callable[[Hint], None]) -> AbstractAsyncContextManager[None]:
        return heard(lambda: self._payloads(role), on_hint, (RedisError, OSError))

    def _channel(self, role: Role) -> str:
        return f"{CHANNELS[role]}:{self._suffix}"

    @contextmanager
    def _connected(self) -> Iterator[Callable[[Batch], None]]:
        with Redis.from_url(self._url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S) as client:

            def publish(batch: Batch) -> None:
                with client.pipeline(transaction=False) as pipeline:
                    for role, hint in batch:
                        pipeline.publish(self._channel(role), encode(hint))
                    pipeline.execute()

            yield publish

    async def _payloads(self, role: Role) -> AsyncGenerator[str, None]:
        client = AsyncRedis.from_url(self._url, decode_responses=True, socket_connect_timeout=_TIMEOUT_S)
        async with client, client.pubsub(ignore_subscribe_messages=True) as pubsub:
            await pubsub.subscribe(self._channel(role))
            yield ""
            async with aclosing(pubsub.listen()) as messages:
                async for message in messages:
                    yield message["data"]
