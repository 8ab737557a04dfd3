"""Creating, changing and publishing graphs: rows, frozen JSON, slugs, audit entries, refusals."""

from __future__ import annotations

import json
import threading
import time
from types import ModuleType
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings

from accounts.actor import Actor
from accounts.models import AuditEntry
from graphs import prepared, services
from graphs.errors import DefinitionInvalid, VersionNotPublished, VersionPublished
from graphs.models import Edge, Graph, GraphVersion, Node
from graphs.plans import plan_of, spec_of
from graphs.rows import definition_of
from graphs.spec import parse_definition
from tests.unit.graphs.definitions import PUBLISHED, definitions, graph
from tools.strict_json import JsonInvalid

pytestmark = pytest.mark.django_db

ROUTING = graph({"a": {"next": {"condition": "x > 1", "if_true": "b", "if_false": "end"}}, "b": {}})


def refused(definition: Any, actor: Actor) -> set[tuple[str, str]]:
    with pytest.raises(DefinitionInvalid) as caught:
        services.create_graph(definition=definition, actor=actor)
    assert not Graph.objects.exists()
    return {(problem.path, problem.code) for problem in caught.value.problems}


def actions() -> list[str]:
    return list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))


# --------------------------------------------------------------------------- creating


def test_a_created_graph_is_published_with_rows_and_frozen_json(actor: Actor) -> None:
    version = services.create_graph(definition=PUBLISHED, actor=actor)
    version.refresh_from_db()
    assert version.is_published
    assert version.number == 1
    assert version.published_by == version.graph.created_by == actor.user
    assert json.loads(version.definition) == PUBLISHED
    assert version.definition == json.dumps(PUBLISHED, sort_keys=True, separators=(",", ":"))
    assert version.sha256 == parse_definition(PUBLISHED).sha256
    assert [node.name for node in version.nodes.all()] == list(PUBLISHED["nodes"])
    assert version.edges.count() == 6
    assert services.export_definition(version) == PUBLISHED
    assert actions() == ["graph.created"]


def test_creating_twice_makes_two_graphs_with_slugs_of_their_own(actor: Actor, stranger_actor: Actor) -> None:
    slugs = [services.create_graph(definition=PUBLISHED, actor=actor).graph.slug for _ in range(3)]
    assert slugs == ["code_review_workflow", "code_review_workflow-2", "code_review_workflow-3"]
    theirs = services.create_graph(definition=PUBLISHED, actor=stranger_actor)
    assert theirs.graph.slug == "code_review_workflow"
    assert theirs.graph.organization == stranger_actor.organization


def test_a_slug_that_is_taken_by_another_name_is_passed_over(actor: Actor) -> None:
    for name in ("My graph", "my graph 2", "My-Graph", "--", "日本"):
        services.start_draft(name=name, actor=actor)
    assert list(Graph.objects.order_by("pk").values_list("slug", flat=True)) == [
        "my-graph",
        "my-graph-2",
        "my-graph-3",
        "graph",
        "graph-2",
    ]


@pytest.mark.django_db(transaction=True)
def test_graphs_created_at_the_same_moment_get_different_slugs(actor: Actor) -> None:
    barrier, failures = threading.Barrier(4), list[BaseException]()

    def create() -> None:
        try:
            barrier.wait()
            for _ in range(3):
                services.create_graph(definition=ROUTING, actor=actor)
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(Graph.objects.values_list("slug", flat=True)) == sorted(
        ["test", *(f"test-{number}" for number in range(2, 13))]
    )


def test_a_graph_of_5000_nodes_is_created_in_seconds(actor: Actor) -> None:
    nodes = {
        f"n{i}": {"tool": "check_complexity", "inputs": {"code": "= rows"}, "next": f"n{i + 1}"} for i in range(4_999)
    }
    started = time.process_time()
    version = services.create_graph(definition=graph({**nodes, "n4999": {}}), actor=actor)
    assert time.process_time() - started < 15
    assert version.nodes.count() == 5_000


@pytest.mark.django_db(transaction=True)
def test_nothing_is_checked_and_no_rows_are_made_while_the_write_lock_is_held(
    actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: dict[str, list[bool]] = {}

    def watched(module: ModuleType, name: str) -> None:
        real = getattr(module, name)

        def watching(*args: Any, **options: Any) -> Any:
            held.setdefault(name, []).append(connection.in_atomic_block)
            return real(*args, **options)

        monkeypatch.setattr(module, name, watching)

    for name in ("lint", "parse_definition"):
        watched(services, name)
    for name in ("definition_of", "parse_definition", "rows_of"):
        watched(prepared, name)
    version = services.create_graph(definition=ROUTING, actor=actor)
    draft = services.create_draft(graph=version.graph, definition=ROUTING, actor=actor)
    services.replace_draft(version=draft, definition=PUBLISHED, actor=actor)
    services.publish_version(version=draft, actor=actor)
    checked = services.checked_definition(ROUTING, version.graph)
    assert services.publish_checked(graph=version.graph, checked=checked, actor=actor).number == 3
    assert set(held) == {"lint", "parse_definition", "definition_of", "rows_of"}
    assert not any(any(whether) for whether in held.values())


def test_a_definition_that_was_checked_is_published_under_the_number_that_is_free_then(actor: Actor) -> None:
    itself = graph({"a": {"next": {"condition": "x", "if_true": "b", "if_false": "end"}}, "b": {"graph": "test"}})
    first = services.create_graph(definition=itself, actor=actor)
    checked = services.checked_definition(itself, first.graph)
    services.create_draft(graph=first.graph, definition=ROUTING, actor=actor)
    third = services.publish_checked(graph=first.graph, checked=checked, actor=actor)
    assert third.number == 3
    assert json.loads(third.definition)["nodes"]["b"]["graph"] == third.nodes.get(name="b").graph == "test@3"


def test_publishing_pins_the_rows_of_nodes_that_call_graphs(actor: Actor) -> None:
    services.create_graph(definition=graph({"a": {}}, name="called"), actor=actor)
    calls = {"a": {"graph": "called", "next": "b"}, "b": {"graph": "called", "next": "c"}, "c": {"graph": "called@1"}}
    draft = services.create_draft(definition=graph(calls), actor=actor)
    published = services.publish_version(version=draft, actor=actor)
    assert set(published.nodes.values_list("graph", flat=True)) == {"called@1"}


def test_a_draft_that_somebody_changes_all_the_time_is_published_all_the_same(
    actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = services.create_draft(definition=graph({"a": {}}), actor=actor)
    changed = graph({"b": {}})

    def change(read: prepared.DraftAsRead, now: GraphVersion) -> bool:
        services.replace_draft(version=now, definition=changed, actor=actor)
        return False

    monkeypatch.setattr(prepared.DraftAsRead, "is_still", change)
    assert json.loads(services.publish_version(version=draft, actor=actor).definition) == changed


# --------------------------------------------------------------------------- refusing


def test_a_definition_that_breaks_the_grammar_leaves_nothing_behind(actor: Actor) -> None:
    assert refused({"name": "x"}, actor) == {("/start_node", "missing-key"), ("/nodes", "missing-key")}
    assert actions() == []


def test_unknown_tools_are_named_beside_broken_grammar(actor: Actor) -> None:
    definition = graph({"a": {"tool": "no_such_tool", "next": "nowhere"}, "b": {"tol": 1}})
    assert refused(definition, actor) == {
        ("/nodes/a/tool", "unknown-tool"),
        ("/nodes/a/next", "unknown-target"),
        ("/nodes/b/tol", "unknown-key"),
    }


def test_what_no_run_could_survive_is_refused_and_a_mere_surprise_is_not(actor: Actor) -> None:
    assert refused(graph({"a": {"tool": "no_such_tool"}}), actor) == {("/nodes/a/tool", "unknown-tool")}
    conflict = graph({"s": {"next": ["a", "b"]}, "a": {"outputs": {"k": 1}}, "b": {"outputs": {"k": 2}}})
    version = services.create_graph(definition=conflict, actor=actor)
    assert ("error", "write-conflict") in {(p.level, p.code) for p in services.lint_version(version)}


def test_a_broken_state_schema_is_refused(actor: Actor) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "whole"}}}
    assert refused(graph({"a": {}}, state={"schema": schema}), actor) == {
        ("/state/schema/properties/n/type", "schema-invalid")
    }


@pytest.mark.parametrize(
    ("node", "feature"),
    [
        ({"tool": "check_complexity", "executor": "cluster"}, "executor"),
    ],
)
def test_a_feature_that_is_not_there_yet_can_be_drafted_and_not_published(
    node: dict[str, Any], feature: str, actor: Actor
) -> None:
    definition = graph({"a": node})
    assert (f"/nodes/a/{feature}", "not-available-yet") in refused(definition, actor)
    draft = services.create_draft(definition=definition, actor=actor)
    with pytest.raises(DefinitionInvalid, match="not available yet"):
        services.publish_version(version=draft, actor=actor)
    assert services.export_definition(draft) == definition


@pytest.mark.parametrize("retry", [{}, {"max_attempts": 1}])
def test_a_retry_that_says_what_is_so_anyway_is_available(retry: dict[str, Any], actor: Actor) -> None:
    definition = graph({"a": {"tool": "check_complexity", "executor": "thread", "retry": retry}})
    assert services.create_graph(definition=definition, actor=actor).is_published


def test_a_definition_at_the_byte_limit_is_accepted_and_one_byte_more_refused(
    actor: Actor, settings: pytest.FixtureRequest
) -> None:
    size = len(json.dumps(ROUTING, sort_keys=True, separators=(",", ":")))
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"max_definition_bytes": size})  # type: ignore[attr-defined]
    assert services.create_graph(definition=ROUTING, actor=actor).is_published
    with pytest.raises(JsonInvalid):
        services.create_graph(definition={**ROUTING, "name": "test!"}, actor=actor)


@pytest.mark.parametrize("value", [float("nan"), "\0", 2**70, {1: 2}, object()])
def test_what_is_no_json_is_refused(value: Any, actor: Actor) -> None:
    with pytest.raises(JsonInvalid):
        services.create_graph(definition=graph({"a": {}}, metadata={"x": value}), actor=actor)
    assert not Graph.objects.exists()


# --------------------------------------------------------------------------- drafts


def test_a_draft_is_filled_replaced_and_published(actor: Actor) -> None:
    draft = services.start_draft(name="From nothing", description="d", actor=actor)
    assert {problem.code for problem in services.lint_version(draft)} == {"unknown-target", "empty"}
    services.replace_draft(version=draft, definition=ROUTING, actor=actor)
    Node.objects.filter(version=draft, name="b").update(tool="check_complexity")
    published = services.publish_version(version=draft, actor=actor)
    assert json.loads(published.definition)["nodes"]["b"] == {"tool": "check_complexity"}
    published.graph.refresh_from_db()
    assert (published.graph.name, published.graph.slug) == ("test", "from-nothing")
    assert actions() == ["graph.created", "graph.draft_replaced", "graph.published"]


def test_a_second_version_has_the_next_number(actor: Actor) -> None:
    first = services.create_graph(definition=ROUTING, actor=actor)
    second = services.create_draft(graph=first.graph, definition=PUBLISHED, actor=actor)
    assert (second.number, second.graph, second.name) == (2, first.graph, "code_review_workflow")
    first.graph.refresh_from_db()
    assert first.graph.name == "test"


def test_a_published_version_never_changes(actor: Actor) -> None:
    version = services.create_graph(definition=ROUTING, actor=actor)
    with pytest.raises(VersionPublished):
        services.replace_draft(version=version, definition=PUBLISHED, actor=actor)
    with pytest.raises(VersionPublished):
        services.publish_version(version=version, actor=actor)
    with pytest.raises(VersionPublished):
        services.delete_draft(version=version, actor=actor)
    assert services.export_definition(version) == ROUTING


def test_a_draft_that_changed_after_it_was_checked_is_checked_again(
    actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = services.create_draft(definition=ROUTING, actor=actor)
    locked = services._locked_draft

    def change_then_lock(version: GraphVersion) -> GraphVersion:
        Node.objects.filter(version=version, name="b").update(tool="no_such_tool")
        return locked(version)

    monkeypatch.setattr(services, "_locked_draft", change_then_lock)
    with pytest.raises(DefinitionInvalid, match="no_such_tool"):
        services.publish_version(version=draft, actor=actor)


def test_a_draft_with_rows_that_no_json_could_say_is_linted_not_crashed(actor: Actor) -> None:
    draft = services.create_draft(definition=ROUTING, actor=actor)
    Edge.objects.create(version=draft, source="b", slot="when", target="a")
    assert {problem.code for problem in services.lint_version(draft)} == {"edge-without-effect"}
    with pytest.raises(DefinitionInvalid):
        services.export_definition(draft)


def test_a_draft_that_breaks_the_grammar_is_exported_as_it_is(actor: Actor) -> None:
    draft = services.start_draft(name="Empty", actor=actor)
    exported = services.export_definition(draft)
    assert (exported["name"], exported["start_node"], exported["nodes"]) == ("Empty", "", {})


def test_deleting_a_draft_and_archiving_a_graph_are_in_the_audit_log(actor: Actor) -> None:
    draft = services.create_draft(definition=ROUTING, actor=actor)
    services.delete_draft(version=draft, actor=actor)
    services.archive_graph(graph=draft.graph, actor=actor)
    assert not GraphVersion.objects.exists()
    assert not Node.objects.exists()
    assert actions() == ["graph.draft_created", "graph.draft_deleted", "graph.archived"]


def test_lint_of_a_definition_says_what_publishing_would(actor: Actor) -> None:
    definition = graph({"a": {"tool": "noop", "executor": "cluster"}, "b": {}})
    codes = [problem.code for problem in services.lint_definition(definition)]
    assert codes == ["not-available-yet", "unreachable"]
    assert [p.code for p in services.lint_definition({"name": "x"})] == ["missing-key", "missing-key"]


# --------------------------------------------------------------------------- plans and rows


def test_a_plan_is_compiled_once_for_equal_definitions(actor: Actor) -> None:
    one = services.create_graph(definition=ROUTING, actor=actor)
    other = services.create_graph(definition=ROUTING, actor=actor)
    assert plan_of(one) is plan_of(other)
    assert spec_of(one) is spec_of(other) is plan_of(one).spec


def test_a_draft_has_a_spec_and_no_plan(actor: Actor) -> None:
    draft = services.create_draft(definition=ROUTING, actor=actor)
    assert spec_of(draft).canonical() == ROUTING
    with pytest.raises(VersionNotPublished):
        plan_of(draft)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(definition=definitions())
def test_a_definition_comes_back_from_the_database_unchanged(definition: dict[str, Any], actor: Actor) -> None:
    draft = services.create_draft(definition=definition, actor=actor)
    draft = GraphVersion.objects.get(pk=draft.pk)
    back = parse_definition(definition_of(draft, draft.nodes.all(), draft.edges.all()))
    assert back == parse_definition(definition)
