"""Query parameters that an address does not read are refused, whatever the address."""

import pytest
from rest_framework.test import APIClient

from tests.integration.api.test_access import Arguments, arguments  # noqa: F401 - a fixture
from tests.integration.api.url_map import Operation, operations

ALL = operations()


@pytest.mark.parametrize("operation", ALL, ids=str)
def test_a_parameter_that_nobody_reads_is_refused(
    operation: Operation,
    api_client: APIClient,
    arguments: Arguments,  # noqa: F811
) -> None:
    model = operation.view.queryset.model if operation.view.queryset is not None else None
    path = f"{operation.path(arguments[model])}?colour=red&a/b="
    answer = getattr(api_client, operation.method)(path, {} if operation.writes else None)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == "unknown-parameter"
    assert [(each["path"], each["code"]) for each in error["details"]] == [
        ("/colour", "unknown-parameter"),
        ("/a~1b", "unknown-parameter"),
    ]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "/api/v1/runs/?stauts=failed",
            'There is no query parameter "stauts" here. Did you mean "status"? '
            "Known are: status, graph, business_key, label, cursor, limit.",
        ),
        (
            "/api/v1/graphs/?page=2",
            'There is no query parameter "page" here. Known are: name, archived, cursor, limit.',
        ),
        ("/api/v1/tools/?limit=2", 'There is no query parameter "limit" here. Known are: none.'),
    ],
)
def test_the_refusal_says_which_parameters_there_are(api_client: APIClient, path: str, message: str) -> None:
    assert api_client.get(path).json()["error"]["message"] == message


def test_what_the_documentation_names_is_read(api_client: APIClient) -> None:
    document = api_client.get("/api/schema/").json()
    lists = {str(operation)[4:]: operation for operation in ALL if operation.action == "list" and not operation.names}
    for path in lists:
        for parameter in document["paths"][path]["get"].get("parameters", ()):
            if parameter["in"] == "query":
                answer = api_client.get(path, {parameter["name"]: "x"})
                assert answer.json().get("error", {}).get("code") != "unknown-parameter"


def test_a_long_name_is_not_repeated_whole(api_client: APIClient) -> None:
    answer = api_client.get(f"/api/v1/runs/?{'x' * 2000}=1")
    assert len(answer.json()["error"]["message"]) < 250


def test_what_cannot_be_done_at_an_address_is_said_before_its_parameters(api_client: APIClient) -> None:
    assert api_client.put("/api/v1/runs/?colour=red", {}).status_code == 405
