"""The rows of tasks, which people answer (`runs.engine.people`)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime

from graphs.spec import HumanSpec
from runs.engine.events import Json, JsonObject, StepId
from runs.models import TaskAssignee
from runs.store.writes import TaskRow
from tools import strict_json

ANY_OBJECT: JsonObject = {"type": "object"}

_KINDS = {
    "users": TaskAssignee.Kind.USER,
    "roles": TaskAssignee.Kind.ROLE,
    "groups": TaskAssignee.Kind.GROUP,
}


def new_task() -> str:
    """The id of a task that is about to be."""
    return uuid.uuid4().hex


def task_id(wait: Mapping[str, Json]) -> uuid.UUID:
    return uuid.UUID(hex=wait["task"])


def task_row(step: StepId, node: str, spec: HumanSpec, wait: Mapping[str, Json]) -> TaskRow:
    """The row that people answer."""
    return TaskRow(
        uuid=task_id(wait),
        step=step,
        node=node,
        title=spec.title,
        instructions=spec.instructions,
        form=strict_json.dumps(ANY_OBJECT if spec.form is None else spec.form),
        quorum=spec.quorum,
        due_at=None if wait["due_at"] is None else datetime.fromisoformat(wait["due_at"]),
        assignees=pairs_of(wait["assignees"]),
    )


def pairs_of(assignees: Mapping[str, Sequence[str]]) -> tuple[tuple[str, str], ...]:
    """`{"users": [name, …], "roles": …, "groups": …}` as kinds and names, each once."""
    pairs = ((kind.value, name) for word, kind in _KINDS.items() for name in assignees.get(word, ()))
    return tuple(dict.fromkeys(pairs))
