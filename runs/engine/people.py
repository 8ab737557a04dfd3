"""Nodes that ask people: from their definition to a task, and from the answers to a result.

What the journal keeps of it is what a delegation or a look at the clock needs; the question itself stands in the
definition, and for people where they answer it:

    {"kind": "human", "task": "6f1c…", "assignees": {"users": ["ada"], …}, "due_at": "2026-11-25T12:00:00+00:00", …}

A tool asks in the same way (`ctx.interrupt`). There the question stands in the wait, and the answer is no result of the
step: it is recorded under the `interrupt`'s name, and the tool is called again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from graphs.spec import Assignees, DueAnswer, HumanSpec
from runs.engine.events import Json, JsonObject
from runs.engine.resolving import Returned
from runs.questions import read_question
from tools.parts import Interrupt

HUMAN = "human"


def begin_task(spec: HumanSpec, *, task: str, now: datetime) -> JsonObject:
    """What a step that asks people at `now` waits for. It ends by itself only if the definition says how."""
    due_at = None if spec.due_s is None else (now + timedelta(seconds=spec.due_s)).isoformat()
    return {
        "kind": HUMAN,
        "task": task,
        "assignees": _named(spec.assignees),
        "quorum": spec.quorum,
        "since": now.isoformat(),
        "due_at": due_at,
        "timeout_at": due_at if spec.on_due is not None else None,
    }


def begin_interrupt(asked: Interrupt, *, task: str, now: datetime) -> JsonObject:
    """What a step waits for whose tool asks people at `now`. Raises PartInvalid for a question that is none."""
    return {**begin_task(read_question(asked), task=task, now=now), "interrupt": asked.name, "question": asked.question}


def is_task(wait: Mapping[str, Json]) -> bool:
    return wait.get("kind") == HUMAN


def answered(spec: HumanSpec, answers: Sequence[JsonObject]) -> Returned:
    """The result of a task: `{"answer", "by", "at"}`, with a quorum `{"answers": [each of them]}`.

    Without `outputs` the one answer is the update. That of a quorum is none: nobody knows whose answers count.
    """
    if spec.quorum > 1:
        return Returned(value={"answers": list(answers)}, implied={})
    (answer,) = answers
    return Returned(value=answer, implied=answer["answer"] if isinstance(answer["answer"], dict) else {})


def expired(spec: HumanSpec, answers: Sequence[JsonObject], *, at: str) -> Returned:
    """The result of a task that was not answered in time: on by `on_due`, or with its answer, which nobody gave.

    `answers` are those that came, too few for the quorum.
    """
    if isinstance(spec.on_due, DueAnswer):
        return answered(spec, [*answers, {"answer": spec.on_due.answer, "by": None, "at": at}])
    return Returned(value={"at": at}, implied={}, route=(str(spec.on_due),), is_nothing=True)


def said(result: Returned) -> Json:
    """What was answered, without by whom and when: what a tool's question gives. Of a quorum, all of it."""
    return result.value["answers"] if "answers" in result.value else result.value.get("answer")


def _named(assignees: Assignees) -> JsonObject:
    lists = {"users": assignees.users, "roles": assignees.roles, "groups": assignees.groups}
    return {word: list(names) for word, names in lists.items() if names}
