"""Tasks of people: whose they are, answering them, and handing them on. The task's row is the arbiter: it is locked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from accounts import audit
from accounts.actor import Actor
from accounts.models import Membership, Role
from accounts.permissions import has_role
from graphs.errors import GraphsError
from runs.driver.letters import ANSWER, DELEGATED
from runs.driver.people import pairs_of
from runs.errors import AlreadyAnswered, AnswerInvalid, DelegateUnknown, JournalDamaged, NotAssigned, TaskClosed
from runs.log import data_of
from runs.models import Event, HumanTask, Run, TaskAssignee
from runs.redaction import OTHER_KEYS, Redaction, redaction_of
from runs.schema import state_schema
from runs.selectors import engine_state, secret_keys_of
from runs.services import wake_drivers
from runs.store.mail import post
from tools import strict_json
from tools.errors import Detail
from tools.strict_json import Json

# --------------------------------------------------------------------------- reading


def tasks_of(actor: Actor) -> QuerySet[HumanTask]:
    """The tasks of the actor's organization, the newest first; `is_mine` says of each whether the actor may answer."""
    tasks = HumanTask.objects.filter(organization=actor.organization)
    tasks = tasks.annotate(is_mine=_is_mine(actor))  # type: ignore[no-redef]  # this is what defines it
    return tasks.select_related("run__version__graph").prefetch_related("assignees").order_by("-id")


def open_tasks_for(actor: Actor) -> QuerySet[HumanTask]:
    """The open tasks that the actor may answer."""
    return tasks_of(actor).filter(_is_mine(actor), status=HumanTask.Status.OPEN)


def is_overdue(task: HumanTask, now: datetime) -> bool:
    return task.status == HumanTask.Status.OPEN and task.due_at is not None and task.due_at <= now


def shown_answers(task: HumanTask) -> list[dict[str, Json]]:
    """The answers as people may see them: without what the form or the graph's state schema marks secret."""
    answers = json.loads(task.answers)
    if not answers:
        return []
    rules = Redaction(json.loads(task.form)), redaction_of(task.run), _of_subgraph(task)
    return [{**answer, "answer": _concealed(answer["answer"], rules)} for answer in answers]


def _of_subgraph(task: HumanTask) -> Redaction:
    """What the schema of the subgraph marks secret that the task's step is in: the journal names its keys."""
    asked = Event.objects.filter(
        run_id=task.run_id, type="StepWaiting", data__contains=f'"step":"{bytes(task.step).hex()}"'
    )
    data = asked.order_by("-seq").values_list("data", flat=True).first()
    try:
        keys = _secret_at_fork(task) if data is None else data_of(data).get("hidden", ())
    except (JournalDamaged, GraphsError):  # nobody can tell any more
        return Redaction({"writeOnly": True, "additionalProperties": {"writeOnly": True}})
    schema: dict[str, Json] = {"properties": {key: {"writeOnly": True} for key in keys}}
    if OTHER_KEYS in keys:  # which of them, only the subgraph's schema could tell
        schema["additionalProperties"] = {"writeOnly": True}
    return Redaction(schema)


def _secret_at_fork(task: HumanTask) -> Sequence[str]:
    """The secret keys where the step asked before the run was forked: the state that it began with has the step."""
    return secret_keys_of(engine_state(task.run, 1), bytes(task.step))


def _concealed(answer: Json, rules: Sequence[Redaction]) -> Json:
    if not isinstance(answer, dict):
        return None if any(rule.hides((), answer) for rule in rules) else answer
    for rule in rules:
        answer = rule.state(answer)
    return answer


def _is_mine(actor: Actor) -> Q | Exists:
    named = TaskAssignee.objects.filter(task=OuterRef("pk"))
    roles = [role.value for role in Role if has_role(actor, role)]
    who = Q(kind=TaskAssignee.Kind.ROLE, name__in=roles)
    if actor.user is not None:
        groups = actor.user.groups.values("name")
        who |= Q(kind=TaskAssignee.Kind.USER, name=actor.user.get_username())
        who |= Q(kind=TaskAssignee.Kind.GROUP, name__in=groups)
    is_named = Exists(named.filter(who))
    return is_named | ~Exists(named) if has_role(actor, Role.OPERATOR) else is_named


# --------------------------------------------------------------------------- answering


def answer_task(*, task: HumanTask, answer: Json, actor: Actor) -> HumanTask:
    """Answer a task; with a quorum the answer is kept until there are as many as it takes.

    Raises NotAssigned, TaskClosed, AlreadyAnswered, AnswerInvalid and JsonInvalid.
    """
    with transaction.atomic():
        locked = _lock(task, actor)
        if not locked.is_mine:
            raise NotAssigned(task.uuid)
        _check_is_open(locked)
        answers = json.loads(locked.answers)
        if any(earlier["by"] == actor.name for earlier in answers):
            raise AlreadyAnswered(task.uuid, actor.name)
        checked = _checked(json.loads(locked.form), answer)
        now = timezone.now()
        answers.append({"answer": checked, "by": actor.name, "at": now.isoformat()})
        locked.answers = strict_json.dumps(answers)
        if len(answers) >= locked.quorum:
            locked.status, locked.closed_at = HumanTask.Status.ANSWERED, now
            post(locked.run, kind=ANSWER, payload={**_address(locked), "answers": answers}, actor=actor)
            transaction.on_commit(wake_drivers)
        locked.save(update_fields=["answers", "status", "closed_at"])
        audit.record(actor=actor, action="task.answered", obj=locked)
    return locked


def _checked(form: Mapping[str, Json], answer: Json) -> Json:
    limits = settings.WORKFLOW
    _, answer = strict_json.encode(answer, max_bytes=limits.max_update_bytes, max_depth=limits.max_json_depth)
    schema = state_schema(form)
    details = schema.check_input(answer) if schema else []
    if details:
        raise AnswerInvalid([replace(detail, code="answer-invalid") for detail in details])
    return answer


# --------------------------------------------------------------------------- handing on


def delegate_task(*, task: HumanTask, to: Mapping[str, Sequence[str]], actor: Actor) -> HumanTask:
    """Have others answer a task in place of those who should: `{"users": […], "roles": […], "groups": […]}`.

    An assignee may, and an editor. Answers that were given stay. Raises NotAssigned, TaskClosed and DelegateUnknown.
    """
    with transaction.atomic():
        locked = _lock(task, actor)
        if not locked.is_mine and not has_role(actor, Role.EDITOR):
            raise NotAssigned(task.uuid)
        _check_is_open(locked)
        details = list(_unknown(to, actor))
        if details:
            raise DelegateUnknown(details)
        assignees = {word: list(names) for word, names in to.items() if names}
        TaskAssignee.objects.filter(task=locked).delete()
        TaskAssignee.objects.bulk_create(
            TaskAssignee(task=locked, kind=kind, name=name) for kind, name in pairs_of(assignees)
        )
        post(locked.run, kind=DELEGATED, payload={**_address(locked), "assignees": assignees}, actor=actor)
        audit.record(actor=actor, action="task.delegated", obj=locked, data={"to": assignees})
        transaction.on_commit(wake_drivers)
    return tasks_of(actor).get(pk=locked.pk)


def _unknown(to: Mapping[str, Sequence[str]], actor: Actor) -> Iterator[Detail]:
    if not any(to.values()):
        yield Detail(path="", code="delegate-unknown", message="Name somebody who shall answer.")
    members = Membership.objects.filter(organization=actor.organization)
    known = {
        "users": set(members.filter(user__username__in=to.get("users", ())).values_list("user__username", flat=True)),
        "roles": set(Role.values),
        "groups": set(Group.objects.filter(name__in=to.get("groups", ())).values_list("name", flat=True)),
    }
    for word, names in to.items():
        for place, name in enumerate(names):
            if name not in known[word]:
                message = f"There are no {word} called {name!r} here."
                yield Detail(path=strict_json.pointer(word, place), code="delegate-unknown", message=message)


# --------------------------------------------------------------------------- both


def _lock(task: HumanTask, actor: Actor) -> HumanTask:
    """The task as it is now; nobody changes it before the transaction ends."""
    # The run first, as its driver does it, which closes tasks: else each could wait for the other.
    Run.objects.select_for_update(of=("self",)).get(pk=task.run_id)
    HumanTask.objects.select_for_update(of=("self",)).get(pk=task.pk)
    return tasks_of(actor).get(pk=task.pk)


def _check_is_open(task: HumanTask) -> None:
    if task.status != HumanTask.Status.OPEN:
        by = [answer["by"] for answer in json.loads(task.answers)]
        raise TaskClosed(task.uuid, task.status, by)


def _address(task: HumanTask) -> dict[str, Json]:
    return {"step": bytes(task.step).hex(), "task": task.uuid.hex}
