"""No client reads a fragment of a framework: whatever refuses a request says what to do."""

import importlib
from collections.abc import Iterator

import pytest
from django_filters import FilterSet
from rest_framework import exceptions, pagination, serializers

from accounts.api.base import ActorViewSet, StrictSerializer
from workflowsite.sentences import in_full

IMPERATIVES = (
    "Accept",
    "Add",
    "Choose",
    "Correct",
    "Ensure",
    "Enter",
    "Give",
    "Name",
    "Remove",
    "Send",
    "Sign",
    "Take",
    "Write",
)

importlib.import_module("workflowsite.urls")  # all serializers and views


def all_of(kind: type) -> Iterator[type]:
    for sub in kind.__subclasses__():
        yield sub
        yield from all_of(sub)


def complaints_of(field: serializers.Field) -> Iterator[str]:
    yield from map(str, field.error_messages.values())
    yield from (str(validator.message) for validator in field.validators if hasattr(validator, "message"))
    for inner in (getattr(field, "child", None), *getattr(field, "fields", {}).values()):
        if inner is not None:
            yield from complaints_of(inner)


def complaints_of_bodies() -> set[str]:
    return {text for kind in all_of(StrictSerializer) for text in complaints_of(kind())}


def complaints_of_searches() -> set[str]:
    kinds = [view.filterset_class for view in all_of(ActorViewSet) if getattr(view, "filterset_class", None)]
    return {text for kind in kinds for text in _complaints_of_search(kind)}


def _complaints_of_search(kind: type[FilterSet]) -> Iterator[str]:
    for field in (each.field for each in kind.base_filters.values()):
        yield from map(str, field.error_messages.values())
        yield from (str(validator.message) for validator in field.validators)


@pytest.mark.parametrize("text", sorted(complaints_of_bodies() | complaints_of_searches()))
def test_a_field_says_what_to_do(text: str) -> None:
    assert in_full(text).startswith(IMPERATIVES)


@pytest.mark.parametrize(
    "stock",
    [str(kind.default_detail) for kind in all_of(exceptions.APIException) if kind.__module__ == exceptions.__name__],
)
def test_a_refused_request_says_what_to_do(stock: str) -> None:
    sentence = in_full(stock)
    assert sentence != stock
    assert sentence.endswith(".")


def test_a_cursor_that_is_none_says_where_one_comes_from() -> None:
    assert in_full(str(pagination.CursorPagination.invalid_cursor_message)).startswith("Take the cursor from")


@pytest.mark.parametrize(
    ("stock", "sentence"),
    [
        ('Method "PUT" not allowed.', "PUT is not possible at this address; use a method that the header Allow names."),
        (
            '"lost" is not a valid choice.',
            'Choose one of the values that /api/docs/ lists; "lost" is none of them.',
        ),
        (
            f'"{"x" * 1000}" is not a valid choice.',
            f'Choose one of the values that /api/docs/ lists; "{"x" * 80}" is none of them.',
        ),
        (
            "CSRF Failed: CSRF token missing.",
            "Send the session's CSRF token as 'X-CSRFToken', from a page of this site, or use an API key "
            "(CSRF token missing).",
        ),
        (
            '"{0}{x}" is not a valid choice.',
            'Choose one of the values that /api/docs/ lists; "{0}{x}" is none of them.',
        ),
        ("No data provided", "Send a JSON object."),
        ("Write a label as key:value.", "Write a label as key:value."),
    ],
)
def test_what_was_given_is_part_of_the_sentence(stock: str, sentence: str) -> None:
    assert in_full(stock) == sentence
