"""The first page, and logging in."""

from __future__ import annotations

from django.contrib.auth.views import LoginView
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.actor import Actor
from accounts.pages import page_actor
from graphs.models import Graph
from runs.models import Run
from runs.selectors import runs_of

RECENT = 10
SHOWN = (Run.Status.RUNNING, Run.Status.WAITING, Run.Status.COMPLETED, Run.Status.FAILED)


@page_actor()
def home(request: HttpRequest, actor: Actor) -> HttpResponse:
    """What is here: how many graphs and runs, and the newest runs."""
    runs = runs_of(actor.organization)
    counts = dict(runs.order_by().values_list("status").annotate(Count("pk")))
    context = {
        "actor": actor,
        "graph_count": Graph.objects.filter(organization=actor.organization, archived_at=None).count(),
        "numbers": [{"status": status.value, "count": counts.get(status, 0)} for status in SHOWN],
        "runs": runs[:RECENT],
    }
    return render(request, "home.html", context)


login = LoginView.as_view(template_name="login.html", redirect_authenticated_user=True)
