"""The audit log: who did what to which object."""

from __future__ import annotations

from typing import Any

from django.db.models import Model

from accounts.actor import Actor
from accounts.models import AuditEntry


def record(*, actor: Actor, action: str, obj: Model, data: dict[str, Any] | None = None) -> None:
    """Write one entry, such as `graph.published`, in the transaction of the change that it tells of.

    `obj` is named by its class and its UUID, or its primary key where it has none. `data` is JSON and holds no
    secret: whoever administers the organization reads it.
    """
    AuditEntry.objects.create(
        organization=actor.organization,
        actor=actor.name,
        action=action,
        object_type=type(obj).__name__,
        object_id=str(getattr(obj, "uuid", obj.pk)),
        data=data or {},
    )
