"""The pages of tasks: the inbox, one task with the form that answers it, and handing it on."""

from __future__ import annotations

import json
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from accounts.actor import Actor
from accounts.models import Role
from accounts.pages import page_actor
from accounts.permissions import has_role
from accounts.selectors import members_of
from runs.answer_form import AnswerForm
from runs.errors import AnswerInvalid, RunsError
from runs.human_tasks import answer_task, delegate_task, is_overdue, open_tasks_for, shown_answers, tasks_of
from runs.models import HumanTask

PAGE_SIZE = 100
VIEWS = {"mine": "For me", "open": "All open", "closed": "Closed"}


@require_GET
@page_actor()
def task_list(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The tasks of whoever looks; with `?show=open` all, with `?show=closed` those of the past; the newest first.

    `before` is the last task of the page before.
    """
    show = request.GET.get("show", "")
    match show:
        case "open":
            tasks = tasks_of(actor).filter(status=HumanTask.Status.OPEN)
        case "closed":
            tasks = tasks_of(actor).exclude(status=HumanTask.Status.OPEN)
        case _:
            show, tasks = "mine", open_tasks_for(actor)
    before = request.GET.get("before", "")
    if last := _task_or_none(actor, before):
        tasks = tasks.filter(pk__lt=last.pk)
    page, now = list(tasks[: PAGE_SIZE + 1]), timezone.now()
    context = {
        "actor": actor,
        "tasks": [(task, is_overdue(task, now)) for task in page[:PAGE_SIZE]],
        "oldest": page[PAGE_SIZE - 1].uuid if len(page) > PAGE_SIZE else None,
        "before": before,
        "show": show,
        "views": VIEWS,
    }
    return render(request, "tasks/list.html", context)


@require_GET
@page_actor()
def task_page(request: HttpRequest, actor: Actor, uuid: UUID) -> HttpResponse:
    """One task."""
    return _render(request, actor, get_object_or_404(tasks_of(actor), uuid=uuid))


@require_POST
@page_actor()
def answer(request: HttpRequest, actor: Actor, uuid: UUID) -> HttpResponse:
    """Answer a task with the form on its page."""
    task = get_object_or_404(tasks_of(actor), uuid=uuid)
    form = AnswerForm(json.loads(task.form), request.POST)
    if form.is_valid():
        try:
            answer_task(task=task, answer=form.answer, actor=actor)
        except AnswerInvalid as error:
            form.refuse(error.details)
        except RunsError as error:
            messages.error(request, str(error))
            return redirect("tasks:detail", uuid)
        else:
            messages.success(request, f"Your answer to “{task.title}” is in.")
            return redirect("tasks:list")
    return _render(request, actor, task, form=form, status=422)


@require_POST
@page_actor()
def delegate(request: HttpRequest, actor: Actor, uuid: UUID) -> HttpResponse:
    """Hand a task to another member."""
    task = get_object_or_404(tasks_of(actor), uuid=uuid)
    username = request.POST.get("username", "")
    try:
        delegate_task(task=task, to={"users": [username]}, actor=actor)
    except RunsError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{username} is asked now.")
    return redirect("tasks:detail", uuid)


def _task_or_none(actor: Actor, uuid: str) -> HumanTask | None:
    try:
        return HumanTask.objects.filter(organization=actor.organization, uuid=UUID(uuid)).first()
    except ValueError:
        return None


def _render(
    request: HttpRequest, actor: Actor, task: HumanTask, *, form: AnswerForm | None = None, status: int = 200
) -> HttpResponse:
    is_open = task.status == HumanTask.Status.OPEN
    answers = shown_answers(task)
    may_answer = is_open and task.is_mine and all(given["by"] != actor.name for given in answers)
    may_delegate = is_open and (task.is_mine or has_role(actor, Role.EDITOR))
    context = {
        "actor": actor,
        "task": task,
        "is_overdue": is_overdue(task, timezone.now()),
        "answers": answers,
        "form": (form or AnswerForm(json.loads(task.form))) if may_answer else None,
        "members": members_of(actor.organization).order_by("user__username") if may_delegate else None,
    }
    return render(request, "tasks/detail.html", context, status=status)
