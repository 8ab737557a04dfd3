"""Who may watch a run, through the ASGI application itself."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from channels.db import database_sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import Client
from pytest_django import Settings

from accounts.models import ApiKey, Membership
from accounts.services import ensure_local_organization
from runs import consumers
from runs.consumers import RunConsumer
from runs.models import Run
from tests.integration.stream.scribe import Scribe
from tests.support.waiting import WAIT_S
from workflowsite.asgi import application

pytestmark = pytest.mark.usefixtures("hosts")


@pytest.fixture
def hosts(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["runs.example.org"]


@asynccontextmanager
async def opened(
    run_uuid: object,
    query: str = "?after=0",
    *,
    key: str | None = None,
    cookie: str | None = None,
    origin: str | None = None,
    host: str = "runs.example.org",
    client: str = "203.0.113.9",
) -> AsyncIterator[WebsocketCommunicator]:
    headers = [(b"host", host.encode())]
    if key is not None:
        headers.append((b"authorization", f"Bearer {key}".encode()))
    if cookie is not None:
        headers.append((b"cookie", cookie.encode()))
    if origin is not None:
        headers.append((b"origin", origin.encode()))
    socket = WebsocketCommunicator(application, f"/ws/graph/run/{run_uuid}{query}", headers=headers)
    socket.scope["client"] = (client, 50_000)
    try:
        yield socket
    finally:
        await socket.disconnect()


async def outcome(socket: WebsocketCommunicator) -> int | str:
    """ "open" when a first message comes, else the code that the socket is closed with; 403 before it is accepted."""
    accepted, _ = await socket.connect(timeout=WAIT_S)
    if not accepted:
        return 403
    output = await socket.receive_output(timeout=WAIT_S)
    return "open" if output["type"] == "websocket.send" else output["code"]


@pytest.fixture
def cookie_of() -> Callable[[User], str]:
    def sign_in(user: User) -> str:
        client = Client()
        client.force_login(user)
        return f"sessionid={client.cookies['sessionid'].value}"

    return sign_in


@pytest.fixture
def watched(run: Run, scribe: Scribe) -> Run:
    """A run whose stream begins at once."""
    scribe.write()
    return run


async def test_an_api_key_opens_it(watched: Run, key: str) -> None:
    async with opened(watched.uuid, key=key) as socket:
        assert await outcome(socket) == "open"


async def test_a_session_on_our_own_page_opens_it(watched: Run, viewer: User, cookie_of: Callable[[User], str]) -> None:
    cookie = await database_sync_to_async(cookie_of)(viewer)
    async with opened(watched.uuid, cookie=cookie, origin="https://runs.example.org") as socket:
        assert await outcome(socket) == "open"


async def test_the_page_of_another_site_is_refused_at_the_handshake_whatever_it_brings(
    watched: Run, viewer: User, key: str, cookie_of: Callable[[User], str]
) -> None:
    cookie = await database_sync_to_async(cookie_of)(viewer)
    for origin in ("https://evil.example.com", "null", "https://runs.example.org.evil.example.com", "file://"):
        async with opened(watched.uuid, cookie=cookie, key=key, origin=origin) as socket:
            assert await outcome(socket) == 403


async def test_a_host_that_is_not_ours_is_refused_at_the_handshake(watched: Run, key: str) -> None:
    async with opened(watched.uuid, key=key, host="rebound.example.com") as socket:
        assert await outcome(socket) == 403


async def test_a_session_without_an_origin_is_nobody(
    watched: Run, viewer: User, cookie_of: Callable[[User], str]
) -> None:
    cookie = await database_sync_to_async(cookie_of)(viewer)
    async with opened(watched.uuid, cookie=cookie) as socket:
        assert await outcome(socket) == 4401


@pytest.mark.parametrize("key", [None, "wf_wrong", ""])
async def test_who_brings_no_good_credentials_is_closed_with_4401(watched: Run, key: str | None) -> None:
    async with opened(watched.uuid, key=key) as socket:
        assert await outcome(socket) == 4401


async def test_a_token_in_the_query_string_does_not_count(watched: Run, key: str) -> None:
    async with opened(watched.uuid, f"?after=0&token={key}&key={key}") as socket:
        assert await outcome(socket) == 4401


@pytest.mark.parametrize(("client", "code"), [("127.0.0.1", 4404), ("203.0.113.9", 4401)])
async def test_in_development_this_machine_acts_in_the_local_organization(
    watched: Run, settings: Settings, client: str, code: int
) -> None:
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    settings.DEBUG = True
    await database_sync_to_async(ensure_local_organization)()
    async with opened(watched.uuid, client=client, host="127.0.0.1:8000") as socket:
        assert await outcome(socket) == code


async def test_outside_development_this_machine_is_nobody(watched: Run, settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    async with opened(watched.uuid, client="127.0.0.1", host="127.0.0.1:8000") as socket:
        assert await outcome(socket) == 4401


async def test_an_unknown_run_and_a_foreign_one_look_the_same(watched: Run, key: str, foreign_key: str) -> None:
    async with opened(watched.uuid, key=foreign_key) as foreign, opened(uuid4(), key=key) as unknown:
        assert await outcome(foreign) == await outcome(unknown) == 4404


@pytest.mark.parametrize("run_id", ["1", "not-a-uuid", "%00", "00000000000000000000000000000000"])
async def test_an_id_that_is_none_is_a_run_that_does_not_exist(watched: Run, key: str, run_id: str) -> None:
    async with opened(run_id, key=key) as socket:
        assert await outcome(socket) == 4404


@pytest.fixture
def rights_are_checked_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "RIGHTS_INTERVAL_S", 0.01)


async def closed_with(socket: WebsocketCommunicator) -> int:
    while True:
        output: dict[str, Any] = await socket.receive_output(timeout=WAIT_S)
        if output["type"] == "websocket.close":
            code: int = output["code"]
            return code


@pytest.mark.usefixtures("rights_are_checked_often")
async def test_a_revoked_key_ends_the_stream(watched: Run, key: str) -> None:
    async with opened(watched.uuid, key=key) as socket:
        assert await outcome(socket) == "open"
        await database_sync_to_async(ApiKey.objects.all().delete)()
        assert await closed_with(socket) == 4401


@pytest.mark.usefixtures("rights_are_checked_often")
async def test_somebody_who_left_the_organization_is_turned_out(
    watched: Run, viewer: User, cookie_of: Callable[[User], str]
) -> None:
    cookie = await database_sync_to_async(cookie_of)(viewer)
    async with opened(watched.uuid, cookie=cookie, origin="https://runs.example.org") as socket:
        assert await outcome(socket) == "open"
        await database_sync_to_async(Membership.objects.filter(user=viewer).delete)()
        assert await closed_with(socket) == 4401


async def test_one_socket_more_than_the_limit_is_told_to_come_later(watched: Run, key: str, settings: Settings) -> None:
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"max_sockets": 2})
    async with opened(watched.uuid, key=key) as first, opened(watched.uuid, key=key) as second:
        assert await outcome(first) == await outcome(second) == "open"
        async with opened(watched.uuid, key=key) as third:
            assert await outcome(third) == 1013
        async with opened(watched.uuid, key=key) as third:
            await second.disconnect()
            assert await outcome(third) == "open"
    assert RunConsumer.open_sockets == 0


@pytest.mark.parametrize(
    ("error", "code", "logged"),
    [
        (OperationalError("gone"), 1013, "the database does not answer"),
        (ZeroDivisionError("division by zero"), 1011, "because of a bug"),
    ],
)
async def test_what_goes_wrong_in_the_server_is_logged_and_told(
    watched: Run,
    key: str,
    error: Exception,
    code: int,
    logged: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(consumers, "deliver", fail)
    async with opened(watched.uuid, key=key) as socket:
        assert await outcome(socket) == code
    assert logged in caplog.text
