"""Who is asking: the one place that turns credentials into an `Actor`, for REST, pages and WebSockets alike.

Credentials are an API key (`Authorization: Bearer wf_…`), else a session. Credentials that are wrong are refused and
never replaced by weaker ones. In development mode alone a request without any, made from this machine and not by
another site's page, acts as the owner of the local organization.

A user of several organizations names one with the header `X-Organization: slug`, or chooses one for the session.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import User
from django.db.models import Q
from django.http import HttpRequest
from django.http.cookie import parse_cookie
from django.http.request import split_domain_port
from django.utils import timezone

from accounts.actor import Actor
from accounts.errors import AccountsError, CredentialsInvalid, NotAMember
from accounts.models import ApiKey, Membership, Organization, Role
from accounts.services import hash_secret

SESSION_ORGANIZATION = "organization"
"""The session's entry with the slug of the organization that its user has chosen."""

_LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
_LAST_USE_PRECISION = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a request or a WebSocket handshake says about who sent it, and from where."""

    authorization: str
    user: User | None
    """The session's user, if it is signed in."""
    organization: str
    """The slug asked for with X-Organization."""
    chosen_organization: str
    """The slug chosen for the session."""
    host: str
    origin: str
    peer: str
    forwarded: bool
    """A proxy passed this on, so `peer` says nothing about the client."""

    @property
    def from_own_page(self) -> bool:
        """Whether a page of this very site sent it, as far as browsers tell."""
        return bool(self.host) and urlsplit(self.origin).netloc == self.host


def identify(credentials: Credentials) -> Actor | None:
    """Return who is acting; None without any credentials.

    Raises CredentialsInvalid for credentials that are not good, NotAMember for an organization out of their reach.
    """
    if credentials.authorization:
        return _key_actor(credentials)
    if credentials.user is not None:
        return _member_actor(credentials.user, credentials)
    if settings.DEBUG and _is_local(credentials):
        organization = Organization.objects.get(slug=Organization.LOCAL)
        _refuse_other_organization(organization, credentials)
        return Actor(organization=organization, name="local", role=Role.ADMIN)
    return None


def actor_of_request(request: HttpRequest) -> Actor | None:
    """Who sends this request; None for nobody, and for credentials that are not good."""
    try:
        return identify(credentials_of_request(request))
    except AccountsError:
        return None


def actor_of_scope(scope: Mapping[str, Any]) -> Actor | None:
    """Who opens this WebSocket; None for nobody, and for credentials that are not good.

    Needs nothing in the scope but what the server puts there, and reads the database anew, so that a socket that asks
    again learns of a logout or a lost role. A handshake carries the cookies of its user whichever site's page makes
    it, so a session counts only with an Origin that is this site; scripts, which send no Origin, use an API key.
    """
    credentials = _credentials_of_scope(scope)
    if credentials.origin and not credentials.from_own_page:
        return None
    try:
        return identify(credentials)
    except AccountsError:
        return None


def credentials_of_request(request: HttpRequest) -> Credentials:
    return _credentials(
        headers=request.headers,
        user=request.user,
        session=request.session,
        peer=request.META.get("REMOTE_ADDR", ""),
    )


def _credentials_of_scope(scope: Mapping[str, Any]) -> Credentials:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    request = HttpRequest()
    key = parse_cookie(headers.get("cookie", "")).get(settings.SESSION_COOKIE_NAME)
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    return _credentials(
        headers=headers,
        user=get_user(request) if key and "origin" in headers else None,
        session=request.session,
        peer=(scope.get("client") or ("", 0))[0],
    )


def _credentials(*, headers: Mapping[str, str], user: Any, session: Mapping[str, Any], peer: str) -> Credentials:
    return Credentials(
        authorization=headers.get("authorization", ""),
        user=user if getattr(user, "is_authenticated", False) else None,
        organization=headers.get("x-organization", ""),
        chosen_organization=session.get(SESSION_ORGANIZATION, ""),
        host=headers.get("host", ""),
        origin=headers.get("origin", ""),
        peer=peer,
        forwarded="x-forwarded-for" in headers or "forwarded" in headers,
    )


def _key_actor(credentials: Credentials) -> Actor:
    scheme, _, secret = credentials.authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise CredentialsInvalid("Send the API key as 'Authorization: Bearer wf_…'.")
    now = timezone.now()
    key = (
        ApiKey.objects.select_related("organization")
        .filter(Q(expires_at=None) | Q(expires_at__gt=now), key_sha256=hash_secret(secret.strip()), revoked_at=None)
        .first()
    )
    if key is None:
        raise CredentialsInvalid("This API key is unknown, expired or revoked; an admin can issue another.")
    _refuse_other_organization(key.organization, credentials)
    if key.last_used_at is None or now - key.last_used_at > _LAST_USE_PRECISION:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    return Actor(organization=key.organization, name=str(key), role=Role(key.role))


def _member_actor(user: User, credentials: Credentials) -> Actor:
    memberships = Membership.objects.select_related("organization").filter(user=user).order_by("pk")
    if credentials.organization:
        membership = memberships.filter(organization__slug=credentials.organization).first()
    else:
        chosen = memberships.filter(organization__slug=credentials.chosen_organization).first()
        membership = chosen or memberships.first()
    if membership is None:
        wanted = f"the organization {credentials.organization!r}" if credentials.organization else "any organization"
        # Whoever has just set the installation up has nobody to ask.
        advice = (
            "you can change that in the admin, under Organizations" if user.is_superuser else "ask one of its admins"
        )
        raise NotAMember(f"{user.username} is not a member of {wanted}; {advice}.")
    return Actor(organization=membership.organization, name=user.username, role=Role(membership.role), user=user)


def _refuse_other_organization(organization: Organization, credentials: Credentials) -> None:
    if credentials.organization not in ("", organization.slug):
        raise NotAMember(f"These credentials are for {organization.slug!r}, not for {credentials.organization!r}.")


def _is_local(credentials: Credentials) -> bool:
    """Whether the client is a program on this machine, or one of our own pages.

    The Host must name the loopback too: another site's page, its name re-bound to 127.0.0.1, sends its own name.
    """
    domain, _ = split_domain_port(credentials.host)
    return (
        not credentials.forwarded
        and _is_loopback(credentials.peer)
        and domain in _LOOPBACK_HOSTS
        and (not credentials.origin or credentials.from_own_page)
    )


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
