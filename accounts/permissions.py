"""Which role may do what: viewer reads, operator runs, editor changes graphs, admin keeps the organization."""

from __future__ import annotations

from accounts.actor import Actor
from accounts.errors import RoleTooLow
from accounts.models import Role

_ORDER = (Role.VIEWER, Role.OPERATOR, Role.EDITOR, Role.ADMIN)


def has_role(actor: Actor, required: Role) -> bool:
    """Whether the actor's role is `required` or one that includes it."""
    return _ORDER.index(actor.role) >= _ORDER.index(required)


def require_role(actor: Actor, required: Role) -> None:
    """Raise `RoleTooLow` unless the actor's role includes `required`."""
    if not has_role(actor, required):
        raise RoleTooLow(held=actor.role.value, required=required.value)
