"""Bodies that no honest client sends, to every operation that writes: refused in the one shape, never a 5xx."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from tests.integration.api.test_access import Arguments, arguments  # noqa: F401 - a fixture
from tests.integration.api.url_map import Operation, operations

WRITES = [operation for operation in operations() if operation.writes]

MALFORMED = {
    "nothing after the brace": b"{",
    "not JSON": b"<xml/>",
    "two values": b"{} {}",
    "trailing comma": b'{"name": "x",}',
    "bad UTF-8": b'{"name": "\xff"}',
    "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "NaN": b'{"name": NaN}',
    "Infinity": b'{"name": -Infinity}',
    "infinite by exponent": b'{"name": 1e999}',
    "integer past 64 bits": b'{"name": 9223372036854775808}',
    "integer of 5,000 digits": b'{"name": ' + b"9" * 5000 + b"}",
    "NUL": b'{"name": "\\u0000"}',
    "lone surrogate": b'{"name": "\\ud800"}',
    "lone surrogate in a key": b'{"\\udfff": 1}',
    "key given twice": b'{"name": "x", "name": "y"}',
    "65 levels": b'{"name": ' + b"[" * 64 + b"]" * 64 + b"}",
    "100,000 levels": b"[" * 100_000,
    "100,000 closed levels": b"[" * 100_000 + b"]" * 100_000,
}
WELL_FORMED = {
    "null": b"null",
    "a list": b"[]",
    "a string": b'"name"',
    "a number": b"17",
    "an empty object": b"{}",
    "unknown keys": b'{"__proto__": {}, "constructor": 1, "name": "x", "$set": 1}',
    "wrong types": b'{"name": {}, "role": [], "definition": 7, "graph": [1], "initial_state": "x", "slug": null}',
    "a long name": b'{"name": "' + b"n" * 1_000_000 + b'", "slug": "' + b"s" * 1_000_000 + b'"}',
    "control characters": b'{"name": "\\u0007\\u001b[31m\\u202e", "username": "\\r\\n", "slug": "\\t"}',
    "SQL and templates": b'{"name": "\'; DROP TABLE runs_run; --{{ 7*7 }}", "username": "%s%n", "slug": "../.."}',
}


def error_of(answer: Any) -> dict[str, Any]:
    assert answer["Content-Type"] == "application/json"
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "details"}
    assert all(set(detail) == {"path", "code", "message", "node"} for detail in error["details"])
    return error


@pytest.fixture
def send(api_client: APIClient, arguments: Arguments) -> Callable[..., Any]:  # noqa: F811
    def send(operation: Operation, body: bytes, content_type: str = "application/json") -> Any:
        model = operation.view.queryset.model if operation.view.queryset is not None else None
        path = operation.path(arguments[model])
        return api_client.generic(operation.method.upper(), path, body, content_type=content_type)

    return send


@pytest.mark.parametrize("operation", WRITES, ids=str)
def test_what_is_not_acceptable_json_is_a_400(operation: Operation, send: Callable[..., Any]) -> None:
    answers = {name: send(operation, body) for name, body in MALFORMED.items()}
    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(MALFORMED, 400)
    assert all(error_of(answer)["code"].startswith("json-") for answer in answers.values())


@pytest.mark.parametrize("operation", WRITES, ids=str)
def test_what_makes_no_sense_is_refused_or_done_but_never_a_5xx(operation: Operation, send: Callable[..., Any]) -> None:
    answers = {name: send(operation, body) for name, body in WELL_FORMED.items()}
    assert {name: answer.status_code for name, answer in answers.items() if answer.status_code >= 500} == {}
    for answer in answers.values():
        if answer.status_code >= 400:
            error_of(answer)


@pytest.mark.parametrize("operation", WRITES, ids=str)
def test_a_body_that_does_not_say_it_is_json_is_a_415(operation: Operation, send: Callable[..., Any]) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x"):
        answer = send(operation, b'{"name": "x"}', content_type)
        assert answer.status_code == 415
        assert error_of(answer)["code"] == "unsupported-media-type"


@pytest.mark.parametrize("operation", WRITES, ids=str)
def test_a_body_is_read_up_to_the_limit_and_no_further(
    operation: Operation, send: Callable[..., Any], settings: Settings
) -> None:
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"max_request_bytes": 100})
    assert send(operation, b"[" + b" " * 98 + b"]").status_code != 413

    answer = send(operation, b"[" + b" " * 99 + b"]")
    assert answer.status_code == 413
    assert error_of(answer)["code"] == "json-too-large"


def test_the_bad_value_is_named(api_client: APIClient, owner: User) -> None:
    answer = api_client.generic(
        "POST", "/api/v1/api-keys/", b'{"name": {"a/b": [1, 1e999]}}', content_type="application/json"
    )
    assert [(each["path"], each["code"]) for each in error_of(answer)["details"]] == [
        ("/name/a~1b/1", "json-number-range")
    ]
