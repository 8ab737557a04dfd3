"""The admin, as somebody uses it who has never seen a definition's JSON."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEntry, Membership
from graphs import services
from graphs.models import Edge, Graph, GraphVersion, Node
from graphs.services import create_draft, create_graph
from runs.models import Run
from runs.services import start_run

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
    answer = fill(admin, version, start="nowhere", **SAVE_AND_PUBLISH)
    assert "nowhere" in messages_of(answer)
    assert answer.url == reverse("admin:graphs_graphversion_change", args=[version.pk])
    version.refresh_from_db()
    assert not version.is_published


def test_what_is_published_is_read_only(admin: Client, actor: Any):
    version = create_graph(definition={"name": "g", "start_node": "a", "nodes": {"a": {"tool": "noop"}}}, actor=actor)
    page = admin.get(reverse("admin:graphs_graphversion_change", args=[version.pk]))
    assert page.status_code == 200
    assert 'name="nodes-0-name"' not in page.content.decode()
    assert fill(admin, version).status_code == 403
    assert Node.objects.filter(version=version).count() == 1


def page_of(client: Client, version: GraphVersion) -> str:
    return client.get(reverse("admin:graphs_graphversion_change", args=[version.pk])).content.decode()


def save_json(client: Client, version: GraphVersion, text: str, **more: str) -> Any:
    page = reverse("admin:graphs_graphversion_change", args=[version.pk])
    return client.post(page, {"definition": text, **more})


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that few nodes are many."""
    monkeypatch.setattr("graphs.admin.nodes.MAX_EDITABLE_NODES", 3)
    monkeypatch.setattr("graphs.admin.versions.MAX_SHOWN_ROWS", 3)


def large_draft(actor: Any, count: int = 4) -> GraphVersion:
    nodes = {f"n{number}": {"tool": "noop"} for number in range(count)}
    return create_draft(definition={"name": "g", "start_node": "n0", "nodes": nodes}, actor=actor)


@pytest.mark.parametrize(("count", "is_form"), [(3, True), (4, False)])
def test_a_draft_with_very_many_nodes_is_edited_as_json(
    small_limits: None, admin: Client, actor: Any, count: int, is_form: bool
):
    page = page_of(admin, large_draft(actor, count))
    assert ('name="nodes-0-name"' in page) is is_form
    assert ('name="definition"' in page) is not is_form


def test_the_json_of_a_large_draft_replaces_its_rows(small_limits: None, admin: Client, actor: Any):
    version = large_draft(actor)
    assert (
        save_json(admin, version, '{"name": "g", "start_node": "a", "nodes": {"a": {"next": "end"}}}').status_code
        == 302
    )
    assert list(version.nodes.values_list("name", flat=True)) == ["a"]
    assert list(version.edges.values_list("target", flat=True)) == ["end"]


def test_a_large_draft_is_saved_and_published_at_once(small_limits: None, admin: Client, actor: Any):
    version = large_draft(actor)
    text = '{"name": "g", "start_node": "a", "nodes": {"a": {}}}'
    assert "is published" in messages_of(save_json(admin, version, text, **SAVE_AND_PUBLISH))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "JSON"),
        ('{"name": "g", "name": "h"}', "name"),
        ('{"name": "g", "start_node": "b", "nodes": {"a": {"tol": 1}}}', "Did you mean &quot;tool&quot;"),
    ],
)
def test_json_that_is_no_definition_is_refused_and_kept_in_the_form(
    small_limits: None, admin: Client, actor: Any, text: str, complaint: str
):
    version = large_draft(actor)
    answer = save_json(admin, version, text)
    assert answer.status_code == 200
    assert complaint in answer.content.decode()
    assert version.nodes.count() == 4


def test_a_large_published_version_is_a_short_page(small_limits: None, admin: Client, actor: Any):
    nodes = {f"n{number}": {"tool": "noop", "next": f"n{number + 1}"} for number in range(5)}
    version = create_graph(definition={"name": "g", "start_node": "n0", "nodes": {**nodes, "n5": {}}}, actor=actor)
    page = page_of(admin, version)
    assert "And 3 more." in page
    assert 'name="definition"' not in page
    assert "save_and_publish" not in page


def test_edges_that_were_added_at_one_place_get_the_next_free_ones(admin: Client, organization: Any):
    version = add_graph(admin, organization)
    switch = [
        edge("pick", "a") | {"slot": "when", "expression": "x > 1"},
        edge("pick", "b") | {"slot": "when", "expression": "x"},
    ]
    fork = [edge("fork", "a"), edge("fork", "b"), edge("fork", "end")]
    same_case = [edge("pick", "b") | {"slot": "when", "expression": "x > 1"}]
    nodes = [node("fork", routing="fork"), node("pick", routing="switch"), node("a"), node("b")]
    answer = fill(admin, version, start="fork", **rows("nodes", *nodes), **rows("edges", *fork, *switch, *same_case))
    assert answer.status_code == 302
    definition = services.export_definition(version)
    assert definition["nodes"]["fork"]["next"] == ["a", "b", "end"]
    assert definition["nodes"]["pick"]["next"] == {
        "switch": [{"when": "x > 1", "to": ["a", "b"]}, {"when": "x", "to": "b"}]
    }


def test_two_nodes_of_one_name_are_refused_in_the_form(admin: Client, organization: Any):
    version = add_graph(admin, organization)
    answer = fill(admin, version, **rows("nodes", node("first"), node("first")), **rows("edges"))
    assert answer.status_code == 200
    assert version.nodes.count() == 0


def test_saving_a_draft_says_what_lint_finds_and_is_in_the_audit_log(admin: Client, organization: Any):
    version = add_graph(admin, organization)
    answer = fill(admin, version, **rows("nodes", node("first", tool="nope")), **rows("edges", edge("first", "gone")))
    assert "edge-without-effect" not in messages_of(answer)
    assert "has no place in this node" in messages_of(answer)
    assert AuditEntry.objects.filter(action="graph.draft_edited").count() == 1


def test_a_node_has_a_page_with_all_its_options_that_leads_back(admin: Client, actor: Any):
    version = create_draft(definition={"name": "g", "start_node": "a", "nodes": {"a": {"tool": "noop"}}}, actor=actor)
    page = reverse("admin:graphs_node_change", args=[version.nodes.get().pk])
    assert 'name="compensate"' in admin.get(page).content.decode()
    answer = admin.post(page, {"name": "a", "tool": "noop", "routing": "none", "rank": 0, "label": "First"})
    assert answer.url == reverse("admin:graphs_graphversion_change", args=[version.pk])
    assert services.export_definition(version)["nodes"]["a"]["label"] == "First"


def test_a_version_is_copied_to_a_new_draft(admin: Client, actor: Any):
    version = create_graph(definition={"name": "g", "start_node": "a", "nodes": {"a": {"tool": "noop"}}}, actor=actor)
    assert "is a draft like" in messages_of(act(admin, "copy_selected", version))
    copy = version.graph.versions.get(number=2)
    assert not copy.is_published
    assert services.export_definition(copy) == services.export_definition(version)


def test_the_page_of_a_published_version_leads_to_a_draft_of_the_next(
    admin: Client, staff: Any, viewer: User, actor: Any
):
    version = create_graph(definition={"name": "g", "start_node": "a", "nodes": {"a": {"tool": "noop"}}}, actor=actor)
    copy = reverse("admin:graphs_graphversion_copy", args=[version.pk])
    assert f'formaction="{copy}"' in page_of(admin, version)
    assert admin.get(copy).status_code == 302
    assert staff(viewer).post(copy).status_code == 403
    assert version.graph.versions.count() == 1
    answer = admin.post(copy)
    draft = version.graph.versions.get(number=2)
    assert answer.url == reverse("admin:graphs_graphversion_change", args=[draft.pk])
    assert "is a draft like" in messages_of(answer)
    assert copy not in page_of(admin, draft)


def test_a_draft_is_deleted_and_a_published_version_is_not(admin: Client, actor: Any):
    definition = {"name": "g", "start_node": "a", "nodes": {"a": {"tool": "noop"}}}
    draft, published = (
        create_draft(definition=definition, actor=actor),
        create_graph(definition=definition, actor=actor),
    )
    for version in (draft, published):
        admin.post(reverse("admin:graphs_graphversion_delete", args=[version.pk]), {"post": "yes"})
    assert list(GraphVersion.objects.all()) == [published]
    admin.post(reverse("admin:graphs_graph_delete", args=[published.graph.pk]), {"post": "yes"})
    assert list(Graph.objects.all()) == [draft.graph]


# --------------------------------------------------------------------------- roles


@pytest.fixture
def staff(client_of: Any) -> Any:
    """A client of a member who may enter the admin."""

    def sign_in(user: User) -> Client:
        user.is_staff = True
        user.save()
        client = Client()
        client.force_login(user)
        return client

    return sign_in


@pytest.mark.parametrize(
    ("member", "may_run", "may_edit"),
    [("viewer", False, False), ("operator", True, False), ("editor", True, True), ("owner", True, True)],
)
def test_the_role_decides_what_a_member_may_do(
    member: str, may_run: bool, may_edit: bool, staff: Any, actor: Any, request: pytest.FixtureRequest
):
    definition = {"name": "g", "start_node": "a", "nodes": {"a": {"tool": "noop"}}}
    published, draft = (
        create_graph(definition=definition, actor=actor),
        create_draft(definition=definition, actor=actor),
    )
    client = staff(request.getfixturevalue(member))
    for name in ("graphs_graph", "graphs_graphversion", "runs_run"):
        assert client.get(reverse(f"admin:{name}_changelist")).status_code == 200
    assert ('name="nodes-0-name"' in page_of(client, draft)) is may_edit
    assert client.get(reverse("admin:graphs_graph_add")).status_code == (200 if may_edit else 403)
    act(client, "run_selected", published)
    assert Run.objects.exists() is may_run
    act(client, "copy_selected", published)
    assert (GraphVersion.objects.count() == 3) is may_edit
    act(client, "publish_selected", draft)
    draft.refresh_from_db()
    assert draft.is_published is may_edit


def test_a_member_sees_the_objects_of_the_own_organizations_only(staff: Any, editor: User, stranger_actor: Any):
    definition = {"name": "theirs", "start_node": "a", "nodes": {"a": {"tool": "noop"}}}
    theirs, draft = (create(definition=definition, actor=stranger_actor) for create in (create_graph, create_draft))
    run = start_run(version=theirs, state={}, actor=stranger_actor)
    client = staff(editor)
    assert "theirs" not in client.get(reverse("admin:graphs_graph_changelist")).content.decode()
    for name, pk in [
        ("graphs_graphversion", theirs.pk),
        ("graphs_graph", theirs.graph.pk),
        ("graphs_node", draft.nodes.get().pk),
        ("runs_run", run.pk),
    ]:
        assert client.get(reverse(f"admin:{name}_change", args=[pk])).status_code == 302, name
    for action in ("run_selected", "copy_selected"):
        act(client, action, theirs)
    act(client, "publish_selected", draft)
    client.post(reverse("admin:runs_run_changelist"), {"action": "cancel_selected", "_selected_action": [run.pk]})
    assert Run.objects.count() == 1
    assert GraphVersion.objects.filter(status="published").count() == 1
    assert not run.mailbox.exists()


def test_a_member_of_no_organization_sees_nothing(staff: Any, db: None):
    client = staff(User.objects.create(username="nobody"))
    assert client.get(reverse("admin:graphs_graph_changelist")).status_code == 403


def test_a_graph_can_be_added_only_where_one_is_an_editor(staff: Any, viewer: User, stranger: User, organization: Any):
    elsewhere = stranger.memberships.get().organization
    Membership.objects.create(organization=elsewhere, user=viewer, role="editor")
    client = staff(viewer)
    for place in (organization, elsewhere):
        client.post(reverse("admin:graphs_graph_add"), {"organization": place.pk, "name": "By hand", "description": ""})
    assert [graph.organization for graph in Graph.objects.all()] == [elsewhere]


def test_a_run_is_shown_with_its_journal_and_can_be_cancelled(admin: Client, actor: Any):
    definition = {"name": "g", "start_node": "a", "nodes": {"a": {"tool": "noop"}}}
    run = start_run(version=create_graph(definition=definition, actor=actor), state={}, actor=actor)
    page = admin.get(reverse("admin:runs_run_change", args=[run.pk])).content.decode()
    assert "RunStarted" in page
    assert 'name="status"' not in page
    cancel = {"action": "cancel_selected", "_selected_action": [run.pk]}
    assert "is being cancelled" in messages_of(admin.post(reverse("admin:runs_run_changelist"), cancel))
    assert run.mailbox.get().kind == "cancel"


def test_a_long_state_is_shown_by_its_beginning(admin: Client, actor: Any):
    definition = {"name": "g", "start_node": "a", "nodes": {"a": {"tool": "noop"}}}
    run = start_run(version=create_graph(definition=definition, actor=actor), state={"k": "x" * 50_000}, actor=actor)
    assert len(admin.get(reverse("admin:runs_run_change", args=[run.pk])).content) < 100_000


def test_running_a_draft_says_to_publish_it(admin: Client, actor: Any):
    draft = create_draft(definition={"name": "g", "start_node": "a", "nodes": {"a": {}}}, actor=actor)
    assert "draft" in messages_of(act(admin, "run_selected", draft))
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


def test_the_page_of_a_graph_leads_to_its_drawing_and_its_versions(admin: Client, actor: Any):
    nodes = {"a": {"tool": "noop"}}
    first = create_graph(definition={"name": "Shown", "start_node": "a", "nodes": nodes}, actor=actor)
    draft = create_draft(
        graph=first.graph, definition={"name": "Shown", "start_node": "a", "nodes": nodes}, actor=actor
    )
    page = admin.get(reverse("admin:graphs_graph_change", args=[first.graph.pk])).content.decode()
    assert first.graph.slug in page
    assert f'href="/graphs/{first.graph.uuid}/"' in page
    for version in (first, draft):
        assert f'href="{reverse("admin:graphs_graphversion_change", args=[version.pk])}"' in page
