"""What may be read of organizations, always starting from who asks."""

from __future__ import annotations

from django.db.models import F, QuerySet, Value

from accounts.actor import Actor
from accounts.models import ApiKey, Membership, Organization


def organizations_of(actor: Actor) -> QuerySet[Organization]:
    """The organizations that the actor can act in, each with the `role` it has there."""
    if actor.user is None:
        return Organization.objects.filter(pk=actor.organization.pk).annotate(role=Value(actor.role.value))
    return Organization.objects.filter(memberships__user=actor.user).annotate(role=F("memberships__role"))


def members_of(organization: Organization) -> QuerySet[Membership]:
    return Membership.objects.filter(organization=organization).select_related("user")


def api_keys_of(organization: Organization) -> QuerySet[ApiKey]:
    return ApiKey.objects.filter(organization=organization)
