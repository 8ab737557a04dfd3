"""Who may do what: every operation of the URL map, for nobody, for each role, and for a stranger."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db.models import Model
from rest_framework.test import APIClient

from accounts import services
from accounts.actor import Actor
from accounts.models import ApiKey, Membership, Organization, Role
from graphs.models import Graph, GraphVersion
from graphs.services import create_graph
from runs.models import HumanTask, Run, Signal, TaskAssignee
from runs.services import NewWebhook, start_run
from tests.conftest import member
from tests.integration.api.url_map import Operation, operations, routes

ClientOf = Callable[[User], APIClient]
Arguments = Mapping[type[Model] | None, dict[str, object]]

ALL = operations()
ON_AN_OBJECT = [operation for operation in ALL if operation.names and operation.view.queryset is not None]
ROLES = list(Role)
MAY_BE_ASKED = {"lint", "answer", "delegate"}
"""What writes nothing, and what a viewer may do who is named."""
PUBLIC = {"/login/", "/logout/", "/health/live", "/health/ready", "/admin/login/", "/admin/logout/", "/admin/jsi18n/"}


@pytest.fixture
def arguments(actor: Actor, viewer: User) -> Arguments:
    """For each kind of object, the part of the path that names one of the organization's."""
    key, _ = services.issue_api_key(name="ci", role=Role.VIEWER, actor=actor)
    version = create_graph(definition={"name": "one", "start_node": "a", "nodes": {"a": {}}}, actor=actor)
    webhook = NewWebhook(url="https://example.com/ended")
    run = start_run(version=version, state={}, actor=actor, webhook=webhook)
    task = HumanTask.objects.create(
        organization=actor.organization, run=run, step=b"0123456789", title="?", created_at=run.created_at
    )
    TaskAssignee.objects.create(task=task, kind="role", name=Role.VIEWER)  # who may answer is the task's own matter
    return {
        None: {"name": "extract_functions"},
        Organization: {},
        Membership: {"username": viewer.username},
        ApiKey: {"uuid": key.uuid},
        Graph: {"uuid": version.graph.uuid},
        GraphVersion: {"graph_uuid": version.graph.uuid, "number": version.number},
        Run: {"uuid": run.uuid, "run_id": run.uuid, "digest": version.sha256},
        Signal: {},
        HumanTask: {"uuid": task.uuid},
    }


def call(client: APIClient, operation: Operation, arguments: Arguments) -> int:
    model = operation.view.queryset.model if operation.view.queryset is not None else None
    answer = getattr(client, operation.method)(operation.path(arguments[model]), {} if operation.writes else None)
    assert answer.status_code < 500
    return answer.status_code


def test_the_map_has_what_the_tests_below_walk() -> None:
    assert len(ALL) > 30
    assert {"POST /graph/create", "POST /graph/run", "GET /graph/state/{run_id}"} <= {str(each) for each in ALL}


@pytest.mark.parametrize("operation", ALL, ids=str)
def test_every_operation_says_which_role_it_needs(operation: Operation) -> None:
    assert operation.role in ROLES
    assert operation.role != Role.VIEWER or not operation.writes or operation.action in MAY_BE_ASKED


@pytest.mark.parametrize("operation", ALL, ids=str)
def test_nobody_gets_in(operation: Operation, arguments: Arguments) -> None:
    assert call(APIClient(), operation, arguments) == 401


@pytest.mark.parametrize("route", [route for route in routes() if route not in PUBLIC])
def test_no_door_of_the_whole_site_opens_to_nobody(db: None, route: str) -> None:
    path = route.format_map(defaultdict(lambda: "1", uuid=uuid4(), graph_uuid=uuid4(), run_id=uuid4()))
    for method in ("get", "post"):
        answer = getattr(APIClient(), method)(path)
        if answer.status_code == 302:
            assert "/login/?next=" in answer["Location"]
        else:
            assert answer.status_code in (401, 403, 404, 405)


@pytest.mark.parametrize("route", [route for route in routes() if route.startswith(("/graphs/{", "/runs/{"))])
def test_a_strangers_pages_are_not_there(route: str, arguments: Arguments, stranger: User, client_of: ClientOf) -> None:
    path = route.format_map(arguments[Run if route.startswith("/runs/") else Graph])
    answers = [getattr(client_of(stranger), method)(path).status_code for method in ("get", "post")]
    assert 404 in answers
    assert set(answers) <= {404, 405}


@pytest.mark.parametrize("operation", ALL, ids=str)
def test_a_role_opens_what_it_includes_and_nothing_else(
    operation: Operation, organization: Organization, arguments: Arguments, client_of: ClientOf
) -> None:
    for role in ROLES:  # the lowest first, since a role that is enough may delete the object
        status = call(client_of(member(organization, f"some {role}", role)), operation, arguments)
        if ROLES.index(role) < ROLES.index(operation.role):
            assert status == 403
        else:
            assert status not in (401, 403, 404, 405)
            break


@pytest.mark.parametrize("operation", ON_AN_OBJECT, ids=str)
def test_for_a_stranger_the_object_is_not_there(
    operation: Operation, arguments: Arguments, stranger: User, client_of: ClientOf
) -> None:
    assert call(client_of(stranger), operation, arguments) == 404


@pytest.mark.parametrize("operation", [each for each in ALL if not each.writes and not each.names], ids=str)
def test_a_strangers_lists_show_nothing_of_ours(
    operation: Operation, arguments: Arguments, stranger: User, client_of: ClientOf
) -> None:
    text = client_of(stranger).get(operation.route).content.decode()
    ours = {str(value) for parts in arguments.values() for name, value in parts.items() if name != "name"}
    assert not [value for value in ours if f'"{value}"' in text]


@pytest.mark.parametrize("operation", ON_AN_OBJECT, ids=str)
def test_what_does_not_exist_is_not_there(operation: Operation, api_client: APIClient) -> None:
    unknown = {"number": 10**12, "username": "nobody", "name": "nothing"}
    parts = {name: unknown.get(name, uuid4()) for name in operation.names}
    answer = getattr(api_client, operation.method)(operation.path(parts), {} if operation.writes else None)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not-found"
