"""What every answer carries, and bodies that come in chunks."""

import io
import json

import pytest
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.test import Client
from pytest_django.fixtures import Settings

from workflowsite.middleware import measure_chunked_bodies

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("path", "loosened"),
    [
        ("/health/live", []),
        ("/api/v1/runs/", []),
        ("/api/docs/", ["style-src"]),
        ("/admin/login/", ["script-src", "style-src"]),
    ],
)
def test_pages_load_and_run_what_this_site_serves(client: Client, path: str, loosened: list[str]) -> None:
    policy = dict(part.split(" ", 1) for part in client.get(path)["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert sorted(name for name, sources in policy.items() if "unsafe" in sources) == loosened


def test_answers_are_what_they_say_and_stay_in_their_frame(client: Client) -> None:
    answer = client.get("/health/live")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["Referrer-Policy"] == "same-origin"


def in_chunks(body: bytes) -> HttpResponse:
    """The answer to a body whose length the client does not say: the length that the view sees."""
    scope = {"type": "http", "method": "POST", "path": "/api/v1/runs/", "headers": [(b"transfer-encoding", b"chunked")]}

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(f"{request.META['CONTENT_LENGTH']} {len(request.read())}")

    return measure_chunked_bodies(view)(ASGIRequest(scope, io.BytesIO(body)))


def test_a_body_in_chunks_has_its_length_and_is_still_there_to_read() -> None:
    assert in_chunks(b'{"name": "x"}').content == b"13 13"


def test_a_body_in_chunks_is_bounded_too(settings: Settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    assert in_chunks(b"x" * 100).status_code == 200

    answer = in_chunks(b"x" * 101)
    assert answer.status_code == 413
    assert json.loads(answer.content)["error"]["code"] == "json-too-large"
