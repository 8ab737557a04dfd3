"""The cast: an organization with one member of each role, and a stranger who is admin of another one."""

from collections.abc import Callable, Iterator

import pytest
from coverage import Coverage
from django.contrib.auth.models import User
from django.test import TransactionTestCase
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from rest_framework.test import APIClient

from accounts.actor import Actor
from accounts.models import Membership, Organization, Role
from runs import bell
from tests.support.emptying import empty_databases

pytest_plugins = ["runs.testing"]

# A slow or busy machine is no failure.
hypothesis_settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("patient")


def member(organization: Organization, username: str, role: Role) -> User:
    user = User.objects.create(username=username)
    Membership.objects.create(organization=organization, user=user, role=role)
    return user


def acting(user: User) -> Actor:
    """The user as an actor of the first organization it belongs to."""
    membership = user.memberships.select_related("organization").earliest("pk")
    return Actor(organization=membership.organization, name=user.username, role=Role(membership.role), user=user)


@pytest.fixture
def organization(db: None) -> Organization:
    return Organization.objects.create(slug="acme", name="Acme")


@pytest.fixture
def owner(organization: Organization) -> User:
    return member(organization, "owner", Role.ADMIN)


@pytest.fixture
def editor(organization: Organization) -> User:
    return member(organization, "editor", Role.EDITOR)


@pytest.fixture
def operator(organization: Organization) -> User:
    return member(organization, "operator", Role.OPERATOR)


@pytest.fixture
def viewer(organization: Organization) -> User:
    return member(organization, "viewer", Role.VIEWER)


@pytest.fixture
def stranger(db: None) -> User:
    return member(Organization.objects.create(slug="elsewhere", name="Elsewhere"), "stranger", Role.ADMIN)


@pytest.fixture
def actor(owner: User) -> Actor:
    return acting(owner)


@pytest.fixture
def stranger_actor(stranger: User) -> Actor:
    return acting(stranger)


@pytest.fixture
def client_of() -> Callable[[User], APIClient]:
    """A client with a user's session."""

    def sign_in(user: User) -> APIClient:
        client = APIClient(raise_request_exception=False)
        client.force_login(user)
        return client

    return sign_in


@pytest.fixture
def api_client(owner: User, client_of: Callable[[User], APIClient]) -> APIClient:
    """The owner's client."""
    return client_of(owner)


@pytest.fixture(scope="session", autouse=True)
def quick_emptying() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", empty_databases)
        yield


@pytest.fixture(scope="module")
def untraced() -> Iterator[None]:
    """No coverage is taken of tests that compute much, for four times as long: other tests go through the same code."""
    watching = Coverage.current()
    if watching:
        watching.stop()
    yield
    if watching:
        watching.start()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> Iterator[None]:
    """The bell may have a connection of its own to the test database; it is closed before that is dropped."""
    yield
    bell.stop_ringing()
