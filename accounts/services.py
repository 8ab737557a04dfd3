"""What can be done to organizations, members and API keys. The one writer of these tables besides the admin."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import audit
from accounts.actor import Actor
from accounts.errors import AlreadyAMember, LastAdmin, SlugTaken, UnknownUser, UserRequired
from accounts.models import ApiKey, Membership, Organization, Role

_KEY_MARK = "wf_"


def ensure_local_organization() -> Organization:
    """The organization that an installation starts with; made when it is missing."""
    organization, _ = Organization.objects.get_or_create(slug=Organization.LOCAL, defaults={"name": "Local"})
    return organization


@transaction.atomic
def create_organization(*, name: str, slug: str, actor: Actor) -> Organization:
    """A new organization with the acting user as its first admin. Raises `UserRequired`, `SlugTaken`."""
    if actor.user is None:
        raise UserRequired("An organization needs a first admin: sign in as a user, an API key cannot create one.")
    try:
        with transaction.atomic():
            organization = Organization.objects.create(name=name, slug=slug)
    except IntegrityError as error:
        raise SlugTaken(f"There is an organization {slug!r} already; choose another slug.") from error
    Membership.objects.create(organization=organization, user=actor.user, role=Role.ADMIN)
    owner = Actor(organization=organization, name=actor.name, role=Role.ADMIN, user=actor.user)
    audit.record(actor=owner, action="organization.created", obj=organization)
    return organization


@transaction.atomic
def add_member(*, username: str, role: Role, actor: Actor) -> Membership:
    """Give an existing, active user a role in the actor's organization. Raises `UnknownUser`, `AlreadyAMember`."""
    user = User.objects.filter(username=username, is_active=True).first()
    if user is None:
        raise UnknownUser(f"There is no active user {username!r}; a superuser can add one in the admin.")
    try:
        with transaction.atomic():
            membership = Membership.objects.create(organization=actor.organization, user=user, role=role)
    except IntegrityError as error:
        raise AlreadyAMember(
            f"{username!r} is a member already; remove the membership to give another role."
        ) from error
    audit.record(actor=actor, action="member.added", obj=membership, data={"user": username, "role": role.value})
    return membership


@transaction.atomic
def remove_member(*, membership: Membership, actor: Actor) -> None:
    """End a membership. Raises `LastAdmin` where nobody would be left to administer the organization."""
    # The organization's row is locked so that two admins who remove each other leave one.
    Organization.objects.select_for_update().get(pk=membership.organization_id)
    admins = Membership.objects.filter(organization=membership.organization_id, role=Role.ADMIN)
    if not admins.exclude(pk=membership.pk).exists():
        raise LastAdmin("This is the organization's last admin; make another member admin first.")
    data = {"user": membership.user.username, "role": membership.role}
    audit.record(actor=actor, action="member.removed", obj=membership, data=data)
    membership.delete()


@transaction.atomic
def issue_api_key(*, name: str, role: Role, actor: Actor, expires_at: datetime | None = None) -> tuple[ApiKey, str]:
    """A new key of the actor's organization, and its secret, which can be read here and never again."""
    secret = _KEY_MARK + secrets.token_urlsafe(32)
    key = ApiKey.objects.create(
        organization=actor.organization,
        name=name,
        prefix=secret[:12],
        key_sha256=hash_secret(secret),
        role=role,
        created_by=actor.user,
        expires_at=expires_at,
    )
    audit.record(actor=actor, action="api-key.issued", obj=key, data={"name": name, "role": role.value})
    return key, secret


@transaction.atomic
def revoke_api_key(*, key: ApiKey, actor: Actor) -> None:
    """End a key at once. Revoking twice keeps the first time."""
    if ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now()):
        audit.record(actor=actor, action="api-key.revoked", obj=key, data={"name": key.name})


def hash_secret(secret: str) -> str:
    """What is stored of a secret. A plain SHA-256 will do: the secret has 256 random bits, nothing to guess."""
    return hashlib.sha256(secret.encode()).hexdigest()
