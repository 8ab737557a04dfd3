"""A cache of Django's framework in a table that all processes share.

Not Django's own DatabaseCache: that one pickles, and the database of an engine must hold nothing that runs code when
it is read; it needs a command to make its table; and its `add` looks before it writes. Here values are JSON, and every
method is one statement.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.db import connection
from django.utils import timezone

from runs.models import CacheEntry
from tools import strict_json

ADD = """
INSERT INTO runs_cacheentry (key, value, expires_at) VALUES (%s, %s, %s)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at
WHERE runs_cacheentry.expires_at <= %s
"""
NEVER = datetime(9999, 1, 1, tzinfo=UTC)
SWEEP_EVERY_S = 60.0
SWEPT_AT_ONCE = 1_000


class TableCache(BaseCache):
    """Values are JSON; what has expired is deleted by whoever writes, once a minute."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        self._sweep_at = 0.0

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        found = CacheEntry.objects.filter(key=self._key(key, version), expires_at__gt=timezone.now())
        text = found.values_list("value", flat=True).first()
        return default if text is None else json.loads(text)

    def add(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        now = timezone.now()
        moment = connection.ops.adapt_datetimefield_value
        row = (self._key(key, version), strict_json.dumps(value), moment(self._expiry(timeout)), moment(now))
        with connection.cursor() as cursor:
            cursor.execute(ADD, row)
            return bool(cursor.rowcount == 1)

    def set(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        entry = CacheEntry(
            key=self._key(key, version), value=strict_json.dumps(value), expires_at=self._expiry(timeout)
        )
        CacheEntry.objects.bulk_create(
            [entry], update_conflicts=True, unique_fields=["key"], update_fields=["value", "expires_at"]
        )
        self._sweep()

    def touch(self, key: str, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        live = CacheEntry.objects.filter(key=self._key(key, version), expires_at__gt=timezone.now())
        return live.update(expires_at=self._expiry(timeout)) == 1

    def delete(self, key: str, version: int | None = None) -> bool:
        return CacheEntry.objects.filter(key=self._key(key, version)).delete()[0] == 1

    def clear(self) -> None:
        CacheEntry.objects.all().delete()

    def _key(self, key: str, version: int | None) -> str:
        return str(self.make_and_validate_key(key, version=version))

    def _expiry(self, timeout: Any) -> datetime:
        timeout_s = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        if timeout_s is None:
            return NEVER
        try:
            return min(timezone.now() + timedelta(seconds=timeout_s), NEVER)
        except OverflowError:
            return NEVER

    def _sweep(self) -> None:
        if time.monotonic() < self._sweep_at:
            return
        self._sweep_at = time.monotonic() + SWEEP_EVERY_S
        expired = CacheEntry.objects.filter(expires_at__lte=timezone.now()).values_list("pk", flat=True)
        CacheEntry.objects.filter(pk__in=list(expired[:SWEPT_AT_ONCE])).delete()
