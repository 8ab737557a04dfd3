"""A server for the module, a run, its scribe, and a key to watch it with."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User

from accounts.models import Role
from accounts.services import issue_api_key
from graphs.models import Graph, GraphVersion
from runs.models import Run
from tests.conftest import acting
from tests.integration.stream.scribe import Scribe
from tests.integration.stream.server import Server, running_server


@pytest.fixture(scope="module")
def server(django_db_setup: None) -> Iterator[Server]:
    with running_server() as server:
        yield server


@pytest.fixture
def run(transactional_db: None, owner: User) -> Run:
    return new_run(owner)


def new_run(owner: User) -> Run:
    organization = acting(owner).organization
    graph = Graph.objects.create(organization=organization, name="work", slug="work")
    version = GraphVersion.objects.create(graph=graph, number=1, status="published", definition="{}")
    return Run.objects.create(organization=organization, version=version, status="running", input="{}")


@pytest.fixture
def scribe(run: Run) -> Scribe:
    return Scribe(run.pk)


@pytest.fixture
def key(run: Run, owner: User) -> str:
    """An API key of a viewer."""
    return issue_api_key(name="watcher", role=Role.VIEWER, actor=acting(owner))[1]


@pytest.fixture
def foreign_key(run: Run, stranger: User) -> str:
    """An API key of an admin of another organization."""
    return issue_api_key(name="stranger", role=Role.ADMIN, actor=acting(stranger))[1]
