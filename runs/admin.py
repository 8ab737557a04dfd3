"""Runs in the admin, for reading; and starting one of a published version."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.text import Truncator
from unfold.admin import ModelAdmin, TabularInline

from accounts.models import Role
from graphs.admin import GraphVersionAdmin
from graphs.admin.tenancy import OfOrganization, acting_in
from graphs.errors import GraphsError
from graphs.models import GraphVersion
from runs import control, services
from runs.engine.codec import failure_from_data
from runs.errors import RunsError
from runs.human_tasks import shown_answers
from runs.log import data_of, message_of
from runs.models import Event, HumanTask, Mailbox, Run, Step, StepError
from runs.redaction import redaction_of
from tools import strict_json

SHOWN_ROWS = 200
SHOWN_CHARACTERS = 2_000


def to_the_millisecond(moment: datetime | None) -> str:
    """In UTC, for tables in which the minute would be the same in every row."""
    return "-" if moment is None else moment.astimezone(UTC).isoformat(" ", "milliseconds").removesuffix("+00:00")


class NewestRows(TabularInline):
    """The newest rows of a run, which may have very many."""

    extra = 0
    hide_title = True
    newest_first = ""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        run_id = request.resolver_match.kwargs.get("object_id") if request.resolver_match else None
        newest = rows.filter(run_id=run_id).order_by(self.newest_first).values("pk")[:SHOWN_ROWS]
        return rows.filter(pk__in=list(newest.values_list("pk", flat=True)))

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return True

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class StepInline(NewestRows):
    model = Step
    verbose_name_plural = f"steps (the newest {SHOWN_ROWS})"
    newest_first = "-scheduled_seq"
    fields = ["node", "path", "status", "attempt", "began", "ended", "why"]
    readonly_fields = ["began", "ended", "why"]

    @admin.display(description="Started at")
    def began(self, step: Step) -> str:
        return to_the_millisecond(step.started_at)

    @admin.display(description="Finished at")
    def ended(self, step: Step) -> str:
        return to_the_millisecond(step.finished_at)

    @admin.display(description="Error")
    def why(self, step: Step) -> str:
        return failure_from_data(data_of(step.error)).in_words if step.error else "-"


class StepErrorInline(NewestRows):
    model = StepError
    verbose_name_plural = f"failed attempts (the newest {SHOWN_ROWS})"
    newest_first = "-pk"
    fields = ["node", "attempt", "moment", "words"]
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[StepError]:
        step = Step.objects.filter(run=OuterRef("run"), step=OuterRef("step"))
        return super().get_queryset(request).annotate(of_node=Subquery(step.values("node")[:1]))

    @admin.display(description="Node")
    def node(self, error: Any) -> str:
        return str(error.of_node)

    @admin.display(description="At")
    def moment(self, error: StepError) -> str:
        return to_the_millisecond(error.at)

    @admin.display(description="Traceback")
    def words(self, error: StepError) -> str:
        end = (error.traceback or str(error))[-SHOWN_CHARACTERS:]
        return format_html('<pre style="white-space: pre-wrap; overflow-wrap: anywhere">{}</pre>', end)


class EventInline(NewestRows):
    model = Event
    verbose_name_plural = f"journal (the newest {SHOWN_ROWS})"
    newest_first = "-seq"
    fields = ["seq", "moment", "type", "message", "beginning"]
    readonly_fields = ["moment", "message", "beginning"]

    @admin.display(description="At")
    def moment(self, event: Event) -> str:
        return to_the_millisecond(event.at)

    @admin.display(description="What happened")
    def message(self, event: Event) -> str:
        return message_of(event.type, self._shown(event))

    @admin.display(description="Data")
    def beginning(self, event: Event) -> str:
        return Truncator(strict_json.dumps(self._shown(event))).chars(SHOWN_CHARACTERS)

    def _shown(self, event: Event) -> dict[str, Any]:
        return redaction_of(event.run).entry(data_of(event.data))


@admin.register(Run)
class RunAdmin(OfOrganization, ModelAdmin):
    """What the engine writes is for reading here; a run can be controlled, and deleted when it is over."""

    changing_role = None
    list_display = ["uuid", "graph", "status", "actor", "created_at", "finished_at", "watch"]
    list_filter = ["status", "organization", "durability"]
    search_fields = ["uuid", "version__graph__name", "business_key"]
    date_hierarchy = "created_at"
    inlines = [StepInline, StepErrorInline, EventInline]
    actions = ["pause_selected", "resume_selected", "retry_selected", "cancel_selected", "delete_selected_runs"]
    readonly_fields = ["watch", "initial_state"]
    fields = [
        ("uuid", "version"),
        ("status", "watch"),
        ("actor", "trigger"),
        ("created_at", "durability"),
        ("started_at", "finished_at"),
        ("business_key", "labels"),
        ("seq", "priority"),
        ("driver", "epoch"),
        "error",
        "initial_state",
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        return super().get_queryset(request).filter(deleted_at=None).select_related("version__graph", "organization")

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return self.has_role(request, None, Role.OPERATOR)

    def has_edit_permission(self, request: HttpRequest) -> bool:
        return self.has_role(request, None, Role.EDITOR)

    @admin.display(ordering="version__graph__name")
    def graph(self, run: Run) -> str:
        return str(run.version)

    @admin.display(description="Live page")
    def watch(self, run: Run) -> str:
        page = reverse("runs:detail", args=[run.uuid])
        return format_html('<a class="text-primary-600 dark:text-primary-500 underline" href="{}">watch</a>', page)

    @admin.display(description="Initial state")
    def initial_state(self, run: Run) -> str:
        values = redaction_of(run).state(data_of(run.input))
        return Truncator(strict_json.dumps(values)).chars(SHOWN_CHARACTERS)

    @admin.action(description="Pause the selected runs", permissions=["operate"])
    def pause_selected(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        self._control(request, queryset, partial(control.pause_run, reason="from the admin"), "is being paused")

    @admin.action(description="Resume the selected runs", permissions=["operate"])
    def resume_selected(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        self._control(request, queryset, control.resume_run, "goes on")

    @admin.action(description="Retry the failed steps of the selected runs", permissions=["operate"])
    def retry_selected(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        self._control(request, queryset, control.retry_run, "is tried again")

    @admin.action(description="Cancel the selected runs", permissions=["operate"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        self._control(request, queryset, partial(control.cancel_run, reason="from the admin"), "is being cancelled")

    def _control(
        self, request: HttpRequest, queryset: QuerySet[Run], service: Callable[..., Mailbox], outcome: str
    ) -> None:
        for run in queryset:
            if not self.has_role(request, run, Role.OPERATOR):
                continue
            try:
                service(run=run, actor=acting_in(request, run.organization))
            except RunsError as error:
                messages.warning(request, str(error))
            else:
                messages.success(request, f"Run {run.uuid} {outcome}.")

    @admin.action(description="Delete the selected runs that are over", permissions=["edit"])
    def delete_selected_runs(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        for run in queryset:
            if not self.has_role(request, run, Role.EDITOR):
                continue
            try:
                services.delete_run(run=run, actor=acting_in(request, run.organization))
            except RunsError as error:
                messages.warning(request, str(error))
            else:
                messages.success(request, f"Run {run.uuid} is deleted.")


admin.site.unregister(GraphVersion)


@admin.register(GraphVersion)
class RunnableVersionAdmin(GraphVersionAdmin):
    """Versions with an action that runs them: the graphs app knows nothing of runs."""

    actions = [*GraphVersionAdmin.actions, "run_selected"]

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return self.has_role(request, None, Role.OPERATOR)

    @admin.action(description="Run the selected versions", permissions=["operate"])
    def run_selected(self, request: HttpRequest, queryset: QuerySet[GraphVersion]) -> None:
        for version in queryset:
            if self.has_role(request, version, Role.OPERATOR):
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


@admin.register(HumanTask)
class HumanTaskAdmin(OfOrganization, ModelAdmin):
    """What runs ask people, for reading; a task is answered on its page."""

    changing_role = None
    list_display = ["title", "status", "graph", "due_at", "created_at", "closed_at", "page"]
    list_filter = ["status", "organization"]
    search_fields = ["title", "uuid", "run__uuid"]
    date_hierarchy = "created_at"
    readonly_fields = ["page", "assigned", "given"]
    fields = [("title", "page"), "instructions", ("run", "node"), ("status", "quorum"), ("due_at", "assigned"), "given"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[HumanTask]:
        return super().get_queryset(request).select_related("run__version__graph", "organization")

    @admin.display(ordering="run__version__graph__name")
    def graph(self, task: HumanTask) -> str:
        return str(task.run.version)

    @admin.display(description="Task page")
    def page(self, task: HumanTask) -> str:
        word = "answer" if task.status == HumanTask.Status.OPEN else "look"
        page = reverse("tasks:detail", args=[task.uuid])
        return format_html('<a class="text-primary-600 dark:text-primary-500 underline" href="{}">{}</a>', page, word)

    @admin.display(description="Assignees")
    def assigned(self, task: HumanTask) -> str:
        return ", ".join(map(str, task.assignees.all())) or "everybody with the role operator"

    @admin.display(description="Answers")
    def given(self, task: HumanTask) -> str:
        return Truncator(strict_json.dumps(shown_answers(task))).chars(SHOWN_CHARACTERS)
