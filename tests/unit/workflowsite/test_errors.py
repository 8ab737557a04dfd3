"""Every domain error has a status, a stable code and a sentence."""

from collections.abc import Iterator

import pytest
from rest_framework import exceptions, serializers

import accounts.errors
import graphs.errors
import runs.errors
import tools.errors
from accounts.errors import AccountsError, LastAdmin, RoleTooLow
from graphs.errors import DefinitionInvalid, GraphsError, Problem
from runs.errors import RunsError
from tools.errors import ToolsError
from tools.strict_json import JsonInvalid
from workflowsite.errors import exception_handler, status_of

BASES = (AccountsError, GraphsError, RunsError, ToolsError)


def domain_errors() -> Iterator[type[Exception]]:
    for module in (accounts.errors, graphs.errors, runs.errors, tools.errors):
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, BASES) and kind not in BASES:
                yield kind


@pytest.mark.parametrize("kind", list(domain_errors()))
def test_every_domain_error_has_a_status_and_a_code_of_its_own(kind: type[Exception]) -> None:
    assert status_of(kind.__new__(kind)) in {401, 403, 404, 409, 413, 422, 500, 503}
    assert kind.code not in {base.code for base in BASES}


def test_a_bug_is_no_domain_error_and_propagates() -> None:
    assert exception_handler(ZeroDivisionError(), {}) is None


def test_a_domain_error_keeps_its_details() -> None:
    problem = Problem(code="unknown-target", path="/nodes/a/next", message="There is no node b.", node="a")
    answer = exception_handler(DefinitionInvalid([problem]), {})

    assert answer is not None
    assert answer.status_code == 422
    assert answer.data["error"]["code"] == "definition-invalid"
    assert answer.data["error"]["details"] == [
        {"code": "unknown-target", "path": "/nodes/a/next", "message": "There is no node b.", "node": "a"}
    ]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (JsonInvalid("json-syntax", "", "Malformed."), 400),
        (JsonInvalid("json-too-large", "", "Too large."), 413),
        (RoleTooLow(held="viewer", required="editor"), 403),
        (LastAdmin("The last one."), 409),
        (exceptions.Throttled(wait=3), 429),
        (exceptions.MethodNotAllowed("PUT"), 405),
        (exceptions.UnsupportedMediaType("text/plain"), 415),
    ],
)
def test_what_goes_wrong_has_its_status_and_a_sentence(error: Exception, status: int) -> None:
    answer = exception_handler(error, {})
    assert answer is not None
    assert answer.status_code == status
    assert answer.data["error"]["message"]


def test_the_input_of_a_nested_field_is_named_by_its_json_pointer() -> None:
    class Item(serializers.Serializer):
        size = serializers.IntegerField()

    class Order(serializers.Serializer):
        items = Item(many=True)
        name = serializers.CharField()

    order = Order(data={"items": [{"size": 1}, {"size": "x"}]})
    with pytest.raises(exceptions.ValidationError) as refusal:
        order.is_valid(raise_exception=True)
    answer = exception_handler(refusal.value, {})

    assert answer is not None
    assert [(each["path"], each["code"]) for each in answer.data["error"]["details"]] == [
        ("/items/1/size", "invalid"),
        ("/name", "required"),
    ]
    message = "The input is not valid: Write a whole number here. (at /items/1/size)"
    assert answer.data["error"]["message"] == message
