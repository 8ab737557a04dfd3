"""The one table from domain error to HTTP status, and the one shape in which the API tells an error.

{"error": {"code", "message", "details": [{"path": JSON Pointer, "code", "message", "node"}]}}
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any

from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import Resolver404, resolve
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import set_rollback

from accounts import errors as accounts
from graphs import errors as graphs
from runs import errors as runs
from tools import errors as tools
from tools.strict_json import JsonInvalid, pointer
from workflowsite.sentences import in_full

logger = logging.getLogger(__name__)

# A class stands for its subclasses that are not named themselves.
STATUS_OF: dict[type[Exception], int] = {
    accounts.AccountsError: 422,
    accounts.CredentialsInvalid: 401,
    accounts.NotAMember: 403,
    accounts.RoleTooLow: 403,
    accounts.UserRequired: 403,
    accounts.SlugTaken: 409,
    accounts.AlreadyAMember: 409,
    accounts.LastAdmin: 409,
    tools.ToolsError: 422,
    tools.UnknownTool: 404,
    JsonInvalid: 400,
    graphs.GraphsError: 422,
    graphs.VersionPublished: 409,
    graphs.VersionNotPublished: 409,
    graphs.GraphHasRuns: 409,
    runs.RunsError: 422,
    runs.RunFinished: 409,
    runs.RunNotFinished: 409,
    runs.NoWebhook: 404,
    runs.ControlConflict: 409,
    runs.IdempotencyConflict: 409,
    runs.ForkRefused: 409,
    runs.MigrationRefused: 409,
    runs.RunConflict: 409,
    runs.TooManySignals: 409,
    runs.TaskClosed: 409,
    runs.AlreadyAnswered: 409,
    runs.NotAssigned: 403,
    runs.StoreError: 503,
    runs.JournalDamaged: 500,
}

_API_PREFIXES = ("/api/", "/graph/", "/health/")
_CODES = {400: "bad-request", 403: "forbidden", 404: "not-found", 500: "internal-error"}


def error_body(code: str, message: str, details: Iterable[dict[str, Any]] = ()) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "details": list(details)}}


def status_of(error: Exception) -> int | None:
    """The HTTP status of a domain error; None for any other exception."""
    if isinstance(error, JsonInvalid) and error.code == "json-too-large":
        return status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    return next((STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF), None)


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Answer an exception of an API view. None for a bug, which propagates."""
    response = _domain_response(error) or _database_response(error) or _framework_response(error)
    if response is not None:
        set_rollback()
    return response


def _domain_response(error: Exception) -> Response | None:
    code = status_of(error)
    if code is None:
        return None
    name: str = error.code  # type: ignore[attr-defined]
    headers = {"WWW-Authenticate": "Bearer"} if code == status.HTTP_401_UNAUTHORIZED else {}
    return Response(error_body(name, str(error), _details(error, name)), status=code, headers=headers)


def _database_response(error: Exception) -> Response | None:
    if not isinstance(error, OperationalError):
        return None
    logger.error("The database did not answer.", exc_info=error)
    body = error_body("database-unavailable", "The database is busy or unreachable; try again in a moment.")
    return Response(body, status=status.HTTP_503_SERVICE_UNAVAILABLE, headers={"Retry-After": "1"})


def _framework_response(error: Exception) -> Response | None:
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    if isinstance(error, exceptions.ValidationError):
        details = list(_validation_details(error.detail, ""))
        first = details[0]
        message = f"The input is not valid: {first['message']} (at {first['path'] or 'the top'})"
        return Response(error_body("invalid-input", message, details), status=status.HTTP_422_UNPROCESSABLE_ENTITY)
    if not isinstance(error, exceptions.APIException):
        return None
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(int(wait))
    code = str(error.get_codes()).replace("_", "-")
    body = error_body(code, in_full(str(error.detail)), _details(error, code))
    return Response(body, status=error.status_code, headers=headers)


def _details(error: Exception, code: str) -> list[dict[str, Any]]:
    """One entry for each field that the error complains about, and each detail that it brings along."""
    complaints: dict[str, str] = getattr(error, "complaints", {})
    return [
        {"path": pointer(field), "code": code, "message": message, "node": None}
        for field, message in complaints.items()
    ] + [
        {"path": each.path, "code": each.code, "message": each.message, "node": getattr(each, "node", None)}
        for each in getattr(error, "details", ())
    ]


def _validation_details(detail: Any, path: str) -> Iterator[dict[str, Any]]:
    """One entry for each message of a serializer's nested errors, with the JSON Pointer of the field."""
    match detail:
        case dict():
            for key, value in detail.items():
                step = "" if key == "non_field_errors" else pointer(key)
                yield from _validation_details(value, path + step)
        case list():
            for index, value in enumerate(detail):
                step = pointer(index) if isinstance(value, dict) else ""
                yield from _validation_details(value, path + step)
        case _:
            code = str(detail.code).replace("_", "-")
            yield {"path": path, "code": code, "message": in_full(str(detail)), "node": None}


# --------------------------------------------------------------------------- answers outside of API views


def is_api(request: HttpRequest) -> bool:
    """Whether programs read this path, so that an error is JSON and not a page."""
    return request.path.startswith(_API_PREFIXES)


@csrf_exempt  # else a wrong path would answer a program's POST with a page about a missing token
def api_not_found(request: HttpRequest, path: str = "") -> JsonResponse:
    """The end of the API's part of the URL map."""
    meant = _with_other_end(request.path)
    advice = f"did you mean {meant}?" if meant else "/api/docs/ lists what there is."
    return _plain_response(404, f"There is nothing at {request.path}; {advice}")


def _with_other_end(path: str) -> str:
    """The path with a slash at its end, or without, if there is something. A redirect would lose a POST's body."""
    other = path.rstrip("/") if path.endswith("/") else f"{path}/"
    try:
        return other if resolve(other).func is not api_not_found else ""
    except Resolver404:
        return ""


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_api(request):
        return _plain_response(400, "The request is not acceptable as HTTP, for example its Host or its size.")
    return defaults.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_api(request):
        return _plain_response(403, str(exception) or "You may not do this.")
    return defaults.permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return api_not_found(request) if is_api(request) else defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    if is_api(request):
        return _plain_response(500, "This is a bug of the server, which has logged it.")
    return defaults.server_error(request)


def _plain_response(code: int, message: str) -> JsonResponse:
    return JsonResponse(error_body(_CODES[code], message), status=code)
