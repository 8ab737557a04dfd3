"""The OpenAPI document and its page."""

from collections.abc import Callable

from django.contrib.auth.models import User
from rest_framework.test import APIClient

from workflowsite.errors import error_body

ClientOf = Callable[[User], APIClient]


def test_a_viewer_reads_the_document(viewer: User, client_of: ClientOf) -> None:
    answer = client_of(viewer).get("/api/schema/")
    assert answer.status_code == 200
    assert answer.json()["openapi"] == "3.1.0"


def test_the_page_has_no_script_or_style_of_its_own_and_loads_nothing_from_elsewhere(
    viewer: User, client_of: ClientOf
) -> None:
    client = client_of(viewer)
    page = client.get("/api/docs/").content.decode()
    assert "//" not in page.replace("<!DOCTYPE html>", "").replace("https://www.w3.org", "")
    assert "<script>" not in page

    script = client.get("/api/docs/?script=")
    assert script["Content-Type"] == "application/javascript"
    assert "/api/schema/" in script.content.decode()


def test_the_documented_shape_of_errors_is_the_real_one(viewer: User, client_of: ClientOf) -> None:
    document = client_of(viewer).get("/api/schema/").json()
    shape = document["components"]["schemas"]["Error"]["properties"]["error"]
    assert shape["required"] == list(error_body("code", "message")["error"])
    for operations in document["paths"].values():
        for operation in operations.values():
            assert "default" in operation["responses"]
