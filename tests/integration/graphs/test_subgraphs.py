"""References to graphs: found in the organization, and pinned when their caller is published."""

import json
from typing import Any

import pytest

from accounts.actor import Actor
from graphs import services
from graphs.errors import DefinitionInvalid, GraphNotFound
from graphs.models import GraphVersion
from graphs.subgraphs import find_version

pytestmark = pytest.mark.django_db


def graph(name: str, **node: Any) -> dict[str, Any]:
    return {"name": name, "start_node": "a", "nodes": {"a": node}}


@pytest.fixture
def child(actor: Actor) -> GraphVersion:
    """The second of two published versions; there is a draft, too."""
    first = services.create_graph(definition=graph("Child"), actor=actor)
    draft = services.create_draft(graph=first.graph, definition=graph("Child", tool="noop"), actor=actor)
    version = services.publish_version(version=draft, actor=actor)
    services.create_draft(graph=first.graph, definition=graph("Child"), actor=actor)
    return version


@pytest.mark.parametrize(("reference", "number"), [("child", 2), ("child@1", 1), ("child@2", 2), ("child@latest", 2)])
def test_a_reference_names_a_published_version(child: GraphVersion, actor: Actor, reference: str, number: int):
    assert find_version(actor.organization.pk, reference).number == number


@pytest.mark.parametrize("reference", ["nobody", "child@3", "child@9999999999", "child@", "child@x", "", "Child"])
def test_what_names_none_is_refused(child: GraphVersion, actor: Actor, reference: str):
    if reference == "child@":
        assert find_version(actor.organization.pk, reference).number == 2
        return
    with pytest.raises(GraphNotFound):
        find_version(actor.organization.pk, reference)


def test_graphs_of_others_are_not_there(child: GraphVersion, stranger_actor: Actor):
    with pytest.raises(GraphNotFound):
        find_version(stranger_actor.organization.pk, "child")
    with pytest.raises(DefinitionInvalid, match="no published graph"):
        services.create_graph(definition=graph("Caller", graph="child"), actor=stranger_actor)


def test_publishing_pins_the_version_in_definition_and_rows(child: GraphVersion, actor: Actor):
    created = services.create_graph(definition=graph("Caller", graph="child"), actor=actor)
    draft = services.create_draft(definition=graph("Caller", graph="child"), actor=actor)
    published = services.publish_version(version=draft, actor=actor)
    for version in (created, published):
        assert json.loads(version.definition)["nodes"]["a"]["graph"] == "child@2"
        assert version.nodes.get().graph == "child@2"
    assert created.sha256 == published.sha256


@pytest.mark.parametrize("reference", ["child@1", "child@latest", "= plan"])
def test_what_says_which_version_stays_as_it_is(child: GraphVersion, actor: Actor, reference: str):
    version = services.create_graph(definition=graph("Caller", graph=reference), actor=actor)
    assert json.loads(version.definition)["nodes"]["a"]["graph"] == reference


def test_lint_names_the_node_that_calls_a_graph_that_is_not_there(child: GraphVersion, actor: Actor):
    draft = services.create_draft(definition=graph("Caller", graph="chlid"), actor=actor)
    assert [(p.code, p.path, p.node) for p in services.lint_version(draft) if p.level == "error"] == [
        ("unknown-graph", "/nodes/a/graph", "a")
    ]


@pytest.mark.parametrize(
    ("called", "caller", "warned"), [("stop", "drain", True), ("stop", "stop", False), ("drain", "drain", False)]
)
@pytest.mark.parametrize("reference", ["wary", "wary@1", "wary@latest"])
def test_lint_warns_of_a_called_graph_that_would_stop_alone(actor: Actor, reference, called, caller, warned):
    services.create_graph(definition={**graph("Wary"), "on_failure": called}, actor=actor)
    definition = {**graph("Caller", graph=reference), "on_failure": caller}
    version = services.create_graph(definition=definition, actor=actor)
    found = [(p.code, p.level, p.path, p.node) for p in services.lint_version(version)]
    assert (("stop-in-subgraph", "warning", "/nodes/a/graph", "a") in found) is warned


@pytest.mark.parametrize("reference", ["again", "again@1"])
def test_a_graph_may_call_itself_when_it_is_first_published(actor: Actor, reference: str):
    created = services.create_graph(definition=graph("Again", graph=reference), actor=actor)
    assert json.loads(created.definition)["nodes"]["a"]["graph"] == "again@1"
    assert find_version(actor.organization.pk, "again@1") == created


def test_so_may_a_draft_and_each_version_means_itself(actor: Actor):
    first = services.create_draft(definition=graph("Again", graph="again"), actor=actor)
    assert not [problem for problem in services.lint_version(first) if problem.code == "unknown-graph"]
    services.publish_version(version=first, actor=actor)
    second = services.create_draft(graph=first.graph, definition=graph("Again", graph="again"), actor=actor)
    services.publish_version(version=second, actor=actor)
    assert second.nodes.get().graph == "again@2"


def test_a_slug_that_is_taken_means_the_graph_that_has_it(child: GraphVersion, actor: Actor):
    other = services.create_graph(definition=graph("Child", graph="child"), actor=actor)
    assert (other.graph.slug, other.nodes.get().graph) == ("child-2", "child@2")
    third = services.create_graph(definition=graph("Child", graph="child-3"), actor=actor)
    assert (third.graph.slug, third.nodes.get().graph) == ("child-3", "child-3@1")


def test_lint_of_what_is_not_stored_knows_its_own_name(actor: Actor):
    def unknown(reference: str) -> list[str]:
        found = services.lint_definition(graph("Again", graph=reference), organization=actor.organization)
        return [problem.code for problem in found if problem.code == "unknown-graph"]

    assert unknown("again") == unknown("again@latest") == []
    assert unknown("again@2") == ["unknown-graph"]
