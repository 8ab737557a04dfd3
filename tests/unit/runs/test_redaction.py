"""What a state schema marks secret, and where in states, journal entries and sentences it is found again."""

import json
from typing import Any

import pytest

from runs.engine.events import StepCompleted
from runs.redaction import OTHER_KEYS, REDACTED, Redaction, StayingSecret

SECRET: dict[str, Any] = {"type": "string", "format": "password"}


def of(**properties: Any) -> Redaction:
    definitions = {"secret": SECRET, "a/b": SECRET, "choices": {"anyOf": [{"type": "null"}, SECRET]}}
    return Redaction({"properties": properties, "$defs": definitions})


@pytest.mark.parametrize(
    ("schema", "value", "shown"),
    [
        (SECRET, "hush", REDACTED),
        ({"writeOnly": True}, {"a": [1]}, REDACTED),
        ({"writeOnly": False, "format": "email"}, "a@b", "a@b"),
        ({"properties": {"pin": SECRET}}, {"pin": "hush", "name": "n"}, {"pin": REDACTED, "name": "n"}),
        ({"additionalProperties": SECRET, "properties": {"a": {}}}, {"a": 1, "b": "x"}, {"a": 1, "b": REDACTED}),
        ({"items": SECRET}, ["a", "b"], [REDACTED, REDACTED]),
        ({"items": {"properties": {"pin": SECRET}}}, [{"pin": 1}, 2], [{"pin": REDACTED}, 2]),
        ({"$ref": "#/$defs/secret"}, "hush", REDACTED),
        ({"anyOf": [{"$ref": "#/$defs/secret"}, {"type": "null"}]}, "hush", REDACTED),
        ({"allOf": [{"properties": {"pin": SECRET}}]}, {"pin": 1}, {"pin": REDACTED}),
        ({"patternProperties": {"^p": SECRET}}, {"pin": "hush", "name": "n"}, {"pin": REDACTED, "name": "n"}),
        ({"if": {"type": "object"}, "then": {"properties": {"pin": SECRET}}}, {"pin": 1}, {"pin": REDACTED}),
        ({"if": {}, "else": SECRET}, "hush", REDACTED),
        ({"if": SECRET}, "hush", REDACTED),
        ({"not": {"not": SECRET}}, "hush", REDACTED),
        (
            {"dependentSchemas": {"name": {"properties": {"pin": SECRET}}}},
            {"pin": 1, "b": 2},
            {"pin": REDACTED, "b": 2},
        ),
        ({"prefixItems": [{}, SECRET]}, ["name", "hush"], [REDACTED, REDACTED]),
        ({"contains": SECRET}, ["a", "b"], [REDACTED, REDACTED]),
        ({"prefixItems": [{"properties": {"pin": SECRET}}]}, [{"pin": 1}, 2], [{"pin": REDACTED}, 2]),
        ({"propertyNames": {"$ref": "#/$defs/secret"}}, {"hush": 1}, REDACTED),
        ({"contentSchema": {"properties": {"pin": SECRET}}}, '{"pin": 1}', REDACTED),
        ({"$ref": "#/$defs/choices/anyOf/1"}, "hush", REDACTED),
        ({"$ref": "#/$defs/a~1b"}, "hush", REDACTED),
        ({"$ref": "#/$defs/nothing"}, "seen", "seen"),
        ({"$ref": "https://example.org/schema"}, "seen", "seen"),
        (True, "seen", "seen"),
        # updates that a reducer adds to a list
        ({"items": SECRET}, "hush", REDACTED),
        ({"items": {"properties": {"pin": SECRET}}}, {"pin": "hush", "name": "n"}, {"pin": REDACTED, "name": "n"}),
        ({"items": SECRET}, {"any": "hush"}, {"any": REDACTED}),
    ],
)
def test_the_value_of_a_key_is_shown_without_its_secrets(schema: Any, value: Any, shown: Any) -> None:
    redaction = of(key=schema, other=SECRET)
    assert redaction.state({"key": value, "free": value}) == {"key": shown, "free": value}


def test_a_schema_that_refers_to_itself_is_followed_as_far_as_the_value_goes() -> None:
    tree = {"properties": {"pin": SECRET, "left": {"$ref": "#"}, "right": {"$ref": "#"}}, "anyOf": [{"$ref": "#"}]}
    state = {"left": {"right": {"left": {"pin": "hush"}}}, "pin": "hush"}
    assert Redaction(tree).state(state) == {"left": {"right": {"left": {"pin": REDACTED}}}, "pin": REDACTED}


def test_a_schema_that_combines_itself_is_read_once_at_each_level_of_a_value() -> None:
    tree = {"properties": {"pin": SECRET, "left": {"$ref": "#"}}, "anyOf": [{"$ref": "#"}, {"$ref": "#"}]}
    state: dict[str, Any] = {"pin": "hush"}
    shown: dict[str, Any] = {"pin": REDACTED}
    for _ in range(30):
        state, shown = {"left": state}, {"left": shown}
    assert Redaction(tree).state(state) == shown


@pytest.mark.parametrize(
    "schema",
    [
        SECRET,
        {"properties": {"a": {}}, "writeOnly": True},
        {"allOf": [{"$ref": "#/$defs/all"}], "$defs": {"all": SECRET}},
    ],
)
def test_a_state_that_is_secret_as_a_whole_is_hidden_key_by_key(schema: Any) -> None:
    redaction = Redaction(schema)
    assert redaction.state({"a": "hush", "b": {"c": 1}}) == {"a": REDACTED, "b": REDACTED}
    assert redaction.mask("hush, now", {"a": "hush"}) == f"{REDACTED}, now"
    assert redaction.hides(("a",), "hush")
    assert redaction.hides((), {"a": "hush"})
    assert redaction.keys_hidden_in(StepCompleted(step=b"", update={"a": 1}, replace={})) == (OTHER_KEYS, "a")


def test_a_schema_without_marks_passes_everything_on_untouched() -> None:
    for schema in (None, {"properties": {"a": {"type": "string"}}}):
        redaction = Redaction(schema)
        values = {"a": "hush"}
        assert not redaction
        assert redaction.state(values) is values
        assert redaction.entry(values) is values
        assert redaction.mask("hush", values) == "hush"


def test_an_entry_keeps_everything_but_secrets_and_what_was_derived_from_the_state() -> None:
    data = {"step": "01", "node": "a", "state": {"pin": "hush", "n": 1}, "update": {"pin": "hush", "n": 2}}
    data |= {"replace": {"pin": "hush"}, "values": {"pin": "hush"}, "items": ["hush", 1], "result": {"made": "hush"}}
    data |= {"compensation": {"of": "hush"}}
    assert of(pin=SECRET).entry(data) == {
        "step": "01",
        "node": "a",
        "state": {"pin": REDACTED, "n": 1},
        "update": {"pin": REDACTED, "n": 2},
        "replace": {"pin": REDACTED},
        "values": {"pin": REDACTED},
        "items": [REDACTED, REDACTED],
        "result": REDACTED,
        "compensation": REDACTED,
    }


@pytest.mark.parametrize("secret", ["hush-hush", 'it\'s "hush"', "line 1\nline 2\\", "schön ☃"])
def test_a_secret_is_found_in_a_sentence_however_it_is_quoted(secret: str) -> None:
    for quoted in (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1]):
        masked = of(pin=SECRET).mask(f"refused {quoted}, sorry", {"free": "sorry"}, {"pin": {"deep": [secret]}})
        assert masked == f"refused {REDACTED}, sorry"


def test_the_longer_of_two_secrets_is_masked_first() -> None:
    assert of(pin={"writeOnly": True}).mask("hush-2", {"pin": ["hush", "hush-2"]}) == REDACTED


@pytest.mark.parametrize(("secret", "masked"), [("hus", "hush"), ("hush", REDACTED)])
def test_a_secret_of_less_than_four_characters_is_not_looked_for_in_sentences(secret: str, masked: str) -> None:
    assert of(pin=SECRET).mask("hush", {"pin": secret}) == masked


@pytest.mark.parametrize(
    ("path", "value", "hidden"),
    [
        (("pin",), "hush", True),
        ((), {"pin": "hush"}, True),
        ((), {"other": 1}, False),
        (("list", 3), "hush", True),
        (("list", 3, "deeper"), "hush", True),
        (("other",), "seen", False),
    ],
)
def test_a_value_is_hidden_if_it_is_a_secret_is_in_one_or_has_one(path: Any, value: Any, hidden: bool) -> None:
    assert of(pin=SECRET, list={"items": SECRET}).hides(path, value) is hidden


def test_an_entry_of_a_subgraph_names_its_secrets_itself() -> None:
    data = {"state": {"pin": "1234", "x": 1}, "hidden": ["pin"], "result": [1], "node": "a"}
    shown = {"state": {"pin": REDACTED, "x": 1}, "hidden": ["pin"], "result": [REDACTED], "node": "a"}
    assert Redaction(None).entry(data) == shown


def test_the_keys_that_have_a_secret_are_known_by_name() -> None:
    schema = {
        "properties": {
            "pin": {"format": "password"},
            "list": {"items": {"$ref": "#/$defs/deep"}},
            "plain": {"type": "string"},
        },
        "$defs": {"deep": {"properties": {"token": {"writeOnly": True}}}},
    }
    assert Redaction(schema).secret_keys == ("pin", "list")


NAMED = {"plain": {"type": "string"}, "pin": SECRET}


@pytest.mark.parametrize(
    ("schema", "hidden"),
    [
        ({"properties": NAMED}, ("pin",)),
        ({"properties": NAMED, "additionalProperties": SECRET}, ("pin", OTHER_KEYS, "key_a", "other")),
        ({"properties": NAMED, "patternProperties": {"^key_": SECRET}}, ("pin", OTHER_KEYS, "key_a")),
        ({"patternProperties": {"^key_": {}}, "additionalProperties": SECRET}, (OTHER_KEYS, "other", "pin", "plain")),
        ({"allOf": [{"properties": NAMED}]}, (OTHER_KEYS, "pin")),
        ({"$ref": "#/$defs/whole", "$defs": {"whole": {"properties": {"pin": SECRET}}}}, (OTHER_KEYS, "pin")),
        ({"additionalProperties": {"type": "string"}}, ()),
    ],
)
def test_an_entry_of_a_subgraph_names_the_secret_keys_that_its_schema_does_not(schema: Any, hidden: Any) -> None:
    event = StepCompleted(step=b"", update={"other": 1, "key_a": 2, "plain": 3}, replace={"pin": 4})
    assert Redaction(schema).keys_hidden_in(event) == hidden
    shown = Redaction(schema).state({**event.update, **event.replace})
    assert {key for key, value in shown.items() if value == REDACTED} == {*hidden} - {OTHER_KEYS}


def test_what_any_version_of_a_run_marks_is_named_by_an_entry_of_a_subgraph() -> None:
    event = StepCompleted(step=b"", update={"key_a": 1, "plain": 2}, replace={})
    now, former = Redaction({"properties": NAMED}), Redaction({"patternProperties": {"^key_": SECRET}})
    assert StayingSecret([now, former]).keys_hidden_in(event) == ("pin", OTHER_KEYS, "key_a")
    assert StayingSecret([Redaction(None)]).keys_hidden_in(event) == ()
