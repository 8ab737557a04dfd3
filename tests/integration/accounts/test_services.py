import pytest
from django.contrib.auth.models import User

from accounts import services
from accounts.actor import Actor
from accounts.errors import AlreadyAMember, LastAdmin, SlugTaken, UnknownUser, UserRequired
from accounts.models import ApiKey, AuditEntry, Membership, Organization, Role

pytestmark = pytest.mark.django_db


def test_an_installation_starts_with_the_local_organization() -> None:
    assert Organization.objects.get(slug="local").name == "Local"
    assert services.ensure_local_organization() == Organization.objects.get(slug="local")


def test_who_creates_an_organization_is_its_first_admin(actor: Actor) -> None:
    created = services.create_organization(name="New", slug="new", actor=actor)

    assert list(created.memberships.values_list("user__username", "role")) == [("owner", "admin")]
    entry = AuditEntry.objects.get(action="organization.created")
    assert (entry.organization, entry.actor, entry.object_id) == (created, "owner", str(created.uuid))


def test_a_taken_slug_is_refused_and_nothing_is_made(actor: Actor) -> None:
    with pytest.raises(SlugTaken):
        services.create_organization(name="Again", slug="acme", actor=actor)
    assert Organization.objects.filter(name="Again").count() == 0


def test_a_key_cannot_create_an_organization(organization: Organization) -> None:
    key = Actor(organization=organization, name="ci", role=Role.ADMIN)
    with pytest.raises(UserRequired):
        services.create_organization(name="New", slug="new", actor=key)


def test_a_member_is_added_once(actor: Actor, stranger: User) -> None:
    services.add_member(username="stranger", role=Role.VIEWER, actor=actor)

    with pytest.raises(AlreadyAMember):
        services.add_member(username="stranger", role=Role.ADMIN, actor=actor)
    assert Membership.objects.get(organization=actor.organization, user=stranger).role == "viewer"


def test_only_an_active_user_can_be_added(actor: Actor) -> None:
    User.objects.create(username="gone", is_active=False)
    for username in ("gone", "nobody"):
        with pytest.raises(UnknownUser, match=username):
            services.add_member(username=username, role=Role.VIEWER, actor=actor)


def test_the_last_admin_stays(actor: Actor, viewer: User) -> None:
    services.remove_member(membership=viewer.memberships.get(), actor=actor)
    assert not viewer.memberships.exists()

    with pytest.raises(LastAdmin):
        services.remove_member(membership=actor.user.memberships.get(), actor=actor)


def test_of_a_key_only_the_hash_and_the_first_characters_are_stored(actor: Actor) -> None:
    key, secret = services.issue_api_key(name="ci", role=Role.OPERATOR, actor=actor)

    assert secret.startswith(key.prefix)
    row = ApiKey.objects.filter(pk=key.pk).values().get()
    assert not any(secret in str(value) for value in row.values())
    assert secret not in str(AuditEntry.objects.get(action="api-key.issued").data)


def test_revoking_twice_keeps_the_first_time(actor: Actor) -> None:
    key, _ = services.issue_api_key(name="ci", role=Role.OPERATOR, actor=actor)
    services.revoke_api_key(key=key, actor=actor)
    key.refresh_from_db()
    first = key.revoked_at
    services.revoke_api_key(key=key, actor=actor)
    key.refresh_from_db()

    assert first is not None
    assert key.revoked_at == first
    assert AuditEntry.objects.filter(action="api-key.revoked").count() == 1
