"""Organizations, members and API keys as JSON."""

from __future__ import annotations

from rest_framework import serializers

from accounts.api.base import StrictSerializer
from accounts.models import ApiKey, Membership, Organization, Role

_ROLES = tuple(zip(Role, Role.labels, strict=True))


class OrganizationSerializer(serializers.ModelSerializer[Organization]):
    id = serializers.UUIDField(source="uuid")
    role = serializers.ChoiceField(choices=_ROLES, help_text="What the caller may do in it.")

    class Meta:
        model = Organization
        fields = ["id", "slug", "name", "role", "created_at"]
        read_only_fields = fields


class NewOrganizationSerializer(StrictSerializer):
    name = serializers.CharField(max_length=100)
    slug = serializers.SlugField(max_length=64)


class MemberSerializer(serializers.ModelSerializer[Membership]):
    username = serializers.CharField(source="user.username")

    class Meta:
        model = Membership
        fields = ["username", "role", "created_at"]
        read_only_fields = fields


class NewMemberSerializer(StrictSerializer):
    username = serializers.CharField(max_length=150)
    role = serializers.ChoiceField(choices=_ROLES)


class ApiKeySerializer(serializers.ModelSerializer[ApiKey]):
    id = serializers.UUIDField(source="uuid")

    class Meta:
        model = ApiKey
        fields = ["id", "name", "prefix", "role", "created_at", "expires_at", "revoked_at", "last_used_at"]
        read_only_fields = fields


class NewApiKeySerializer(StrictSerializer):
    name = serializers.CharField(max_length=100)
    role = serializers.ChoiceField(choices=_ROLES, default=Role.OPERATOR)
    expires_at = serializers.DateTimeField(required=False, help_text="Left out: it does not expire.")


class IssuedApiKeySerializer(ApiKeySerializer):
    secret = serializers.CharField(help_text="Shown in this answer and never again.")

    class Meta(ApiKeySerializer.Meta):
        fields = [*ApiKeySerializer.Meta.fields, "secret"]
        read_only_fields = fields
