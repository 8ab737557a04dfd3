"""How pages know who is looking, and in which organization."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from accounts.actor import Actor
from accounts.authentication import SESSION_ORGANIZATION, credentials_of_request, identify
from accounts.errors import AccountsError
from accounts.models import Role
from accounts.permissions import require_role
from accounts.selectors import organizations_of

P = ParamSpec("P")
Page = Callable[Concatenate[HttpRequest, P], HttpResponseBase]
ActorPage = Callable[Concatenate[HttpRequest, Actor, P], HttpResponseBase]


def page_actor(required: Role = Role.VIEWER) -> Callable[[ActorPage[P]], Page[P]]:
    """Decorate `view(request, actor, …)`: nobody goes to the login page, a role too low is forbidden."""

    def decorate(view: ActorPage[P]) -> Page[P]:
        @wraps(view)
        def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            try:
                actor = identify(credentials_of_request(request))
                if actor is None:
                    return redirect_to_login(request.get_full_path())
                require_role(actor, required)
            except AccountsError as error:
                raise PermissionDenied(str(error)) from error
            return view(request, actor, *args, **kwargs)

        return guarded

    return decorate


@require_POST
@page_actor()
def choose_organization(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Act in another one of the user's organizations, until the session ends or another is chosen."""
    organization = get_object_or_404(organizations_of(actor), slug=request.POST.get("slug", ""))
    request.session[SESSION_ORGANIZATION] = organization.slug
    return redirect("home")
