"""Users, groups, organizations, members, API keys and the audit log, for superusers of the installation."""

from __future__ import annotations

from typing import cast

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts import services
from accounts.actor import Actor
from accounts.models import ApiKey, AuditEntry, Membership, Organization, Role

admin.site.unregister(User)
admin.site.unregister(Group)


def superuser_of(request: HttpRequest, organization: Organization) -> Actor:
    """A superuser in the admin, acting in the organization of what it changes."""
    user = cast(User, request.user)
    return Actor(organization=organization, name=user.get_username(), role=Role.ADMIN, user=user)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    """Groups can be asked by `human` nodes; who is in one is chosen on the user's page."""


class MembershipInline(TabularInline):
    model = Membership
    extra = 0
    autocomplete_fields = ["user"]


@admin.register(Organization)
class OrganizationAdmin(ModelAdmin):
    list_display = ["name", "slug", "created_at"]
    search_fields = ["name", "slug"]
    readonly_fields = ["uuid", "created_at"]
    inlines = [MembershipInline]


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):
    """Adding one shows its secret once. A key does not change afterwards; it is revoked."""

    list_display = ["name", "prefix", "organization", "role", "last_used_at", "expires_at", "revoked_at"]
    list_filter = ["organization", "role"]
    search_fields = ["name", "prefix"]
    fields = ["organization", "name", "role", "expires_at"]
    actions = ["revoke"]

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: ApiKey, form: ModelForm[ApiKey], change: bool) -> None:
        key, secret = services.issue_api_key(
            name=obj.name,
            role=Role(obj.role),
            expires_at=obj.expires_at,
            actor=superuser_of(request, obj.organization),
        )
        obj.pk = key.pk
        self.message_user(request, f"The secret, shown this once: {secret}", messages.WARNING)

    @admin.action(description="Revoke the selected keys", permissions=["add"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for key in queryset.select_related("organization"):
            services.revoke_api_key(key=key, actor=superuser_of(request, key.organization))
        self.message_user(request, "The keys are revoked.")


@admin.register(AuditEntry)
class AuditEntryAdmin(ModelAdmin):
    list_display = ["at", "actor", "action", "object_type", "object_id", "organization"]
    list_filter = ["organization", "action"]
    search_fields = ["actor", "object_id"]
    date_hierarchy = "at"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: AuditEntry | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AuditEntry | None = None) -> bool:
        return False
