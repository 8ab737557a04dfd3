"""Versions: drafts to edit and publish, published ones to look at."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.decorators import action

from accounts.models import Role
from graphs import services
from graphs.admin.forms import JsonDraftForm
from graphs.admin.nodes import EdgeInline, NodeInline, SmallBoxes, is_large, record_edit
from graphs.admin.tenancy import OfOrganization, acting_in
from graphs.errors import DefinitionInvalid, GraphsError, Problem
from graphs.models import GraphVersion
from tools import registry
from tools.errors import ToolsError

MAX_SHOWN_PROBLEMS = 20
MAX_SHOWN_ROWS = 500
_SCROLLING = "overflow: auto; max-height: 24rem; max-width: calc(100vw - 4rem)"
_PUBLISHES = "_publishes_version"

_COPY = "graphs_graphversion_copy"

_HEAD = [("graph", "number"), ("status", "page")]
_OPTIONS = ["state", "limits", ("on_failure", "durability"), ("retention", "concurrency"), "metadata"]
_FROZEN = ["sha256", ("published_at", "published_by")]


@admin.register(GraphVersion)
class GraphVersionAdmin(SmallBoxes, OfOrganization, ModelAdmin):
    organization_path = "graph__organization"
    list_display = ["__str__", "status", "node_count", "created_at", "published_at"]
    list_filter = ["status", "graph__organization"]
    search_fields = ["graph__name", "graph__slug"]
    actions = ["publish_selected", "copy_selected"]
    actions_submit_line = ["save_and_publish"]
    change_form_after_template = "admin/graphs/names.html"
    readonly_fields = [
        "graph",
        "number",
        "status",
        "page",
        "sha256",
        "published_at",
        "published_by",
        "next_version",
        "as_json",
        "node_rows",
        "edge_rows",
    ]

    # ------------------------------------------------------------------ what is shown

    def get_queryset(self, request: HttpRequest) -> QuerySet[GraphVersion]:
        versions = super().get_queryset(request).select_related("graph__organization")
        return versions.annotate(nodes_in_all=Count("nodes"))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        if obj is not None and is_large(obj) and self.has_change_permission(request, obj):
            options |= {"form": JsonDraftForm, "fields": []}
        return super().get_form(request, obj, change=change, **options)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        rows = ("Rows", {"fields": ["node_rows", "edge_rows"]})
        if obj is not None and is_large(obj) and self.has_change_permission(request, obj):
            return [(None, {"fields": [*_HEAD, "definition"]}), rows]
        head: list[Any] = list(_HEAD)
        if obj is not None and obj.is_published and self.has_role(request, obj, Role.EDITOR):
            head.append("next_version")
        shown: list[tuple[str | None, Any]] = [(None, {"fields": [*head, ("name", "start_node"), "description"]})]
        shown.append(("Options", {"classes": ["collapse"], "fields": _OPTIONS}))
        frozen = _FROZEN if obj is not None and obj.is_published else []
        shown.append(("As JSON", {"classes": ["collapse"], "fields": ["as_json", *frozen]}))
        return [*shown, rows] if obj is not None and is_large(obj) else shown

    def get_inlines(self, request: HttpRequest, obj: Any) -> list[Any]:
        return [] if obj is not None and is_large(obj) else [NodeInline, EdgeInline]

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **options: Any) -> Any:
        version: GraphVersion | None = options.get("obj")
        if version is not None:
            context["node_names"] = list(version.nodes.values_list("name", flat=True)[:MAX_SHOWN_ROWS])
            context["tool_names"] = [tool.name for tool in registry.all()]
        return super().render_change_form(request, context, *args, **options)

    @admin.display(description="Nodes", ordering="nodes_in_all")
    def node_count(self, version: Any) -> int:
        return int(version.nodes_in_all)

    @admin.display(description="Drawing and start form")
    def page(self, version: GraphVersion) -> str:
        page = reverse("graphs:detail", args=[version.graph.uuid])
        return format_html('<a class="text-primary-600 dark:text-primary-500 underline" href="{}">open</a>', page)

    @admin.display(description="To change it")
    def next_version(self, version: GraphVersion) -> str:
        """A button of the page's own form, which has the token that a POST needs."""
        label = "Make a draft of the next version"
        style = "text-primary-600 dark:text-primary-500 underline cursor-pointer"
        url = reverse(f"admin:{_COPY}", args=[version.pk])
        return format_html('<button type="submit" class="{}" formaction="{}">{}</button>', style, url, label)

    @admin.display(description="Definition")
    def as_json(self, version: GraphVersion) -> str:
        try:
            text = json.dumps(services.export_definition(version), indent=2, ensure_ascii=False)
        except DefinitionInvalid as invalid:
            text = "\n".join(f"{problem.path}: {problem.message}" for problem in invalid.problems)
        return format_html('<pre style="{}">{}</pre>', _SCROLLING, text)

    @admin.display(description="Nodes")
    def node_rows(self, version: GraphVersion) -> str:
        return _table(version.nodes.all(), ["name", "tool", "routing", "expression", "join"])

    @admin.display(description="Edges")
    def edge_rows(self, version: GraphVersion) -> str:
        return _table(version.edges.all(), ["source", "slot", "target", "expression"])

    # ------------------------------------------------------------------ who may do what

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # the first version comes with its graph, a later one is a copy

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return (obj is None or not obj.is_published) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is not None and not obj.is_published and super().has_delete_permission(request, obj)

    def get_urls(self) -> list[URLPattern]:
        copy = path("<int:pk>/copy/", self.admin_site.admin_view(self.copy), name=_COPY)
        return [copy, *super().get_urls()]

    def has_edit_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whether the selected versions may be published and copied, or the one that is open be published."""
        version = None if object_id is None else self.get_object(request, str(object_id))
        return self.has_change_permission(request, version)

    # ------------------------------------------------------------------ what is done

    def save_model(self, request: HttpRequest, obj: GraphVersion, form: ModelForm[GraphVersion], change: bool) -> None:
        if isinstance(form, JsonDraftForm):
            actor = acting_in(request, obj.graph.organization)
            obj = services.replace_draft(version=obj, definition=form.cleaned_data["definition"], actor=actor)
        super().save_model(request, obj, form, change)

    def delete_model(self, request: HttpRequest, obj: GraphVersion) -> None:
        services.delete_draft(version=obj, actor=acting_in(request, obj.graph.organization))

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        version = GraphVersion.objects.select_related("graph__organization").get(pk=form.instance.pk)
        if not isinstance(form, JsonDraftForm):
            record_edit(request, version)
        if getattr(request, _PUBLISHES, False):
            self._publish(request, version)
        else:
            problems = [problem for problem in services.lint_version(version) if problem.level != "info"]
            _show(request, messages.WARNING, problems)

    def response_post_save_change(self, request: HttpRequest, obj: GraphVersion) -> HttpResponse:
        if getattr(request, _PUBLISHES, False):
            return redirect("admin:graphs_graphversion_change", obj.pk)
        return super().response_post_save_change(request, obj)

    @admin.action(description="Publish the selected drafts", permissions=["edit"])
    def publish_selected(self, request: HttpRequest, queryset: QuerySet[GraphVersion]) -> None:
        for version in self._editable(request, queryset):
            self._publish(request, version)

    @admin.action(description="Make new drafts from the selected versions", permissions=["edit"])
    def copy_selected(self, request: HttpRequest, queryset: QuerySet[GraphVersion]) -> None:
        for version in self._editable(request, queryset):
            self._copied(request, version)

    def copy(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Make a draft like this version, and open it."""
        version = self.get_object(request, str(pk))
        if request.method != "POST" or version is None:
            return redirect("admin:graphs_graphversion_changelist")
        if not self.has_role(request, version, Role.EDITOR):
            raise PermissionDenied
        draft = self._copied(request, version)
        return redirect("admin:graphs_graphversion_change", version.pk if draft is None else draft.pk)

    @action(description="Save and publish", permissions=["edit"])
    def save_and_publish(self, request: HttpRequest, version: GraphVersion) -> None:
        # Called when the version is saved and its rows are not yet.
        setattr(request, _PUBLISHES, True)

    def _copied(self, request: HttpRequest, version: GraphVersion) -> GraphVersion | None:
        try:
            definition = services.export_definition(version)
            actor = acting_in(request, version.graph.organization)
            draft = services.create_draft(graph=version.graph, definition=definition, actor=actor)
        except (GraphsError, ToolsError) as error:
            messages.error(request, str(error))
            return None
        page = reverse("admin:graphs_graphversion_change", args=[draft.pk])
        messages.success(request, format_html('<a href="{}">{}</a> is a draft like {}.', page, draft, version))
        return draft

    def _editable(self, request: HttpRequest, versions: QuerySet[GraphVersion]) -> list[GraphVersion]:
        """Those of organizations in which the user is an editor."""
        return [version for version in versions if self.has_role(request, version, Role.EDITOR)]

    def _publish(self, request: HttpRequest, version: GraphVersion) -> None:
        try:
            published = services.publish_version(version=version, actor=acting_in(request, version.graph.organization))
        except DefinitionInvalid as invalid:
            messages.error(request, f"{version} is not published, because something is wrong with it:")
            _show(request, messages.ERROR, invalid.problems)
        except (GraphsError, ToolsError) as error:
            messages.error(request, str(error))
        else:
            messages.success(request, f"{published} is published; runs of the graph use it from now on.")


def _show(request: HttpRequest, level: int, problems: Sequence[Problem]) -> None:
    for problem in problems[:MAX_SHOWN_PROBLEMS]:
        messages.add_message(request, level, f"{problem.path or '/'}: {problem.message}")
    if len(problems) > MAX_SHOWN_PROBLEMS:
        messages.add_message(request, level, f"And {len(problems) - MAX_SHOWN_PROBLEMS} more.")


def _table(rows: QuerySet[Any], columns: list[str]) -> str:
    total = rows.count()
    context = {
        "columns": [column.replace("_", " ") for column in columns],
        "rows": rows.values_list(*columns)[:MAX_SHOWN_ROWS],
        "style": _SCROLLING,
        "hidden": max(0, total - MAX_SHOWN_ROWS),
    }
    return render_to_string("admin/graphs/rows.html", context)
