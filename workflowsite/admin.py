"""The admin site."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.admin import ModelAdmin
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path
from unfold.sites import UnfoldAdminSite

from tools import registry
from tools.base import Tool


class SiteAdmin(UnfoldAdminSite):
    """Unfold's site with a page of tools, and without the pages of django-q2.

    django-q2's Schedule rows call whatever function they name.
    """

    def register(
        self,
        model_or_iterable: type[Model] | Iterable[type[Model]],
        admin_class: type[ModelAdmin[Any]] | None = None,
        **options: Any,
    ) -> None:
        models = [model_or_iterable] if isinstance(model_or_iterable, type) else model_or_iterable
        ours = [model for model in models if model._meta.app_label != "django_q"]
        super().register(ours, admin_class, **options)

    def get_urls(self) -> list[URLPattern | URLResolver]:
        return [path("tools/", self.admin_view(self.tools_page), name="tools"), *super().get_urls()]

    def tools_page(self, request: HttpRequest) -> HttpResponse:
        """The registered tools. They are code, so there is nothing to change."""
        context = {
            **self.each_context(request),
            "title": "Tools",
            "tools": [_row(tool) for tool in registry.all()],
            "problems": registry.problems(),
        }
        return TemplateResponse(request, "admin/tools.html", context)


def _row(tool: Tool) -> dict[str, Any]:
    arguments = [parameter for parameter in tool.parameters if parameter.kind == "argument"]
    return {
        "name": tool.name,
        "summary": tool.description.partition("\n")[0],
        "arguments": ", ".join(one.name if one.required else f"{one.name}?" for one in arguments),
        "effect": tool.effect,
        "is_async": tool.is_async,
        "module": tool.module,
    }
