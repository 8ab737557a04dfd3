"""Messages to a run."""

from __future__ import annotations

from contextvars import ContextVar

from django.db import transaction
from django.utils import timezone

from accounts.actor import Actor
from runs.errors import OwnRun
from runs.models import Mailbox, Run
from tools import strict_json

UNDONE = "step-undone"
"""The kind of the message that fails a step whose transaction the database refused. Payload: `step`, `attempt`, and the
`type` and `message` of the error."""

atomic_step_of: ContextVar[int | None] = ContextVar("atomic_step_of", default=None)
"""The id of the run whose atomic tool works in this context, within the transaction of its step's completion."""


def post(
    run: Run, *, kind: str, payload: strict_json.Json, actor: Actor, idempotency_key: str | None = None
) -> Mailbox:
    """Leave a message and make the run due, also a failed one. Its driver is rung by the caller, after the commit.

    A run that is queued is due for nothing but its cancelling. Raises OwnRun in an atomic tool of the run.
    """
    if atomic_step_of.get() == run.pk:
        raise OwnRun(run.uuid)
    now = timezone.now()
    with transaction.atomic():
        mail = Mailbox.objects.create(
            run=run,
            kind=kind,
            payload=strict_json.dumps(payload),
            user=actor.user,
            actor=actor.name,
            idempotency_key=idempotency_key,
            created_at=now,
        )
        due = Run.objects.filter(pk=run.pk, deleted_at=None).exclude(status__in=Run.FINAL)
        (due if kind == "cancel" else due.exclude(queued=True)).update(wake_at=now)
    return mail


def post_undone(run_id: int, *, step: bytes, attempt: int, error: BaseException) -> None:
    """Leave word to whoever drives the run next that a step cannot be committed."""
    payload = {"step": step.hex(), "attempt": attempt, "type": type(error).__name__, "message": str(error)}
    Mailbox.objects.create(
        run_id=run_id,
        kind=UNDONE,
        payload=strict_json.dumps(payload),
        actor="the database",
        created_at=timezone.now(),
    )
