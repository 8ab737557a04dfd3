"""Who is acting: every service takes one, and every audit entry names one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from accounts.models import Organization, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Somebody, or a program, acting in one organization with one role."""

    organization: Organization
    name: str
    role: Role
    user: User | None = None
    """The signed-in user; None for an API key and for the anonymous owner of development mode."""
