"""Who may do what in the admin: the role in the organization of the object decides, as everywhere else.

Staff may enter the admin; a superuser is an admin of every organization. Django's own model permissions do not count.
"""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth.models import User
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from accounts.actor import Actor
from accounts.models import Membership, Organization, Role
from accounts.permissions import has_role

_CACHE = "_roles_in_organizations"


def actor_in(request: HttpRequest, organization: Organization) -> Actor | None:
    """The user as a member of the organization; None for somebody else."""
    user = cast(User, request.user)
    role = Role.ADMIN if user.is_superuser else _roles(request, user).get(organization.pk)
    if role is None:
        return None
    return Actor(organization=organization, name=user.get_username(), role=role, user=user)


def acting_in(request: HttpRequest, organization: Organization) -> Actor:
    """The same, where a permission check has made sure of it."""
    actor = actor_in(request, organization)
    if actor is None:
        raise PermissionError(f"{request.user} is no member of {organization}.")
    return actor


def organizations_of(request: HttpRequest, role: Role = Role.VIEWER) -> QuerySet[Organization]:
    """The organizations in which the user has at least this role."""
    organizations = Organization.objects.order_by("name")
    user = cast(User, request.user)
    if user.is_superuser:
        return organizations
    held = _roles(request, user)
    return organizations.filter(pk__in=[pk for pk, one in held.items() if _includes(one, role)])


def has_role_in(request: HttpRequest, organization: Organization | None, role: Role) -> bool:
    """Whether the user has at least this role in the organization; None: in any."""
    if organization is None:
        return organizations_of(request, role).exists()
    actor = actor_in(request, organization)
    return actor is not None and has_role(actor, role)


def _roles(request: HttpRequest, user: User) -> dict[int, Role]:
    """Of the memberships, read once a request: a page asks a hundred times."""
    roles: dict[int, Role] | None = getattr(request, _CACHE, None)
    if roles is None:
        # Whoever has not signed in yet has no id to look for.
        members = Membership.objects.filter(user_id=user.pk).values_list("organization_id", "role")
        roles = {organization: Role(role) for organization, role in members}
        setattr(request, _CACHE, roles)
    return roles


def _includes(held: Role, role: Role) -> bool:
    order = list(Role)
    return order.index(held) >= order.index(role)


class OfOrganization:
    """For the admin of a model: its objects are those of the user's organizations, and the role decides the rest."""

    organization_path = "organization"
    """How the organization is reached from the model, in the language of querysets."""
    changing_role: Role | None = Role.EDITOR
    """Who may add, change and delete; None for nobody."""

    def organization_of(self, obj: Model) -> Organization:
        value: Any = obj
        for name in self.organization_path.split("__"):
            value = getattr(value, name)
        return cast(Organization, value)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        objects: QuerySet[Any] = super().get_queryset(request)  # type: ignore[misc]
        return objects.filter(**{f"{self.organization_path}__in": organizations_of(request)})

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_role(request, obj, Role.VIEWER)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._may_change(request, None)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._may_change(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._may_change(request, obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Who may delete an object may delete what belongs to it."""
        deleted, counts, _, protected = super().get_deleted_objects(objs, request)  # type: ignore[misc]
        return deleted, counts, set(), protected

    def has_role(self, request: HttpRequest, obj: Model | None, role: Role) -> bool:
        """Whether the user has the role in the object's organization; without an object, in any."""
        return has_role_in(request, None if obj is None else self.organization_of(obj), role)

    def _may_change(self, request: HttpRequest, obj: Model | None) -> bool:
        return self.changing_role is not None and self.has_role(request, obj, self.changing_role)
