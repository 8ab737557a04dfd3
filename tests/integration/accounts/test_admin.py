"""The admin pages of accounts, and those that are not there."""

import re

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client

from accounts import audit
from accounts.actor import Actor
from accounts.models import ApiKey, AuditEntry, Organization
from accounts.services import hash_secret


@pytest.fixture
def superuser(client: Client, db: None) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.mark.parametrize(
    "model", ["auth/user", "auth/group", "accounts/organization", "accounts/apikey", "accounts/auditentry"]
)
def test_every_list_opens(superuser: Client, organization: Organization, model: str) -> None:
    assert superuser.get(f"/admin/{model}/").status_code == 200


@pytest.mark.parametrize("model", ["auth/user", "auth/group", "accounts/organization", "accounts/apikey"])
def test_every_form_opens(superuser: Client, organization: Organization, model: str) -> None:
    assert superuser.get(f"/admin/{model}/add/").status_code == 200


def test_the_audit_log_is_read_only(superuser: Client, actor: Actor) -> None:
    audit.record(actor=actor, action="graph.published", obj=actor.organization)
    page = superuser.get(f"/admin/accounts/auditentry/{AuditEntry.objects.get().pk}/change/").content.decode()
    assert "graph.published" in page
    assert 'name="_save"' not in page


def test_a_key_made_in_the_admin_shows_its_secret_once(superuser: Client, organization: Organization) -> None:
    fields = {"organization": organization.pk, "name": "ci", "role": "operator", "expires_at_0": "", "expires_at_1": ""}
    page = superuser.post("/admin/accounts/apikey/add/", fields, follow=True).content.decode()

    secret = re.search(r"wf_[\w-]{40,}", page)
    assert secret is not None
    assert ApiKey.objects.get().key_sha256 == hash_secret(secret[0])
    assert secret[0] not in superuser.get("/admin/accounts/apikey/").content.decode()


def test_keys_are_revoked_in_the_admin_with_an_audit_entry(superuser: Client, organization: Organization) -> None:
    key = ApiKey.objects.create(organization=organization, name="ci", prefix="wf_x", key_sha256="x")
    superuser.post("/admin/accounts/apikey/", {"action": "revoke", "_selected_action": [key.pk]})

    assert ApiKey.objects.get().revoked_at is not None
    assert AuditEntry.objects.get(action="api-key.revoked").actor == "root"


def test_a_member_who_is_not_staff_is_kept_out(client: Client, owner: User) -> None:
    client.force_login(owner)
    assert client.get("/admin/").status_code == 302


def test_the_pages_of_django_q_are_not_there() -> None:
    assert "django_q" not in {model._meta.app_label for model in admin.site._registry}
