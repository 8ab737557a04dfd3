"""The form that a run is started from."""

from __future__ import annotations

import pytest

from graphs.forms import StateForm, StateKey
from tools.errors import Detail

CODE = StateKey(name="code", schema={"type": "string"}, required=True)


def form_of(*keys: StateKey, **data: str) -> StateForm:
    return StateForm(keys, {f"state-{name.replace('rest', ':rest')}": value for name, value in data.items()})


@pytest.mark.parametrize(
    ("schema", "typed", "value"),
    [
        ({"type": "string"}, "  def f():\r\n    pass\r\n", "  def f():\n    pass\n"),
        ({"type": "string", "maxLength": 20}, " a ", " a "),
        ({"type": "integer"}, "9007199254740993", 9007199254740993),
        ({"type": "number"}, "0.5", 0.5),
        ({"type": "boolean"}, "false", False),
        ({"enum": ["fast", 3, None]}, '"fast"', "fast"),
        ({"enum": ["fast", 3, None]}, "3", 3),
        ({"enum": ["fast", 3, None]}, "null", None),
        ({"type": "array"}, "[1, {}]", [1, {}]),
        ({"type": "object"}, '{"a": null}', {"a": None}),
        ({}, '"text"', "text"),
        ({"type": ["string", "null"]}, "null", None),
    ],
)
def test_what_is_typed_becomes_a_value_of_the_keys_type(schema: dict, typed: str, value: object) -> None:
    form = form_of(StateKey(name="key", schema=schema), key=typed)
    assert form.is_valid(), form.errors
    assert form.state == {"key": value}
    assert type(form.state["key"]) is type(value)


@pytest.mark.parametrize(
    ("schema", "typed"),
    [
        ({"type": "integer"}, "1.5"),
        ({"type": "number"}, "NaN"),
        ({"type": "number"}, "1e999"),
        ({"type": "boolean"}, "maybe"),
        ({"enum": ["fast"]}, "fast"),
        ({"type": "array"}, "[1,"),
        ({"type": "object"}, '{"a": NaN}'),
        ({"type": "object"}, '{"a": 1, "a": 2}'),
    ],
)
def test_what_does_not_fit_the_keys_type_is_refused_at_its_field(schema: dict, typed: str) -> None:
    form = form_of(StateKey(name="key", schema=schema), key=typed)
    assert not form.is_valid()
    assert list(form.errors) == ["key"]


def test_a_box_for_any_json_is_a_line_and_a_box_for_text_is_more() -> None:
    form = form_of(StateKey(name="n", default=0), StateKey(name="items", schema={"type": "array"}), CODE)
    rows = {name: form.fields[name].widget.attrs["rows"] for name in (*form.keys, form.REST)}
    assert rows == {"n": 1, "items": 1, "code": 3, form.REST: 3}


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"maxLength": 200}, "text"),
        ({"format": "date"}, "date"),
        ({"format": "date-time"}, "datetime-local"),
        ({"format": "email"}, "email"),
        ({"format": "uri"}, "url"),
        ({"maxLength": 201}, None),
        ({}, None),
    ],
)
def test_a_string_is_typed_into_the_input_that_fits_it(schema: dict, kind: str | None) -> None:
    html = str(form_of(StateKey(name="key", schema={"type": "string", **schema}), key="")["key"])
    assert html.startswith("<textarea" if kind is None else f'<input type="{kind}"')
    assert "None" not in html


def test_a_moment_is_typed_and_shown_in_utc() -> None:
    schema = {"type": "string", "format": "date-time"}
    key = StateKey(name="at", schema=schema, default="2026-05-01T12:00:00+02:00")
    assert 'value="2026-05-01T10:00:00"' in str(StateForm([key])["at"])
    typed = form_of(key, at="2026-05-01T10:00")
    assert typed.is_valid()
    assert typed.state == {"at": "2026-05-01T10:00:00Z"}
    assert list(form_of(key, at="soon").errors) == ["at"]


def test_a_key_that_is_required_must_be_given() -> None:
    assert list(form_of(CODE).errors) == ["code"]


def test_a_key_that_is_left_empty_is_left_out() -> None:
    form = form_of(CODE, StateKey(name="limit", schema={"type": "integer"}), code="x", limit="")
    assert form.is_valid()
    assert form.state == {"code": "x"}


def test_a_default_is_shown_and_makes_a_required_key_optional() -> None:
    form = StateForm([StateKey(name="limit", schema={"type": "integer"}, required=True, default=7)])
    assert form["limit"].value() == 7
    assert not form.fields["limit"].required


def test_a_default_that_is_no_scalar_is_shown_as_json() -> None:
    form = StateForm([StateKey(name="rules", schema={"type": "array"}, default=["E", "F"])])
    assert form["rules"].value() == '["E","F"]'


def test_other_keys_come_as_one_json_object() -> None:
    form = form_of(CODE, code="x", rest='{"quality_score": 0, "code": "overruled by its field"}')
    assert form.is_valid()
    assert form.state == {"code": "x", "quality_score": 0}


def test_without_known_keys_the_whole_state_is_one_box() -> None:
    form = form_of(rest='{"a": 1}')
    assert form.is_valid()
    assert form.state == {"a": 1}
    assert form.rest_field().label == "Initial state"


@pytest.mark.parametrize("text", ["[1]", "3", '"text"', "{"])
def test_other_keys_that_are_no_object_are_refused(text: str) -> None:
    assert list(form_of(rest=text).errors) == [StateForm.REST]


def test_a_key_that_cannot_be_a_name_has_no_field_of_its_own() -> None:
    assert [key.name for key, _ in form_of(StateKey(name=":rest"), CODE).key_fields()] == ["code"]


def test_what_the_engine_refuses_is_shown_at_the_key_that_it_concerns() -> None:
    form = form_of(CODE, code="x")
    assert form.is_valid()
    form.refuse(
        [
            Detail(path="/code/0", code="state-schema", message="Too short."),
            Detail(path="/other", code="state-schema", message="Not known."),
        ]
    )
    assert form.errors == {"code": ["Too short."], "__all__": ["Not known."]}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "array"}, "array as JSON"),
        ({"type": "object"}, "object as JSON"),
        ({"type": "number"}, "number"),
        ({"type": "string", "format": "date"}, "date"),
        ({"enum": [1, 2]}, "choice"),
        ({}, "JSON"),
    ],
)
def test_a_field_says_how_it_is_written(schema: dict, words: str) -> None:
    assert StateKey(name="x", schema=schema).words == words
