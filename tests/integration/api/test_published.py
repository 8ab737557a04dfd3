"""The endpoints of the first release, byte for byte what its clients know."""

from typing import Any

import pytest
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from accounts.models import Organization
from runs.models import Run
from tests.support.play import Play

CODE_REVIEW = {
    "name": "code_review_workflow",
    "nodes": {
        "extract": {"tool": "extract_functions", "next": "check_complexity"},
        "check_complexity": {"tool": "check_complexity", "next": "detect_issues"},
        "detect_issues": {"tool": "detect_issues", "next": "suggest_improvements"},
        "suggest_improvements": {"tool": "suggest_improvements", "next": "evaluate_quality"},
        "evaluate_quality": {
            "tool": "evaluate_quality",
            "next": {
                "condition": "quality_score >= 7 or iteration >= 5",
                "if_true": "end",
                "if_false": "check_complexity",
            },
        },
    },
    "start_node": "extract",
}
ONE_NODE = {"name": "one", "nodes": {"only": {"tool": "noop"}}, "start_node": "only"}


def run_of(client: APIClient, definition: dict[str, Any] = ONE_NODE, **wanted: Any) -> str:
    graph_id = client.post("/graph/create", definition).json()["graph_id"]
    return client.post("/graph/run", {"graph_id": graph_id, **wanted}).json()["run_id"]


def test_create(api_client: APIClient) -> None:
    answer = api_client.post("/graph/create", CODE_REVIEW)
    assert answer.status_code == 200
    assert list(answer.json()) == ["graph_id", "message"]
    assert answer.json()["message"] == "Graph created successfully"


def test_the_example_created_twice_is_two_graphs(api_client: APIClient) -> None:
    first, second = (api_client.post("/graph/create", CODE_REVIEW).json()["graph_id"] for _ in range(2))
    assert first != second


def test_run(api_client: APIClient) -> None:
    graph_id = api_client.post("/graph/create", ONE_NODE).json()["graph_id"]
    answer = api_client.post("/graph/run", {"graph_id": graph_id, "initial_state": {"code": "x = 1"}})
    assert answer.status_code == 200
    assert answer.json() == {
        "run_id": str(Run.objects.get().uuid),
        "status": "running",
        "message": "Workflow execution started",
    }


def test_state(api_client: APIClient) -> None:
    run_id = run_of(api_client, initial_state={"n": 1})
    state = f"/graph/state/{run_id}"
    assert api_client.get(state).json() == {
        "run_id": run_id,
        "status": "running",
        "current_state": {"n": 1},
        "execution_log": ["Started node: only"],
    }

    Play(Run.objects.get()).complete("only", n=2)
    answer = api_client.get(state)
    assert answer.status_code == 200
    assert answer.json() == {
        "run_id": run_id,
        "status": "completed",
        "current_state": {"n": 2},
        "execution_log": ["Started node: only", "Completed node: only"],
    }


def test_a_failed_run_says_why_in_its_log(api_client: APIClient) -> None:
    run_id = run_of(api_client)
    Play(Run.objects.get()).fail("only", "out of paper")
    answer = api_client.get(f"/graph/state/{run_id}").json()
    assert answer["status"] == "failed"
    assert answer["execution_log"][-1] == "Failed node: only: ValueError: out of paper"


@pytest.mark.parametrize("status", ["pending", "running", "waiting", "paused"])
def test_a_run_is_running_until_it_is_over(api_client: APIClient, status: str) -> None:
    run_id = run_of(api_client)
    Run.objects.update(status=status)
    assert api_client.get(f"/graph/state/{run_id}").json()["status"] == "running"


@pytest.mark.parametrize(
    "path", ["/graph/state/not-a-uuid", "/graph/state/", "/graph/", "/graph/run/", "/graph/nothing"]
)
def test_other_paths_are_404s_in_json(api_client: APIClient, path: str) -> None:
    answer = api_client.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not-found"


def test_development_mode_needs_no_credentials_on_this_machine(db: None, settings: Settings) -> None:
    settings.DEBUG = True
    script = APIClient(HTTP_HOST="localhost:8000")
    run_id = run_of(script)
    assert script.get(f"/graph/state/{run_id}").status_code == 200
    assert Run.objects.get().organization == Organization.objects.get(slug="local")


def test_in_development_mode_no_other_sites_page_gets_in(db: None, settings: Settings) -> None:
    settings.DEBUG = True
    page = APIClient(HTTP_HOST="localhost:8000", HTTP_ORIGIN="https://evil.example")
    assert page.post("/graph/create", ONE_NODE).status_code == 401
