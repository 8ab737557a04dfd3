"""Who may open a WebSocket on a run, and with what wishes."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from accounts.api.words import no_such_parameter
from accounts.authentication import actor_of_scope
from runs import selectors
from runs.errors import RunsError
from runs.models import Run

Scope = Mapping[str, Any]

_PARAMETERS = ("after", "format", "ack")
_SHOWN_CHARACTERS = 20
"""Of what the client wrote: a reason has room for 123 bytes (RFC 6455, 5.5)."""


class SocketRefused(RunsError):
    """The socket is closed with `close_code`; the message is the reason that goes with it."""

    code = "socket-refused"

    def __init__(self, close_code: int, reason: str) -> None:
        super().__init__(reason)
        self.close_code = close_code


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a client asks for in the query string."""

    after: int | None = None
    """Continue after this `seq`; None starts with a snapshot."""
    format: Literal["json", "text"] = "json"
    acknowledges: bool = False

    @classmethod
    def of(cls, query_string: bytes) -> Wishes:
        """Read them strictly. Raises SocketRefused (4400) that names what makes no sense."""
        query = parse_qs(query_string.decode("latin-1"), keep_blank_values=True)
        for name in query:
            if name not in _PARAMETERS:
                raise SocketRefused(4400, no_such_parameter(ascii(name)[1:-1][:_SHOWN_CHARACTERS], _PARAMETERS))
        after, format_, ack = (_single(name, query.get(name, [])) for name in _PARAMETERS)
        if after is not None and not (after.isascii() and after.isdigit() and len(after) <= 18):
            raise SocketRefused(4400, "'after' must be the seq of an event, a whole number from 0.")
        if format_ not in {None, "json", "text"}:
            raise SocketRefused(4400, "'format' must be json or text.")
        if ack not in {None, "0", "1"}:
            raise SocketRefused(4400, "'ack' must be 0 or 1.")
        if ack == "1" and format_ == "text":
            raise SocketRefused(4400, "'ack' needs a seq, which plain text does not carry; ask for json.")
        return cls(
            after=None if after is None else int(after),
            format="text" if format_ == "text" else "json",
            acknowledges=ack == "1",
        )


def comes_from_here(scope: Scope) -> bool:
    """Whether the handshake names hosts of ours: in Host, and in Origin, which browsers always send.

    Browsers let any site's page open a socket to any other site, cookies included.
    """
    headers = dict(scope["headers"])
    origin = headers.get(b"origin")
    return _is_ours(headers.get(b"host", b"")) and (
        origin is None or _is_ours(urlsplit(origin.decode("latin-1")).netloc.encode("latin-1"))
    )


def admit(scope: Scope, run_uuid: str) -> Run:
    """The run that the client may watch, as things are now in the database.

    Raises SocketRefused: 4401 for nobody, 4404 for a run that does not exist or belongs to somebody else.
    """
    actor = actor_of_scope(scope)
    if actor is None:
        raise SocketRefused(4401, "Sign in, or send an API key as 'Authorization: Bearer wf_…'.")
    try:
        return selectors.runs_of(actor.organization).get(uuid=uuid.UUID(run_uuid))
    except (ValueError, Run.DoesNotExist):
        raise SocketRefused(4404, "There is no such run.") from None


def _single(name: str, values: list[str]) -> str | None:
    if len(values) > 1:
        raise SocketRefused(4400, f"'{name}' is given {len(values)} times.")
    return values[0] if values else None


def _is_ours(netloc: bytes) -> bool:
    domain, _ = split_domain_port(netloc.decode("latin-1"))
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)
