"""Requests that may be repeated: what was sent with an idempotency key is kept with it, as a digest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Self

from accounts.models import Organization
from runs.errors import IdempotencyConflict
from runs.models import Run
from tools import strict_json
from tools.strict_json import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestKey:
    """An idempotency key, and the digest of the request that came with it.

    What the request made may have changed since, and what it asks for may be something else by now (the newest version
    of a graph, say): only the request as it was sent tells whether another one is the same.
    """

    key: str
    digest: str

    @classmethod
    def of(cls, key: str, request: Json) -> Self:
        return cls(key=key, digest=hashlib.sha256(strict_json.dumps(request).encode()).hexdigest())


def note(run: Run, request: RequestKey | None) -> None:
    """Say in the row of a new run which request made it."""
    if request is not None:
        run.idempotency_key, run.request_digest = request.key, request.digest


def run_of(organization: Organization, request: RequestKey | None) -> Run | None:
    """The run that this request made before. Raises IdempotencyConflict if its key came with another request."""
    if request is None:
        return None
    run = Run.objects.filter(organization=organization, idempotency_key=request.key).first()
    if run is not None and run.request_digest not in ("", request.digest):  # an earlier release has kept none
        raise IdempotencyConflict(request.key)
    return run
