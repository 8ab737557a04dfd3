"""The pages of runs: the list, one run, and the two forms that start and cancel one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from accounts.actor import Actor
from accounts.models import Role
from accounts.pages import page_actor
from accounts.permissions import has_role
from graphs.outline import outline_of
from graphs.pages import filled_form, render_graph
from graphs.plans import spec_of
from graphs.selectors import graphs_of, newest_published
from graphs.services import export_definition
from runs.errors import InitialStateInvalid, RunFinished, RunsError
from runs.models import Run
from runs.overview import RunOverview, overview_of
from runs.selectors import runs_of
from runs.services import cancel_run, start_run

PAGE_SIZE = 50


@require_GET
@page_actor()
def run_list(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Runs, newest first, by status and graph. `before` is the last run of the page before."""
    runs = runs_of(actor.organization)
    status, graph, before = (request.GET.get(name, "") for name in ("status", "graph", "before"))
    if status in Run.Status.values:
        runs = runs.filter(status=status)
    if graph:
        runs = runs.filter(version__graph__slug=graph)
    if last := _run_or_none(actor, before):
        runs = runs.filter(pk__lt=last.pk)
    page = list(runs[: PAGE_SIZE + 1])
    context = {
        "actor": actor,
        "runs": page[:PAGE_SIZE],
        "has_older": len(page) > PAGE_SIZE,
        "statuses": Run.Status.values,
        "graphs": graphs_of(actor.organization),
        "chosen": {"status": status, "graph": graph, "before": before},
    }
    return render(request, "runs/list.html", context)


@require_GET
@page_actor()
def run_page(request: HttpRequest, actor: Actor, uuid: UUID) -> HttpResponse:
    """One run, live."""
    run = get_object_or_404(runs_of(actor.organization), uuid=uuid)
    overview = overview_of(run)
    may_cancel = has_role(actor, Role.OPERATOR) and not run.is_terminal
    context = {
        "actor": actor,
        "run": run,
        "overview": overview,
        "outline": outline_of(spec_of(run.version)),
        "may_cancel": may_cancel,
        "boot": _boot(request, run, overview, may_cancel),
    }
    return render(request, "runs/detail.html", context)


@require_POST
@page_actor(Role.OPERATOR)
def start(request: HttpRequest, actor: Actor, uuid: UUID) -> HttpResponse:
    """Start a run of a graph's newest published version from the form on the graph's page."""
    graph = get_object_or_404(graphs_of(actor.organization), uuid=uuid)
    version = newest_published(graph)
    if version is None:
        raise Http404("No version of this graph is published.")
    form = filled_form(version, request.POST)
    if form.is_valid():
        try:
            run = start_run(version=version, state=form.state, actor=actor, trigger="page")
            return redirect("runs:detail", run.uuid)
        except InitialStateInvalid as error:
            form.refuse(error.details)
        except RunsError as error:
            form.add_error(None, str(error))
    return render_graph(request, actor, version, form=form, status=422)


@require_POST
@page_actor(Role.OPERATOR)
def cancel(request: HttpRequest, actor: Actor, uuid: UUID) -> HttpResponse:
    """Ask for the end of a run, and show it again."""
    run = get_object_or_404(runs_of(actor.organization), uuid=uuid)
    try:
        cancel_run(run=run, actor=actor, reason=request.POST.get("reason", ""))
    except RunFinished as error:
        messages.error(request, str(error))
    return redirect("runs:detail", run.uuid)


def _run_or_none(actor: Actor, uuid: str) -> Run | None:
    try:
        return runs_of(actor.organization).filter(uuid=UUID(uuid)).first()
    except ValueError:
        return None


def _boot(request: HttpRequest, run: Run, overview: RunOverview, may_cancel: bool) -> dict[str, Any]:
    """What the script of the page starts from; `Boot` in frontend/src/run/events.ts is its type."""
    return {
        "run": {
            "id": str(run.uuid),
            "graph": run.version.graph.name,
            "version": run.version.number,
            "status": run.status,
            "error": run.error,
            "actor": run.actor or run.trigger,
            "created_at": run.created_at.isoformat(),
            "started_at": run.started_at and run.started_at.isoformat(),
            "finished_at": run.finished_at and run.finished_at.isoformat(),
        },
        "definition": export_definition(run.version),
        **overview.as_json(),
        "urls": {
            "graph": reverse("graphs:detail", args=[run.version.graph.uuid]),
            "socket": f"/ws/graph/run/{run.uuid}",
            "run": reverse("run-detail", args=[run.uuid]),
            "state": reverse("run-state", args=[run.uuid]),
        },
        "cancel": {"url": reverse("runs:cancel", args=[run.uuid]), "csrf": get_token(request)} if may_cancel else None,
    }
