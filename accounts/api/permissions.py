"""REST framework's view of `accounts.permissions`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.exceptions import NotAuthenticated
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.actor import Actor
from accounts.permissions import require_role

if TYPE_CHECKING:
    from accounts.api.base import ActorViewSet


class HasRole(BasePermission):
    """Lets in who has a role that includes what the action asks for."""

    def has_permission(self, request: Request, view: ActorViewSet) -> bool:  # type: ignore[override]
        if not isinstance(request.auth, Actor):
            raise NotAuthenticated("Sign in, or send an API key as 'Authorization: Bearer wf_…'.")
        require_role(request.auth, view.required_role())
        return True
