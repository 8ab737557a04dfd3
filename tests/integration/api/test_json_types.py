"""Nothing in a body is read as what it is not."""

from typing import Any

import pytest
from rest_framework import serializers
from rest_framework.test import APIClient

from accounts.api.base import OF_QUERY, StrictSerializer
from tests.integration.api.test_graphs import ONE_NODE, created

GRAPHS, RUNS = "/api/v1/graphs/", "/api/v1/runs/"


@pytest.mark.parametrize(
    ("field", "value", "path", "message"),
    [
        ("priority", "5", "/priority", 'Write a whole number here, not "5".'),
        ("priority", True, "/priority", "Write a whole number here, not true."),
        ("priority", 1.5, "/priority", "Write a whole number here, not 1.5."),
        ("business_key", 7, "/business_key", "Write a string here, not 7."),
        ("labels", {"a": 1}, "/labels/a", "Write a string here, not 1."),
        ("graph", 5, "/graph", "Write a string here, not 5."),
        ("webhook", {"url": 5}, "/webhook/url", "Write a string here, not 5."),
        ("breakpoints", [{"node": "a", "hit_count": "1"}], "/breakpoints/0/hit_count", "Write a whole number here"),
        ("durability", "sink", "/durability", 'Choose one of "sync", "async", "exit"; "sink" is none of them.'),
        ("durability", "", "/durability", 'Choose one of "sync", "async", "exit"; "" is none of them.'),
        ("on_conflict", "alow", "/on_conflict", '"alow" is none of them. Did you mean "allow"?'),
    ],
)
def test_a_start_with_a_value_of_another_type_is_refused(
    api_client: APIClient, field: str, value: Any, path: str, message: str
) -> None:
    created(api_client, publish=True)
    answer = api_client.post(RUNS, {"graph": "one", field: value})
    assert answer.status_code == 422
    (detail,) = answer.json()["error"]["details"]
    assert (detail["path"], message in detail["message"]) == (path, True), detail


def test_a_word_is_no_truth_value(api_client: APIClient) -> None:
    answer = api_client.post(GRAPHS, {"definition": ONE_NODE, "publish": "yes"})
    assert (answer.status_code, answer.json()["error"]["details"][0]["path"]) == (422, "/publish")


def test_a_fork_names_all_that_is_wrong(api_client: APIClient) -> None:
    created(api_client, publish=True)
    run = api_client.post(RUNS, {"graph": "one"}).json()
    answer = api_client.post(f"{RUNS}{run['id']}/fork/", {"seq": "2", "paused": "no", "delete": ["a", 1]})
    assert [each["path"] for each in answer.json()["error"]["details"]] == ["/seq", "/delete/1", "/paused"]


def test_a_whole_number_may_be_written_with_a_point(api_client: APIClient) -> None:
    created(api_client, publish=True)
    assert api_client.post(RUNS, {"graph": "one", "priority": 5.0}).json()["priority"] == 5


def test_query_parameters_are_texts(api_client: APIClient) -> None:
    created(api_client, publish=True)
    assert api_client.post(f"{RUNS}?wait=0", {"graph": "one"}).status_code == 201


class OrderQuery(StrictSerializer):
    order = serializers.ChoiceField(choices=["newest", "oldest"])


@pytest.mark.parametrize("context", [{}, {OF_QUERY: True}])
def test_a_wrong_choice_is_told_alike_in_a_body_and_in_a_query(context: dict[str, bool]) -> None:
    query = OrderQuery(data={"order": "oldst"}, context=context)
    assert not query.is_valid()
    (error,) = query.errors["order"]
    sentence = 'Choose one of "newest", "oldest"; "oldst" is none of them. Did you mean "oldest"?'
    assert (str(error), error.code) == (sentence, "invalid_choice")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("tasks/?mine=perhaps", "Write true or false."),
        ("graphs/?archived=maybe", "Write true or false."),
        ("tasks/?status=opn", '"opn" is none of them. Did you mean "open"?'),
        ("runs/?status=lost", 'Choose one of "pending", '),
    ],
)
def test_a_filter_says_what_it_takes(api_client: APIClient, query: str, message: str) -> None:
    answer = api_client.get(f"/api/v1/{query}")
    assert answer.status_code == 422
    assert message in answer.json()["error"]["details"][0]["message"]
