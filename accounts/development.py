"""What a development installation starts with."""

from __future__ import annotations

import secrets

from django.contrib.auth.models import User
from django.db import transaction

from accounts.models import Membership, Role
from accounts.services import ensure_local_organization

ADMIN = "admin"


@transaction.atomic
def ensure_admin() -> str | None:
    """Make the user `admin`, a superuser and admin of the local organization.

    Return its new random password, or None when there was such a user already.
    """
    if User.objects.filter(username=ADMIN).exists():
        return None
    password = secrets.token_urlsafe(9)
    user = User.objects.create_superuser(ADMIN, password=password)
    Membership.objects.create(organization=ensure_local_organization(), user=user, role=Role.ADMIN)
    return password
