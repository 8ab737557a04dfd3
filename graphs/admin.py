"""Graphs in the admin: made, edited row by row, published.

A graph is added by its name; that makes an empty draft and opens its page, where nodes and edges are rows. Publishing
says everything that is wrong. What is published is read-only, and so are drafts with too many rows for one form.
"""

from __future__ import annotations

import json
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import Count, Model, QuerySet, TextField
from django.forms import ModelForm, Textarea
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import ModelAdmin, StackedInline, TabularInline
from unfold.decorators import action

from accounts import audit
from accounts.actor import Actor
from accounts.models import Membership, Organization, Role
from graphs import services
from graphs.errors import DefinitionInvalid, GraphsError, Problem
from graphs.models import Edge, Graph, GraphVersion, Node
from tools.errors import ToolsError

MAX_EDITABLE_NODES = 200
MAX_SHOWN_PROBLEMS = 20
PUBLISHES = "_publishes_version"
SMALL_BOXES = {TextField: {"widget": Textarea(attrs={"rows": 2, "cols": 60, "class": "font-mono w-full"})}}


def organizations_of(request: HttpRequest) -> QuerySet[Organization]:
    """The organizations in which this user may edit; a superuser in all."""
    user = cast(User, request.user)
    if user.is_superuser:
        return Organization.objects.all()
    editing = Membership.objects.filter(user=user, role__in=[Role.EDITOR, Role.ADMIN])
    return Organization.objects.filter(memberships__in=editing)


def acting_in(request: HttpRequest, organization: Organization) -> Actor:
    """The user as editor of the organization of what is changed."""
    user = cast(User, request.user)
    return Actor(organization=organization, name=user.get_username(), role=Role.EDITOR, user=user)


def show_problems(request: HttpRequest, version: GraphVersion, problems: tuple[Problem, ...]) -> None:
    for problem in problems[:MAX_SHOWN_PROBLEMS]:
        messages.error(request, f"{version}{problem.path}: {problem.message}")
    if len(problems) > MAX_SHOWN_PROBLEMS:
        messages.error(request, f"And {len(problems) - MAX_SHOWN_PROBLEMS} more.")


@admin.register(Graph)
class GraphAdmin(ModelAdmin):
    list_display = ["name", "slug", "organization", "newest_version", "created_at", "archived_at"]
    list_filter = ["organization"]
    search_fields = ["name", "slug"]
    fields = ["organization", "name", "description"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Graph]:
        return Graph.objects.filter(organization__in=organizations_of(request)).select_related("organization")

    def get_readonly_fields(self, request: HttpRequest, obj: Graph | None = None) -> list[str]:
        return ["organization"] if obj else []

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        if db_field.name == "organization":
            options["queryset"] = organizations_of(request)
            options["initial"] = options["queryset"].first()
        return super().formfield_for_foreignkey(db_field, request, **options)

    @admin.display(description="Newest version")
    def newest_version(self, graph: Graph) -> str:
        version = graph.versions.order_by("-number").first()
        if version is None:
            return "none"
        page = reverse("admin:graphs_graphversion_change", args=[version.pk])
        return format_html('<a href="{}">{} ({})</a>', page, version.number, version.get_status_display())

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

    def has_delete_permission(self, request: HttpRequest, obj: Graph | None = None) -> bool:
        has_runs = obj is not None and obj.versions.filter(runs__isnull=False).exists()
        return not has_runs and super().has_delete_permission(request, obj)


class RowInline:
    """Rows of a definition: as long as it is a draft of a size that one form holds."""

    extra = 0
    formfield_overrides = SMALL_BOXES

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return isinstance(obj, GraphVersion) and is_editable(obj)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_change_permission(request, obj)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return True


class NodeInline(RowInline, StackedInline):
    model = Node
    fieldsets = [
        (None, {"fields": [("name", "tool"), ("inputs", "outputs"), ("routing", "expression"), ("join", "timeout_s")]}),
        (
            "More",
            {
                "classes": ["collapse"],
                "fields": [
                    ("label", "description"),
                    ("map_options", "executor"),
                    ("retry", "cache"),
                    ("graph", "human"),
                    ("wait", "lock"),
                    ("deadline_s", "heartbeat_timeout_s"),
                    ("compensate", "metadata"),
                    ("rank", "x", "y"),
                ],
            },
        ),
    ]


class EdgeInline(RowInline, TabularInline):
    model = Edge
    fields = ["source", "slot", "target", "position", "branch", "expression"]


class NodeTable(RowInline, TabularInline):
    """The nodes of a definition that is too large to edit here."""

    model = Node
    fields = ["name", "tool", "routing", "expression", "join"]


def is_editable(version: GraphVersion) -> bool:
    return not version.is_published and not is_large(version)


def is_large(version: GraphVersion) -> bool:
    return version.nodes.count() > MAX_EDITABLE_NODES


@admin.register(GraphVersion)
class GraphVersionAdmin(ModelAdmin):
    list_display = ["__str__", "status", "node_count", "created_at", "published_at"]
    list_filter = ["status", "graph__organization"]
    search_fields = ["graph__name", "graph__slug"]
    actions = ["publish_selected"]
    actions_submit_line = ["save_and_publish"]
    formfield_overrides = SMALL_BOXES
    readonly_fields = ["graph", "number", "status", "page", "sha256", "published_at", "published_by", "as_json"]
    fieldsets = [
        (None, {"fields": [("graph", "number", "status", "page"), ("name", "start_node"), "description"]}),
        (
            "Options",
            {
                "classes": ["collapse"],
                "fields": [("state", "limits"), ("on_failure", "durability"), ("retention", "concurrency"), "metadata"],
            },
        ),
        ("As JSON", {"classes": ["collapse"], "fields": ["as_json", ("sha256", "published_at", "published_by")]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[GraphVersion]:
        versions = GraphVersion.objects.filter(graph__organization__in=organizations_of(request))
        return versions.select_related("graph__organization").annotate(nodes_in_all=Count("nodes"))

    def get_inlines(self, request: HttpRequest, obj: GraphVersion | None) -> list[Any]:
        return [NodeTable if obj is not None and is_large(obj) else NodeInline, EdgeInline]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # a version comes with its graph, or as a draft over the API

    def has_change_permission(self, request: HttpRequest, obj: GraphVersion | None = None) -> bool:
        return (obj is None or is_editable(obj)) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: GraphVersion | None = None) -> bool:
        return obj is not None and not obj.is_published and super().has_delete_permission(request, obj)

    def delete_model(self, request: HttpRequest, obj: GraphVersion) -> None:
        services.delete_draft(version=obj, actor=acting_in(request, obj.graph.organization))

    @admin.display(description="Nodes", ordering="nodes_in_all")
    def node_count(self, version: Any) -> int:
        return int(version.nodes_in_all)

    @admin.display(description="Drawing and start form")
    def page(self, version: GraphVersion) -> str:
        return format_html('<a href="{}">open</a>', reverse("graphs:detail", args=[version.graph.uuid]))

    @admin.display(description="Definition")
    def as_json(self, version: GraphVersion) -> str:
        try:
            text = json.dumps(services.export_definition(version), indent=2, ensure_ascii=False)
        except DefinitionInvalid as invalid:
            text = "\n".join(f"{problem.path}: {problem.message}" for problem in invalid.problems)
        return format_html('<pre class="whitespace-pre-wrap">{}</pre>', text)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        version: GraphVersion = form.instance
        actor = acting_in(request, version.graph.organization)
        audit.record(actor=actor, action="graph.draft_edited", obj=version.graph, data={"version": version.number})
        if getattr(request, PUBLISHES, False):
            self._publish(request, version)
            return
        for problem in services.lint_version(version)[:MAX_SHOWN_PROBLEMS]:
            if problem.level != "info":
                messages.warning(request, f"{problem.path or '/'}: {problem.message}")

    @admin.action(description="Publish the selected drafts", permissions=["view"])
    def publish_selected(self, request: HttpRequest, queryset: QuerySet[GraphVersion]) -> None:
        for version in queryset:
            self._publish(request, version)

    @action(description="Save and publish")
    def save_and_publish(self, request: HttpRequest, version: GraphVersion) -> None:
        # Called when the version is saved and its rows are not yet.
        setattr(request, PUBLISHES, True)

    def _publish(self, request: HttpRequest, version: GraphVersion) -> None:
        try:
            published = services.publish_version(version=version, actor=acting_in(request, version.graph.organization))
        except DefinitionInvalid as invalid:
            show_problems(request, version, invalid.problems)
        except (GraphsError, ToolsError) as error:
            messages.error(request, str(error))
        else:
            messages.success(request, f"{published} is published; runs of the graph use it from now on.")
