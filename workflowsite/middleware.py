"""What every answer carries, and what every request is made to look like before a view sees it."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse

from workflowsite.errors import error_body, not_found

NOT_FOUND = 404
Next = Callable[[HttpRequest], HttpResponse]

_STRICT = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
# Swagger UI sets style attributes; the admin's Alpine.js besides compiles the expressions in its templates.
_DOCS = f"{_STRICT}; style-src 'self' 'unsafe-inline'"
_ADMIN = f"{_DOCS}; script-src 'self' 'unsafe-inline' 'unsafe-eval'"


def content_security_policy(get_response: Next) -> Next:
    """Let pages load and run what this site serves and nothing else."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", _policy(request.path))
        return response

    return middleware


def _policy(path: str) -> str:
    if path.startswith("/admin/"):
        return _ADMIN
    return _DOCS if path.startswith("/api/docs/") else _STRICT


def measure_chunked_bodies(get_response: Next) -> Next:
    """Give a body sent in chunks its length: REST framework takes a request without one for empty."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if not request.META.get("CONTENT_LENGTH") and "Transfer-Encoding" in request.headers:
            try:
                request.META["CONTENT_LENGTH"] = str(len(request.body))
            except RequestDataTooBig:
                message = f"The body has more than {settings.WORKFLOW.max_request_bytes:,} bytes."
                return JsonResponse(error_body("json-too-large", message), status=413)
        return get_response(request)

    return middleware


class NotFoundPages:
    """Answer what is not there with our own page, also under DEBUG, where Django has one of its own.

    That lists every address there is and leads to none, and our policy forbids its style.
    """

    def __init__(self, get_response: Next) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        is_django_s = settings.DEBUG and response.status_code == NOT_FOUND and request.resolver_match is None
        return not_found(request, Http404()) if is_django_s else response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return not_found(request, exception) if isinstance(exception, Http404) else None
