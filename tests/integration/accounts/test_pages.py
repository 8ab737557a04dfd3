"""`page_actor`: who sees a page, who is sent to sign in, and who is refused."""

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from accounts.actor import Actor
from accounts.models import Membership, Organization, Role
from accounts.pages import page_actor

pytestmark = pytest.mark.django_db


@page_actor(Role.EDITOR)
def page(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    return HttpResponse(f"{name} for {actor.name}")


def visit(user: User | None) -> HttpResponse:
    request = RequestFactory().get("/graphs/?page=2")
    request.user = user or AnonymousUser()
    request.session = {}
    return page(request, name="graphs")


def test_a_member_with_the_role_sees_the_page(editor: User, owner: User) -> None:
    assert visit(editor).content == b"graphs for editor"
    assert visit(owner).content == b"graphs for owner"


def test_nobody_is_sent_to_sign_in_and_comes_back(db: None) -> None:
    response = visit(None)
    assert response.status_code == 302
    assert response["Location"] == "/login/?next=/graphs/%3Fpage%3D2"


def test_a_role_too_low_is_refused(operator: User) -> None:
    with pytest.raises(PermissionDenied, match="needs the role editor"):
        visit(operator)


def test_a_user_of_no_organization_is_refused_and_not_sent_round_in_circles(db: None) -> None:
    with pytest.raises(PermissionDenied, match="not a member"):
        visit(User.objects.create(username="lonely"))


def test_a_user_of_two_organizations_switches_between_them(client: Client, owner: User, stranger: User) -> None:
    Membership.objects.create(organization=Organization.objects.get(slug="elsewhere"), user=owner, role=Role.VIEWER)
    client.force_login(owner)
    page = client.get("/").content.decode()
    assert "owner · Acme" in page
    assert "Switch to Elsewhere" in page

    assert client.post("/organization/", {"slug": "elsewhere"})["Location"] == "/"
    assert "owner · Elsewhere" in client.get("/").content.decode()
    assert client.get("/api/v1/graphs/").status_code == 200
    assert client.post("/api/v1/graphs/lint/", {}, content_type="application/json").status_code == 422
    assert client.post("/api/v1/graphs/import/", {}, content_type="application/json").status_code == 403


@pytest.mark.parametrize("slug", ["elsewhere", "nowhere", ""])
def test_nobody_switches_to_an_organization_of_others(client: Client, owner: User, stranger: User, slug: str) -> None:
    client.force_login(owner)
    assert client.post("/organization/", {"slug": slug}).status_code == 404
    assert "owner · Acme" in client.get("/").content.decode()
