"""Organizations, their members and API keys. All but the list of one's own organizations is for admins."""

from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import services
from accounts.api.base import ActorViewSet
from accounts.api.serializers import (
    ApiKeySerializer,
    IssuedApiKeySerializer,
    MemberSerializer,
    NewApiKeySerializer,
    NewMemberSerializer,
    NewOrganizationSerializer,
    OrganizationSerializer,
)
from accounts.models import ApiKey, Membership, Organization, Role
from accounts.selectors import api_keys_of, members_of, organizations_of


class OrganizationViewSet(ListModelMixin, ActorViewSet):
    """The organizations that the caller can act in. Others are chosen with the header `X-Organization: slug`."""

    roles = {"list": Role.VIEWER, "create": Role.ADMIN}
    queryset = Organization.objects.none()
    serializer_class = OrganizationSerializer

    def get_queryset(self) -> QuerySet[Organization]:
        return organizations_of(self.actor)

    @extend_schema(request=NewOrganizationSerializer, responses={201: OrganizationSerializer})
    def create(self, request: Request) -> Response:
        """Create an organization with the signed-in user as its first admin."""
        created = services.create_organization(**self.body(NewOrganizationSerializer), actor=self.actor)
        answer = OrganizationSerializer(self.get_queryset().get(pk=created.pk))
        return Response(answer.data, status=status.HTTP_201_CREATED)


class MemberViewSet(ListModelMixin, ActorViewSet):
    """The members of the organization."""

    roles = {"list": Role.ADMIN, "create": Role.ADMIN, "destroy": Role.ADMIN}
    queryset = Membership.objects.none()
    serializer_class = MemberSerializer
    lookup_field = "user__username"
    lookup_url_kwarg = "username"
    lookup_value_converter = "str"

    def get_queryset(self) -> QuerySet[Membership]:
        return members_of(self.organization)

    @extend_schema(request=NewMemberSerializer, responses={201: MemberSerializer})
    def create(self, request: Request) -> Response:
        """Give an existing user a role in the organization."""
        membership = services.add_member(**self.body(NewMemberSerializer), actor=self.actor)
        return Response(MemberSerializer(membership).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, username: str) -> Response:
        """End a membership. The last admin stays."""
        services.remove_member(membership=self.get_object(), actor=self.actor)
        return Response(status=status.HTTP_204_NO_CONTENT)


class ApiKeyViewSet(ListModelMixin, ActorViewSet):
    """The API keys of the organization, revoked ones too."""

    roles = {"list": Role.ADMIN, "create": Role.ADMIN, "destroy": Role.ADMIN}
    queryset = ApiKey.objects.none()
    serializer_class = ApiKeySerializer

    def get_queryset(self) -> QuerySet[ApiKey]:
        return api_keys_of(self.organization)

    @extend_schema(request=NewApiKeySerializer, responses={201: IssuedApiKeySerializer})
    def create(self, request: Request) -> Response:
        """Issue a key. Its secret is in this answer and never again."""
        key, secret = services.issue_api_key(**self.body(NewApiKeySerializer), actor=self.actor)
        return Response({**ApiKeySerializer(key).data, "secret": secret}, status=status.HTTP_201_CREATED)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, uuid: str) -> Response:
        """Revoke a key at once."""
        services.revoke_api_key(key=self.get_object(), actor=self.actor)
        return Response(status=status.HTTP_204_NO_CONTENT)
