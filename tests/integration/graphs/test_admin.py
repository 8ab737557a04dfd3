"""The admin, as somebody uses it who has never seen a definition's JSON."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from graphs.models import Edge, Graph, GraphVersion, Node
from graphs.services import create_draft, create_graph
from runs.models import Run

pytestmark = pytest.mark.django_db


SAVE_AND_PUBLISH = {"graphs_graphversion_save_and_publish": "1"}
"""The button's name."""


@pytest.fixture
def admin(client: Client, organization: Any) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


def rows(prefix: str, *given: dict[str, Any]) -> dict[str, Any]:
    """A formset's fields."""
    fields = {f"{prefix}-TOTAL_FORMS": len(given), f"{prefix}-INITIAL_FORMS": 0}
    for number, row in enumerate(given):
        fields |= {f"{prefix}-{number}-{name}": value for name, value in row.items()}
    return fields


def node(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "tool": "noop", "routing": "none", "rank": 0, **more}


def edge(source: str, target: str) -> dict[str, Any]:
    return {"source": source, "target": target, "slot": "next", "position": 0, "branch": 0}


def add_graph(admin: Client, organization: Any) -> GraphVersion:
    answer = admin.post(
        reverse("admin:graphs_graph_add"), {"organization": organization.pk, "name": "By hand", "description": ""}
    )
    version = GraphVersion.objects.get(graph__name="By hand")
    assert answer.url == reverse("admin:graphs_graphversion_change", args=[version.pk])
    return version


def fill(admin: Client, version: GraphVersion, start: str = "first", **more: str) -> Any:
    return admin.post(
        reverse("admin:graphs_graphversion_change", args=[version.pk]),
        {
            "name": "By hand",
            "start_node": start,
            "on_failure": "drain",
            "durability": "sync",
            **rows("nodes", node("first", routing="to"), node("second", rank=1)),
            **rows("edges", edge("first", "second")),
            **more,
        },
    )


def act(admin: Client, action: str, version: GraphVersion) -> Any:
    chosen = {"action": action, "_selected_action": [version.pk]}
    return admin.post(reverse("admin:graphs_graphversion_changelist"), chosen)


def messages_of(answer: Any) -> str:
    return " ".join(map(str, get_messages(answer.wsgi_request)))


def test_a_graph_is_made_from_nothing_published_and_run(admin: Client, organization: Any):
    version = add_graph(admin, organization)
    assert fill(admin, version).status_code == 302
    assert "is published" in messages_of(act(admin, "publish_selected", version))
    version.refresh_from_db()
    assert version.is_published
    act(admin, "run_selected", version)
    run = Run.objects.get(version=version)
    assert (run.trigger, run.actor) == ("admin", "root")
    assert admin.get(reverse("admin:runs_run_change", args=[run.pk])).status_code == 200


def test_publishing_says_what_is_wrong_and_changes_nothing(admin: Client, organization: Any):
    version = add_graph(admin, organization)
    assert "nowhere" in messages_of(fill(admin, version, start="nowhere", **SAVE_AND_PUBLISH))
    version.refresh_from_db()
    assert not version.is_published


def test_what_is_published_is_read_only(admin: Client, actor: Any):
    version = create_graph(definition={"name": "g", "start_node": "a", "nodes": {"a": {"tool": "noop"}}}, actor=actor)
    page = admin.get(reverse("admin:graphs_graphversion_change", args=[version.pk]))
    assert page.status_code == 200
    assert 'name="nodes-0-name"' not in page.content.decode()
    assert fill(admin, version).status_code == 403
    assert Node.objects.filter(version=version).count() == 1


@pytest.mark.parametrize(("count", "is_form"), [(200, True), (201, False)])
def test_a_draft_with_very_many_nodes_is_shown_and_not_edited(admin: Client, actor: Any, count: int, is_form: bool):
    nodes = {f"n{number}": {"tool": "noop"} for number in range(count)}
    version = create_draft(definition={"name": "g", "start_node": "n0", "nodes": nodes}, actor=actor)
    page = admin.get(reverse("admin:graphs_graphversion_change", args=[version.pk])).content.decode()
    assert ('name="nodes-0-name"' in page) is is_form
    assert "start_node" in page


def test_an_editor_sees_the_graphs_of_the_own_organizations_only(client: Client, editor: User, stranger_actor: Any):
    create_graph(definition={"name": "theirs", "start_node": "a", "nodes": {"a": {}}}, actor=stranger_actor)
    editor.is_staff = True
    editor.save()
    editor.user_permissions.set(Permission.objects.filter(content_type__app_label__in=["graphs", "runs"]))
    client.force_login(editor)
    assert "theirs" not in client.get(reverse("admin:graphs_graph_changelist")).content.decode()
    theirs = GraphVersion.objects.get()
    assert client.get(reverse("admin:graphs_graphversion_change", args=[theirs.pk])).status_code == 302
    act(client, "run_selected", theirs)
    assert not Run.objects.exists()


def test_a_graph_with_runs_cannot_be_deleted(admin: Client, organization: Any):
    version = add_graph(admin, organization)
    fill(admin, version, **SAVE_AND_PUBLISH)
    act(admin, "run_selected", version)
    assert Run.objects.filter(version=version).exists()
    admin.post(reverse("admin:graphs_graph_delete", args=[version.graph.pk]), {"post": "yes"})
    assert Graph.objects.filter(pk=version.graph.pk).exists()
    assert Edge.objects.filter(version=version).exists()


def test_the_registered_tools_are_listed(admin: Client):
    assert "check_complexity" in admin.get(reverse("admin:tools")).content.decode()
