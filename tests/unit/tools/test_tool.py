import asyncio
import functools
from dataclasses import FrozenInstanceError
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

import tools
from tools import Command, Context, registry, tool
from tools.errors import ToolDefinitionInvalid


@pytest.fixture(autouse=True)
def empty_registry(monkeypatch):
    monkeypatch.setattr(registry, "_current", registry.Registry())


class Severity(StrEnum):
    LOW = "low"


class Finding(BaseModel):
    line: int
    severity: Severity = Severity.LOW


class Report(TypedDict):
    findings: list[str]
    score: float


def test_a_decorated_function_is_the_same_function():
    def double(number: int) -> dict:
        return {"number": number * 2}

    assert tool(double) is double
    assert double(4) == {"number": 8}
    assert registry.get("double").function is double


def test_the_bare_decorator_takes_everything_from_the_function():
    @tool
    def grade(score: float, limit: int = 10) -> dict:
        """Turn a score into a grade.

        The higher the better.
        """
        return {"grade": score > limit}

    registered = registry.get("grade")
    assert registered.name == "grade"
    assert registered.description == "Turn a score into a grade.\n\nThe higher the better."
    assert (registered.effect, registered.is_async, registered.retryable, registered.atomic) == (
        "write",
        False,
        None,
        False,
    )
    assert registered.module == __name__
    assert "grade" in registered.place
    assert "test_tool.py" in registered.place


def test_the_decorator_with_arguments_records_them():
    @tool(name="http.fetch", effect="read", retryable=(TimeoutError,))
    async def fetch(url: str) -> dict:
        return {"url": url}

    registered = registry.get("http.fetch")
    assert (registered.effect, registered.is_async) == ("read", True)
    assert (registered.retryable, registered.atomic) == ((TimeoutError,), False)
    assert asyncio.run(fetch("x")) == {"url": "x"}


def test_a_plain_function_can_be_atomic_and_a_coroutine_cannot():
    @tool(atomic=True)
    def book() -> None: ...

    assert registry.get("book").atomic
    with pytest.raises(ToolDefinitionInvalid, match="need a plain function"):

        @tool(atomic=True)
        async def book_async() -> None: ...


def test_a_tool_cannot_be_changed():
    @tool
    def fixed() -> None: ...

    with pytest.raises(FrozenInstanceError):
        registry.get("fixed").name = "other"


def test_the_arguments_schema_is_that_of_the_annotations():
    @tool
    def review(
        ctx: Context,
        state,
        code: str,
        findings: list[Finding],
        mode: Literal["fast", "deep"] = "fast",
        limit: Annotated[int, Field(ge=1)] = 10,
        extra: Any = None,
    ) -> Report:
        return {"findings": [], "score": 0.0}

    registered = registry.get("review")
    schema = registered.arguments_schema
    assert schema["required"] == ["code", "findings"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["code"] == {"type": "string"}
    assert schema["properties"]["findings"] == {"type": "array", "items": {"$ref": "#/$defs/Finding"}}
    assert schema["properties"]["mode"] == {"type": "string", "enum": ["fast", "deep"], "default": "fast"}
    assert schema["properties"]["limit"] == {"type": "integer", "minimum": 1, "default": 10}
    assert schema["properties"]["extra"] == {"default": None}
    assert set(schema["$defs"]) == {"Finding", "Severity"}
    assert {one.name: one.kind for one in registered.parameters} == {
        "ctx": "context",
        "state": "state",
        "code": "argument",
        "findings": "argument",
        "mode": "argument",
        "limit": "argument",
        "extra": "argument",
    }
    findings = registered.parameters[3]
    assert findings.required
    assert set(findings.schema["$defs"]) == {"Finding", "Severity"}


def test_a_default_that_json_cannot_hold_stays_out_of_the_schema():
    @tool
    def filtered(severities: list[Severity] | None = None, marker: Any = object()) -> None:  # noqa: B008
        ...

    properties = registry.get("filtered").arguments_schema["properties"]
    assert properties["severities"]["default"] is None
    assert properties["marker"] == {}


def test_the_result_schema_names_the_state_keys_if_the_annotation_does():
    @tool
    def typed() -> Report:
        return {"findings": [], "score": 0.0}

    @tool
    def commanding() -> Report | Command | None:
        return None

    @tool
    def only_command() -> Command:
        return Command()

    @tool
    def silent():
        return None

    assert set(registry.get("typed").result_schema["properties"]) == {"findings", "score"}
    assert registry.get("commanding").result_schema["anyOf"][1] == {"type": "null"}
    assert registry.get("only_command").result_schema == {}
    assert registry.get("silent").result_schema == {}


def test_the_context_is_found_by_annotation_or_by_name():
    @tool
    def by_annotation(context: Context) -> None: ...

    @tool
    def by_name(ctx) -> None: ...

    @tool
    def optional(context: Context | None = None) -> None: ...

    for name in ("by_annotation", "by_name", "optional"):
        assert [one.kind for one in registry.get(name).parameters] == ["context"]
        assert registry.get(name).arguments_schema["properties"] == {}


def test_annotations_may_name_the_context_without_importing_it():
    namespace = {"tool": tool}
    source = "from __future__ import annotations\n@tool\ndef lazy(c: Context, n: int) -> Command: ..."
    exec(source, namespace)  # noqa: S102 - a module that imports Context for type checkers only
    assert [one.kind for one in registry.get("lazy").parameters] == ["context", "argument"]


def test_a_wrapped_function_keeps_its_signature():
    def traced(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs)

        return wrapper

    @tool
    @traced
    def inner(number: int) -> None: ...

    assert [one.name for one in registry.get("inner").parameters] == ["number"]


def test_the_hash_changes_with_arguments_and_result_but_not_with_the_description():
    def variant(function):
        with registry.scratch():
            tool(name="variant")(function)
            return registry.get("variant").signature_hash

    def first(a: int) -> dict: ...

    def described(a: int) -> dict:
        """Something."""

    def other_type(a: str) -> dict: ...

    def other_default(a: int = 1) -> dict: ...

    def other_result(a: int) -> Report: ...

    assert variant(first) == variant(described)
    assert len({variant(one) for one in (first, other_type, other_default, other_result)}) == 4


def positional_only(a, /): ...


def many(*values): ...


def options(**values): ...


def lines():
    yield 1


async def alines():
    yield 1


def unknown_annotation(a: "Missing"): ...  # noqa: F821


def socket_argument(a: asyncio.Lock): ...


def socket_result() -> asyncio.Lock: ...


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (positional_only, "cannot be passed by name"),
        (many, "cannot be passed by name"),
        (options, "cannot be passed by name"),
        (lines, "yields"),
        (alines, "yields"),
        (unknown_annotation, "cannot be evaluated"),
        (socket_argument, "parameter a is no type of JSON values"),
        (socket_result, "result is no type of JSON values"),
        (Finding, "Only a function can be a tool"),
        (functools.partial(positional_only, 1), "Only a function can be a tool"),
    ],
)
def test_a_function_that_cannot_be_a_tool_is_refused_when_it_is_decorated(function, reason):
    with pytest.raises(ToolDefinitionInvalid, match=reason) as caught:
        tool(function)
    assert caught.value.code == "tool-definition-invalid"


@pytest.mark.parametrize("name", ["", "two words", "1st", "a" * 65, "ü"])
def test_a_name_that_nodes_could_not_write_is_refused(name):
    with pytest.raises(ToolDefinitionInvalid, match="is not usable"):
        tool(name=name)(lambda: None)


def test_an_unknown_effect_is_refused():
    with pytest.raises(ToolDefinitionInvalid, match="none of pure, read and write"):
        tool(effect="maybe")(lines)


def test_what_users_import_is_there():
    assert sorted(tools.__all__) == ["Command", "Context", "Parts", "Send", "ToolError", "reducer", "tool"]
    assert issubclass(tools.ToolError, Exception)
