"""Messages to a run."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from accounts.actor import Actor
from runs.models import Mailbox, Run
from tools import strict_json


def post(
    run: Run, *, kind: str, payload: strict_json.Json, actor: Actor, idempotency_key: str | None = None
) -> Mailbox:
    """Leave a message and make the run due. Its driver is rung by the caller, after the commit."""
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
        Run.objects.filter(pk=run.pk).exclude(status__in=Run.TERMINAL).update(wake_at=now)
    return mail
