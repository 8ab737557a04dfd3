"""Runs in the admin, for reading; and starting one of a published version."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import ModelAdmin, TabularInline

from graphs.admin import GraphVersionAdmin, acting_in, organizations_of
from graphs.errors import GraphsError
from graphs.models import GraphVersion
from runs import services
from runs.errors import RunsError
from runs.log import message_of
from runs.models import Event, Run, Step

SHOWN_ROWS = 200


class ReadOnly:
    """What the engine writes is for reading here."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class NewestRows(ReadOnly, TabularInline):
    """The newest rows of a run, which may have very many."""

    extra = 0
    newest_first = ""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        run_id = request.resolver_match.kwargs.get("object_id") if request.resolver_match else None
        newest = rows.filter(run_id=run_id).order_by(self.newest_first).values("pk")[:SHOWN_ROWS]
        return rows.filter(pk__in=list(newest.values_list("pk", flat=True)))

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return True


class StepInline(NewestRows):
    model = Step
    verbose_name_plural = f"steps (the newest {SHOWN_ROWS})"
    newest_first = "-scheduled_seq"
    fields = ["node", "path", "status", "attempt", "started_at", "finished_at", "error"]


class EventInline(NewestRows):
    model = Event
    verbose_name_plural = f"journal (the newest {SHOWN_ROWS})"
    newest_first = "-seq"
    fields = ["seq", "at", "type", "message", "data"]
    readonly_fields = ["message"]

    @admin.display(description="What happened")
    def message(self, event: Event) -> str:
        return message_of(event.type, json.loads(event.data))


@admin.register(Run)
class RunAdmin(ReadOnly, ModelAdmin):
    list_display = ["uuid", "graph", "status", "actor", "created_at", "finished_at", "watch"]
    list_filter = ["status", "organization", "durability"]
    search_fields = ["uuid", "version__graph__name", "business_key"]
    date_hierarchy = "created_at"
    inlines = [StepInline, EventInline]
    actions = ["cancel_selected"]
    readonly_fields = ["watch"]
    fields = [
        ("uuid", "version", "status"),
        ("actor", "trigger", "durability"),
        ("created_at", "started_at", "finished_at"),
        ("seq", "epoch", "driver"),
        ("business_key", "priority", "labels"),
        "error",
        "input",
        "watch",
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        runs = Run.objects.filter(organization__in=organizations_of(request))
        return runs.select_related("version__graph", "organization")

    @admin.display(ordering="version__graph__name")
    def graph(self, run: Run) -> str:
        return str(run.version)

    @admin.display(description="Live page")
    def watch(self, run: Run) -> str:
        return format_html('<a href="{}">watch</a>', reverse("runs:detail", args=[run.uuid]))

    @admin.action(description="Cancel the selected runs", permissions=["view"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        for run in queryset:
            try:
                services.cancel_run(run=run, actor=acting_in(request, run.organization), reason="from the admin")
            except RunsError as error:
                messages.warning(request, str(error))
            else:
                messages.success(request, f"Run {run.uuid} is being cancelled.")


admin.site.unregister(GraphVersion)


@admin.register(GraphVersion)
class RunnableVersionAdmin(GraphVersionAdmin):
    """Versions with an action that runs them: the graphs app knows nothing of runs."""

    actions = [*GraphVersionAdmin.actions, "run_selected"]

    @admin.action(description="Run the selected versions", permissions=["view"])
    def run_selected(self, request: HttpRequest, queryset: QuerySet[GraphVersion]) -> None:
        for version in queryset:
            self._run(request, version)

    def _run(self, request: HttpRequest, version: GraphVersion) -> None:
        """Start it with the defaults of its state; one that needs more is started from its page."""
        actor = acting_in(request, version.graph.organization)
        try:
            run = services.start_run(version=version, state={}, actor=actor, trigger="admin")
        except (RunsError, GraphsError) as error:
            page = reverse("graphs:detail", args=[version.graph.uuid])
            messages.error(request, format_html('{} Give it a state on <a href="{}">its page</a>.', error, page))
        else:
            page = reverse("runs:detail", args=[run.uuid])
            messages.success(request, format_html('{} runs: <a href="{}">watch it</a>.', version, page))
