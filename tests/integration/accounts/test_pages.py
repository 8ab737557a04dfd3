"""`page_actor`: who sees a page, who is sent to sign in, and who is refused."""

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from accounts.actor import Actor
from accounts.models import Role
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
