"""Who gets in, by which credentials, over HTTP and over WebSockets."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.models import Session
from django.test import Client, RequestFactory
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts import services
from accounts.actor import Actor
from accounts.authentication import (
    SESSION_ORGANIZATION,
    actor_of_request,
    actor_of_scope,
    credentials_of_request,
    identify,
)
from accounts.errors import CredentialsInvalid, NotAMember
from accounts.models import Membership, Organization, Role

pytestmark = pytest.mark.django_db

LOCAL = {"HTTP_HOST": "localhost:8000", "REMOTE_ADDR": "127.0.0.1"}


def request(user: User | None = None, session: dict[str, str] | None = None, **headers: str) -> Any:
    made = RequestFactory().get("/", **headers)
    made.user = user or AnonymousUser()
    made.session = session or {}
    return made


def scope(user: User | None = None, peer: str = "192.0.2.1", **headers: str) -> dict[str, Any]:
    if user is not None:
        browser = Client()
        browser.force_login(user)
        headers["cookie"] = f"other=1; sessionid={browser.session.session_key}"
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"headers": pairs, "client": (peer, 4321)}


@pytest.fixture
def secret(actor: Actor) -> str:
    return services.issue_api_key(name="ci", role=Role.OPERATOR, actor=actor)[1]


def test_nobody_gets_in_without_credentials(organization: Organization) -> None:
    assert actor_of_request(request(**LOCAL)) is None
    assert actor_of_scope(scope(peer="127.0.0.1", host="localhost:8000")) is None


def test_a_key_acts_with_its_own_role_in_its_own_organization(organization: Organization, secret: str) -> None:
    actor = actor_of_request(request(HTTP_AUTHORIZATION=f"Bearer {secret}"))

    assert actor is not None
    assert (actor.organization, actor.role, actor.user) == (organization, Role.OPERATOR, None)
    assert organization.api_keys.get().last_used_at is not None


@pytest.mark.parametrize("authorization", ["Bearer wf_wrong", "Bearer", "Basic dXNlcjpwdw==", "wf_wrong"])
def test_a_wrong_key_is_refused_even_where_a_session_or_the_machine_would_do(
    owner: User, settings: Settings, authorization: str
) -> None:
    settings.DEBUG = True
    wrong = request(owner, HTTP_AUTHORIZATION=authorization, **LOCAL)

    with pytest.raises(CredentialsInvalid):
        identify(credentials_of_request(wrong))
    assert actor_of_request(wrong) is None


def test_a_revoked_or_expired_key_is_refused(actor: Actor, secret: str) -> None:
    key = actor.organization.api_keys.get()
    services.revoke_api_key(key=key, actor=actor)
    yesterday = timezone.now() - timedelta(days=1)
    _, expired = services.issue_api_key(name="old", role=Role.VIEWER, actor=actor, expires_at=yesterday)

    assert actor_of_request(request(HTTP_AUTHORIZATION=f"Bearer {secret}")) is None
    assert actor_of_request(request(HTTP_AUTHORIZATION=f"Bearer {expired}")) is None


def test_a_session_acts_with_the_role_that_the_database_has_now(viewer: User) -> None:
    first = actor_of_request(request(viewer))
    viewer.memberships.update(role=Role.EDITOR)
    second = actor_of_request(request(viewer))

    assert first is not None
    assert second is not None
    assert (first.role, second.role) == (Role.VIEWER, Role.EDITOR)


def test_a_user_of_several_organizations_names_one(owner: User, stranger: User) -> None:
    elsewhere = Organization.objects.get(slug="elsewhere")
    Membership.objects.create(organization=elsewhere, user=owner, role=Role.VIEWER)

    def organization_of(made: Any) -> str:
        actor = actor_of_request(made)
        assert actor is not None
        return actor.organization.slug

    assert organization_of(request(owner)) == "acme"
    assert organization_of(request(owner, HTTP_X_ORGANIZATION="elsewhere")) == "elsewhere"
    assert organization_of(request(owner, {SESSION_ORGANIZATION: "elsewhere"})) == "elsewhere"
    assert organization_of(request(owner, {SESSION_ORGANIZATION: "left-long-ago"})) == "acme"


def test_an_organization_out_of_reach_is_refused(owner: User, secret: str, stranger: User) -> None:
    by_session = request(owner, HTTP_X_ORGANIZATION="elsewhere")
    by_key = request(HTTP_AUTHORIZATION=f"Bearer {secret}", HTTP_X_ORGANIZATION="elsewhere")
    for made in (by_session, by_key):
        with pytest.raises(NotAMember):
            identify(credentials_of_request(made))


def test_a_user_without_membership_reaches_nothing(db: None) -> None:
    with pytest.raises(NotAMember, match="any organization"):
        identify(credentials_of_request(request(User.objects.create(username="lonely"))))


def test_a_superuser_without_membership_is_told_where_to_make_one(db: None) -> None:
    with pytest.raises(
        NotAMember,
        match=r"root is not a member of any organization; you can change that in the admin, under Organizations",
    ):
        identify(credentials_of_request(request(User.objects.create_superuser("root"))))


def test_in_development_mode_a_program_on_this_machine_owns_the_local_organization(settings: Settings) -> None:
    settings.DEBUG = True
    actor = actor_of_request(request(**LOCAL))

    assert actor is not None
    assert (actor.organization.slug, actor.role, actor.user) == ("local", Role.ADMIN, None)
    with pytest.raises(NotAMember):
        identify(credentials_of_request(request(HTTP_X_ORGANIZATION="elsewhere", **LOCAL)))


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"REMOTE_ADDR": "192.0.2.1"}, id="another machine"),
        pytest.param({"REMOTE_ADDR": ""}, id="unknown machine"),
        pytest.param({"HTTP_HOST": "rebound.example:8000"}, id="DNS re-binding"),
        pytest.param({"HTTP_HOST": ""}, id="no Host"),
        pytest.param({"HTTP_ORIGIN": "https://evil.example"}, id="another site's page"),
        pytest.param({"HTTP_ORIGIN": "null"}, id="a sandboxed page"),
        pytest.param({"HTTP_ORIGIN": "http://localhost:9999"}, id="another port of this machine"),
        pytest.param({"HTTP_X_FORWARDED_FOR": "192.0.2.1"}, id="through a proxy"),
    ],
)
def test_development_mode_lets_nobody_else_in(settings: Settings, changed: dict[str, str]) -> None:
    settings.DEBUG = True
    assert actor_of_request(request(**{**LOCAL, **changed})) is None


def test_a_socket_of_our_own_page_carries_the_session(viewer: User) -> None:
    actor = actor_of_scope(scope(viewer, host="flows.example", origin="https://flows.example"))
    assert actor is not None
    assert actor.name == "viewer"


def test_a_socket_that_asks_again_learns_of_the_logout(viewer: User) -> None:
    opened = scope(viewer, host="flows.example", origin="https://flows.example")
    assert actor_of_scope(opened) is not None
    Session.objects.all().delete()
    assert actor_of_scope(opened) is None


def test_a_socket_of_another_sites_page_gets_nothing(owner: User, secret: str, settings: Settings) -> None:
    settings.DEBUG = True
    for origin in ("https://evil.example", "null"):
        foreign = {"host": "localhost:8000", "origin": origin, "peer": "127.0.0.1"}
        assert actor_of_scope(scope(owner, **foreign)) is None
        assert actor_of_scope(scope(**foreign)) is None
        assert actor_of_scope(scope(authorization=f"Bearer {secret}", **foreign)) is None


def test_a_socket_without_origin_needs_a_key(owner: User, secret: str) -> None:
    assert actor_of_scope(scope(owner, host="flows.example")) is None
    assert actor_of_scope(scope(host="flows.example", authorization="Bearer wf_wrong")) is None
    actor = actor_of_scope(scope(host="flows.example", authorization=f"Bearer {secret}"))
    assert actor is not None
    assert actor.role is Role.OPERATOR


def test_in_development_mode_a_script_on_this_machine_opens_sockets(settings: Settings) -> None:
    settings.DEBUG = True
    actor = actor_of_scope(scope(host="127.0.0.1:8000", peer="127.0.0.1"))
    assert actor is not None
    assert actor.organization.slug == "local"
