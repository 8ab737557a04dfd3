"""Organizations, members and API keys over REST."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from accounts.models import Organization

ClientOf = Callable[[User], APIClient]


def test_a_user_lists_the_organizations_it_belongs_to(viewer: User, stranger: User, client_of: ClientOf) -> None:
    listed = client_of(viewer).get("/api/v1/organizations/").json()["results"]
    assert [(each["slug"], each["role"]) for each in listed] == [("acme", "viewer")]


def test_an_admin_creates_an_organization_and_acts_in_it(api_client: APIClient) -> None:
    created = api_client.post("/api/v1/organizations/", {"name": "New", "slug": "new"})
    assert created.status_code == 201
    assert created.json()["role"] == "admin"

    members = api_client.get("/api/v1/members/", headers={"X-Organization": "new"}).json()["results"]
    assert [each["username"] for each in members] == ["owner"]


def test_a_taken_slug_is_a_conflict(api_client: APIClient) -> None:
    answer = api_client.post("/api/v1/organizations/", {"name": "Again", "slug": "acme"})
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "slug-taken"


@pytest.mark.parametrize("username", ["nobody", "owner"])
def test_a_user_who_cannot_be_added_is_named_at_its_field(api_client: APIClient, username: str) -> None:
    error = api_client.post("/api/v1/members/", {"username": username, "role": "viewer"}).json()["error"]
    assert [(each["path"], each["code"]) for each in error["details"]] == [("/username", error["code"])]


def test_an_admin_adds_and_removes_a_member(api_client: APIClient, stranger: User, organization: Organization) -> None:
    added = api_client.post("/api/v1/members/", {"username": "stranger", "role": "operator"})
    assert added.status_code == 201
    assert organization.memberships.get(user=stranger).role == "operator"

    assert api_client.delete("/api/v1/members/stranger/").status_code == 204
    assert not organization.memberships.filter(user=stranger).exists()
    assert api_client.delete("/api/v1/members/stranger/").status_code == 404


def test_the_last_admin_cannot_be_removed(api_client: APIClient) -> None:
    answer = api_client.delete("/api/v1/members/owner/")
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "last-admin"


def test_an_issued_key_opens_the_api_until_it_is_revoked(api_client: APIClient) -> None:
    issued = api_client.post("/api/v1/api-keys/", {"name": "ci", "role": "viewer"}).json()
    script = APIClient(headers={"Authorization": f"Bearer {issued['secret']}"})
    assert script.get("/api/v1/organizations/").json()["results"][0]["role"] == "viewer"

    listed = api_client.get("/api/v1/api-keys/").json()["results"]
    assert [each["prefix"] for each in listed] == [issued["secret"][:12]]
    assert "secret" not in listed[0]

    assert api_client.delete(f"/api/v1/api-keys/{issued['id']}/").status_code == 204
    refused = script.get("/api/v1/organizations/")
    assert refused.status_code == 401
    assert refused.json()["error"]["code"] == "invalid-credentials"
    assert refused["WWW-Authenticate"] == "Bearer"


def test_an_unknown_key_in_a_body_is_refused_with_its_path(api_client: APIClient) -> None:
    answer = api_client.post("/api/v1/api-keys/", {"name": "ci", "rolle": "viewer"})
    assert answer.status_code == 422
    assert answer.json()["error"]["details"] == [
        {
            "path": "/rolle",
            "code": "unknown-key",
            "message": "This key is not known here. Known are: name, role, expires_at.",
            "node": None,
        }
    ]


def test_a_session_needs_the_csrf_token(owner: User) -> None:
    browser = APIClient(enforce_csrf_checks=True)
    browser.force_login(owner)
    answer = browser.post("/api/v1/api-keys/", {"name": "stolen"})
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "permission-denied"


@pytest.mark.parametrize("path", ["/api/v1/organizations/", "/api/v1/nothing/", "/api/v1/api-keys/not-a-uuid/"])
def test_every_answer_of_the_api_is_json(db: None, path: str) -> None:
    answer = APIClient().get(path)
    assert answer.status_code in (401, 404)
    assert set(answer.json()["error"]) == {"code", "message", "details"}
