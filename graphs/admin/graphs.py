"""Graphs by name."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from unfold.admin import ModelAdmin

from accounts.models import Role
from graphs import services
from graphs.admin.tenancy import OfOrganization, acting_in, organizations_of
from graphs.models import Graph, GraphVersion

_LINK = '<a class="text-primary-600 dark:text-primary-500 underline" href="{}">{}</a>'


@admin.register(Graph)
class GraphAdmin(OfOrganization, ModelAdmin):
    """Adding one makes an empty draft and opens its page."""

    list_display = ["name", "slug", "organization", "newest_version", "created_at", "archived_at"]
    list_filter = ["organization"]
    search_fields = ["name", "slug"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Graph]:
        return super().get_queryset(request).select_related("organization").prefetch_related("versions")

    def get_fields(self, request: HttpRequest, obj: Graph | None = None) -> list[str]:
        own = ["organization", "name", "description"]
        return [*own, "slug", "drawing", "all_versions"] if obj else own

    def get_readonly_fields(self, request: HttpRequest, obj: Graph | None = None) -> list[str]:
        return ["organization", "slug", "drawing", "all_versions"] if obj else []

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        if db_field.name == "organization":
            options["queryset"] = organizations_of(request, Role.EDITOR)
            options["initial"] = options["queryset"].first()
        return super().formfield_for_foreignkey(db_field, request, **options)

    @admin.display(description="Drawing")
    def drawing(self, graph: Graph) -> str:
        return format_html(_LINK, reverse("graphs:detail", args=[graph.uuid]), "open")

    @admin.display(description="Versions")
    def all_versions(self, graph: Graph) -> str:
        links = (
            (
                reverse("admin:graphs_graphversion_change", args=[each.pk]),
                f"{each.number} ({each.get_status_display()})",
            )
            for each in graph.versions.all()
        )
        return format_html_join(", ", _LINK, links) or "none"

    @admin.display(description="Newest version")
    def newest_version(self, graph: Graph) -> str:
        versions: list[GraphVersion] = list(graph.versions.all())  # prefetched, the newest first
        if not versions:
            return "none"
        page = reverse("admin:graphs_graphversion_change", args=[versions[0].pk])
        return format_html('<a href="{}">{} ({})</a>', page, versions[0].number, versions[0].get_status_display())

    def save_model(self, request: HttpRequest, obj: Graph, form: ModelForm[Graph], change: bool) -> None:
        actor = acting_in(request, obj.organization)
        if change:
            services.rename_graph(graph=obj, name=obj.name, description=obj.description, actor=actor)
            return
        draft = services.start_draft(name=obj.name, description=obj.description, actor=actor)
        obj.pk, obj.uuid, obj.slug = draft.graph.pk, draft.graph.uuid, draft.graph.slug

    def response_add(self, request: HttpRequest, obj: Graph, post_url_continue: str | None = None) -> HttpResponse:
        self.message_user(request, "Here is the draft of its first version: add nodes and edges, then publish it.")
        return redirect("admin:graphs_graphversion_change", obj.versions.get().pk)

    def delete_model(self, request: HttpRequest, obj: Graph) -> None:
        services.delete_graph(graph=obj, actor=acting_in(request, obj.organization))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """One by one, and none that has runs."""
        has_runs = obj is None or obj.versions.filter(runs__isnull=False).exists()
        return not has_runs and super().has_delete_permission(request, obj)
