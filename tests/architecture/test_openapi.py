"""The OpenAPI document says all, and changes only on purpose: clients are generated from it."""

import json
from pathlib import Path
from typing import Any

import pytest
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from tests.integration.api.url_map import operations

SNAPSHOT = Path(__file__).parent / "openapi.json"


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    GENERATOR_STATS.reset()
    return json.loads(json.dumps(SchemaGenerator().get_schema(request=None, public=True)))


def test_it_is_generated_without_a_warning(schema: dict[str, Any]) -> None:
    assert not GENERATOR_STATS


def test_it_is_valid_openapi(schema: dict[str, Any]) -> None:
    assert schema["openapi"].startswith("3.1")
    validate_schema(schema)


def test_it_has_every_operation_of_the_url_map(schema: dict[str, Any]) -> None:
    documented = {f"{method.upper()} {path}" for path, methods in schema["paths"].items() for method in methods}
    assert documented == {str(operation) for operation in operations()}


@pytest.mark.parametrize("verb", ["pause", "resume", "step", "breakpoints", "edit", "retry", "limit", "cancel"])
def test_a_control_verb_lists_what_it_reads(schema: dict[str, Any], verb: str) -> None:
    parameters = schema["paths"][f"/api/v1/runs/{{uuid}}/{verb}/"]["post"]["parameters"]
    assert {"wait", "Idempotency-Key"} <= {each["name"] for each in parameters}


def test_every_operation_has_a_description_of_its_own(schema: dict[str, Any]) -> None:
    for path, methods in schema["paths"].items():
        if "{" in path and path.removesuffix("/").endswith("}"):
            beside = schema["paths"].get(path.rstrip("/").rpartition("/")[0] + "/", {})
            assert methods.get("get", {}).get("description", "-") != beside.get("get", {}).get("description"), path


def test_it_is_the_recorded_one(schema: dict[str, Any]) -> None:
    assert schema == json.loads(SNAPSHOT.read_text()), (
        "The API has changed. If it is meant: manage.py spectacular --format openapi-json --file "
        "tests/architecture/openapi.json"
    )
