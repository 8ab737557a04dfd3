"""The pages of runs: the list, one run, and the forms that start, repeat and control one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.actor import Actor
from accounts.models import Role
from accounts.pages import page_actor
from accounts.permissions import has_role
from graphs.errors import GraphsError
from graphs.models import GraphVersion
from graphs.pages import filled_form, render_graph
from graphs.selectors import graphs_of, newest_published
from graphs.services import export_definition
from runs import control
from runs.curl import curl_command
from runs.errors import InitialStateInvalid, RunsError
from runs.explain import Reason, explain_run
from runs.forking import fork_run
from runs.models import Run
from runs.overview import RunOverview, outline_of_run, overview_of, untold_items
from runs.selectors import begun_graph, queued_steps, runs_of, step_errors_of
from runs.services import rerun, start_run

PAGE_SIZE = 50
MAX_DIGITS = 19
"""A number with fewer digits is one to the database, too."""
MAX_REASON = 500
SERVICES: dict[str, Callable[..., Any]] = {
    "pause": control.pause_run,
    "resume": control.resume_run,
    "step": control.step_run,
    "retry": control.retry_run,
    "cancel": control.cancel_run,
}
_PAUSE = (("pause", "", "Pause"),)
_VERBS: dict[str, tuple[tuple[str, str, str], ...]] = {
    Run.Status.PENDING: _PAUSE,
    Run.Status.RUNNING: _PAUSE,
    Run.Status.WAITING: _PAUSE,
    Run.Status.PAUSED: (
        ("resume", "", "Resume"),
        ("step", "into", "Step into"),
        ("step", "over", "Step over"),
        ("step", "out", "Step out"),
    ),
    Run.Status.FAILED: (("retry", "", "Retry"),),
}
"""The buttons (verb, mode, words) of a run of this status besides that which cancels it.

frontend/src/run/Head.tsx has the same.
"""


@require_GET
@page_actor()
def run_list(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Runs, newest first, by status and graph. `before` is the last run of the page before."""
    runs = runs_of(actor.organization)
    status, graph, before = (request.GET.get(name, "") for name in ("status", "graph", "before"))
    if status:  # of an unknown one there are none, which is better said than ignored
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
    may_operate = has_role(actor, Role.OPERATOR)
    reasons = explain_run(run)
    context = {
        "actor": actor,
        "run": run,
        "overview": overview,
        "outline": outline_of_run(run),
        "has_errors": any(event["type"] in ("StepFailed", "AttemptFailed") for event in overview.events),
        "verbs": _verbs(run, overview) if may_operate else (),
        "may_cancel": may_operate and not run.is_terminal,
        "reasons": () if _is_said(run, reasons) else reasons,
        "boot": {
            **_boot(request, run, overview, may_operate),
            "reasons": [
                {
                    "because": reason.because,
                    "message": reason.message,
                    "data": {name: reason.data[name] for name in ("task",) if name in reason.data},
                }
                for reason in reasons
            ],
            "control": _control(request, run) if may_operate else None,
        },
    }
    return render(request, "runs/detail.html", context)


@require_GET
@page_actor(Role.OPERATOR)
def errors(request: HttpRequest, actor: Actor, uuid: UUID) -> HttpResponse:
    """What ended attempts of the run's steps, with tracebacks."""
    run = get_object_or_404(runs_of(actor.organization), uuid=uuid)
    found = step_errors_of(run)[: PAGE_SIZE + 1]
    context = {
        "actor": actor,
        "run": run,
        "errors": found[:PAGE_SIZE],
        "has_more": len(found) > PAGE_SIZE,
        "all": reverse("run-errors", args=[run.uuid]),
    }
    return render(request, "runs/errors.html", context)


@require_GET
@page_actor()
def subgraph(request: HttpRequest, actor: Actor, uuid: UUID, digest: str) -> HttpResponse:
    """What the page of a run draws of a subgraph, or after a move to another version.

    That is its definition, and where its own page is, if it has one.
    """
    run = get_object_or_404(runs_of(actor.organization), uuid=uuid)
    begun = begun_graph(run, digest)
    if begun is None:
        raise Http404("The run has begun no such graph.")
    if "definition" in begun:
        return JsonResponse({"definition": begun["definition"], "page": None})
    version = _published(actor, digest)
    page = reverse("graphs:detail", args=[version.graph.uuid]) + f"?version={version.number}"
    return JsonResponse({"definition": export_definition(version), "page": page})


@require_GET
@page_actor()
def items(request: HttpRequest, actor: Actor, uuid: UUID) -> JsonResponse:
    """How many items are over of the open maps whose events do not tell."""
    run = get_object_or_404(runs_of(actor.organization), uuid=uuid)
    return JsonResponse({"maps": [asdict(each) for each in untold_items(run)]})


@require_GET
@page_actor()
def queued(request: HttpRequest, actor: Actor, uuid: UUID) -> JsonResponse:
    """The steps of a run that are given out and not called yet."""
    run = get_object_or_404(runs_of(actor.organization), uuid=uuid)
    return JsonResponse({"steps": queued_steps(run)})


@require_http_methods(["GET", "POST"])
@page_actor(Role.OPERATOR)
def start(request: HttpRequest, actor: Actor, uuid: UUID) -> HttpResponse:
    """Start a run of a graph's newest published version from the form on the graph's page, where a GET leads to."""
    graph = get_object_or_404(graphs_of(actor.organization), uuid=uuid)
    if request.method == "GET":
        return redirect("graphs:detail", uuid)
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
def control_run(request: HttpRequest, actor: Actor, uuid: UUID, verb: str) -> HttpResponse:
    """Do what a button asks of a run, and show the run again."""
    run = get_object_or_404(runs_of(actor.organization), uuid=uuid)
    try:
        SERVICES[verb](run=run, actor=actor, **_options(request, verb))
    except RunsError as error:
        messages.error(request, str(error))
    return redirect("runs:detail", run.uuid)


@require_POST
@page_actor(Role.OPERATOR)
def again(request: HttpRequest, actor: Actor, uuid: UUID) -> HttpResponse:
    """Start another run like this one, of the same version, and show it."""
    run = get_object_or_404(runs_of(actor.organization), uuid=uuid)
    try:
        run = rerun(run=run, version=run.version, actor=actor)
    except (RunsError, GraphsError) as error:
        messages.error(request, str(error))
    return redirect("runs:detail", run.uuid)


def _published(actor: Actor, digest: str) -> GraphVersion:
    """A published version of this meaning."""
    versions = GraphVersion.objects.filter(graph__organization=actor.organization, sha256=digest)
    version = versions.exclude(status=GraphVersion.Status.DRAFT).select_related("graph").order_by("-number").first()
    if version is None:
        raise Http404("The graph of this subgraph is no longer there.")
    return version


@require_POST
@page_actor(Role.OPERATOR)
def fork(request: HttpRequest, actor: Actor, uuid: UUID) -> HttpResponse:
    """Fork a run at an event, and show the new one; or the old one, and why it cannot be."""
    run = get_object_or_404(runs_of(actor.organization), uuid=uuid)
    seq = request.POST.get("seq", "")
    if not (seq.isascii() and seq.isdecimal() and len(seq) < MAX_DIGITS and 1 <= int(seq) <= run.seq):
        raise Http404("There is no such event in the run.")
    try:
        run = fork_run(run=run, at_seq=int(seq), actor=actor)
    except (RunsError, GraphsError) as error:
        messages.error(request, str(error))
    return redirect("runs:detail", run.uuid)


def _verbs(run: Run, overview: RunOverview) -> tuple[tuple[str, str, str], ...]:
    """The buttons of the run as it is; what was undone cannot be tried again."""
    is_undone = run.status == Run.Status.FAILED and overview.is_undoing
    return () if is_undone else _VERBS.get(run.status, ())


def _is_said(run: Run, reasons: Sequence[Reason]) -> bool:
    """Whether the rest of the page says the same; frontend/src/run/Reasons.tsx asks the same."""
    kinds = [reason.because for reason in reasons]
    return set(kinds) <= {"running"} or (run.status == Run.Status.FAILED and kinds == ["failed"])


def _run_or_none(actor: Actor, uuid: str) -> Run | None:
    try:
        return runs_of(actor.organization).filter(uuid=UUID(uuid)).first()
    except ValueError:
        return None


def _origin_of(run: Run) -> dict[str, Any] | None:
    origin = run.forked_from
    if origin is None:
        return None
    return {"url": reverse("runs:detail", args=[origin.uuid]), "id": str(origin.uuid), "seq": run.fork_seq}


def _options(request: HttpRequest, verb: str) -> dict[str, Any]:
    if verb == "step":
        return {"mode": mode} if (mode := request.POST.get("mode", "")) in control.MODES else {}
    if verb != "cancel":
        return {}
    return {"reason": request.POST.get("reason", "")[:MAX_REASON], "graceful": request.POST.get("graceful") == "true"}


def _control(request: HttpRequest, run: Run) -> dict[str, Any]:
    urls = {verb: reverse(f"runs:{verb}", args=[run.uuid]) for verb in SERVICES}
    return {"urls": urls, "csrf": get_token(request)}


def _boot(request: HttpRequest, run: Run, overview: RunOverview, may_operate: bool) -> dict[str, Any]:
    """What the script of the page starts from; `Boot` in frontend/src/run/events.ts is its type."""
    return {
        "run": {
            "id": str(run.uuid),
            "graph": run.version.graph.name,
            "version": run.version.number,
            "status": run.status,
            "error": run.error,
            "actor": run.actor or run.trigger,
            "business_key": run.business_key,
            "labels": run.labels,
            "forked_from": _origin_of(run),
            "created_at": run.created_at.isoformat(),
            "started_at": run.started_at and run.started_at.isoformat(),
            "finished_at": run.finished_at and run.finished_at.isoformat(),
        },
        "definition": export_definition(run.version),
        **overview.as_json(),
        "queued": queued_steps(run),
        "urls": {
            "graph": reverse("graphs:detail", args=[run.version.graph.uuid]),
            "socket": f"/ws/graph/run/{run.uuid}",
            "run": reverse("run-detail", args=[run.uuid]),
            "state": reverse("run-state", args=[run.uuid]),
            "explain": reverse("run-explain", args=[run.uuid]),
            "subgraphs": reverse("runs:detail", args=[run.uuid]) + "subgraphs/",
            "items": reverse("runs:items", args=[run.uuid]),
            "queued": reverse("runs:queued", args=[run.uuid]),
            "tasks": reverse("tasks:list"),
            "errors": reverse("runs:errors", args=[run.uuid]) if may_operate else None,
        },
        "again": _form(request, "runs:again", run) if may_operate else None,
        "fork": _form(request, "runs:fork", run) if may_operate else None,
        "curl": curl_command(run, url=request.build_absolute_uri(reverse("run-list"))),
    }


def _form(request: HttpRequest, name: str, run: Run) -> dict[str, str]:
    """What a form needs that posts to the page of this name."""
    return {"url": reverse(name, args=[run.uuid]), "csrf": get_token(request)}
