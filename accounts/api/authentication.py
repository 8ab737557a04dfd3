"""REST framework's view of `accounts.authentication`: the actor is `request.auth`."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request

from accounts.actor import Actor
from accounts.authentication import credentials_of_request, identify


class ActorAuthentication(SessionAuthentication):
    """Finds the actor. Only a session is sent by browsers unasked, so only a session needs the CSRF token."""

    def authenticate(self, request: Request) -> tuple[User | AnonymousUser, Actor] | None:
        actor = identify(credentials_of_request(request._request))
        if actor is None:
            return None
        if actor.user is None:
            return AnonymousUser(), actor
        self.enforce_csrf(request)
        return actor.user, actor

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class ActorAuthenticationScheme(OpenApiAuthenticationExtension):
    target_class = ActorAuthentication
    name = ["apiKey", "session"]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        return [
            {"type": "http", "scheme": "bearer", "description": "An API key of the organization: `Bearer wf_…`."},
            {"type": "apiKey", "in": "cookie", "name": "sessionid"},
        ]
