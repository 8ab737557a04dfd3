"""The OpenAPI document and the page that shows it, for those who are in."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import BasePermission

from accounts.actor import Actor
from accounts.api.permissions import HasRole
from accounts.models import Role
from accounts.pages import page_actor

_page = SpectacularSwaggerSplitView.as_view(url_name="schema")


class SchemaView(SpectacularJSONAPIView):
    permission_classes: list[type[BasePermission]] = [HasRole]

    def required_role(self) -> Role:
        return Role.VIEWER


@page_actor()
def docs(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    """Swagger UI, its script a request of its own as the content security policy demands."""
    return _page(request)
