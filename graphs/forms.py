"""The form from which a person starts a run: one field for each state key that is known, and a box for the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError

from graphs.json_schema import is_secret
from tools import strict_json
from tools.errors import Detail
from tools.strict_json import Json, JsonInvalid

MULTILINE_FROM = 200
"""A string that may be longer than this gets a box of several lines."""

FORMATS = {"date-time": "date and time, UTC", "date": "date", "email": "e-mail address", "uri": "address (URI)"}
"""What strings of these formats are called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateKey:
    """A key of the initial state, as far as the form must know it."""

    name: str
    schema: Mapping[str, Json] = field(default_factory=dict)
    required: bool = False
    default: Json = None
    note: str = ""
    """A word or two behind the key's type, for example why it is asked for."""

    @property
    def kind(self) -> str:
        """What belongs into the field, in a word or two."""
        if "enum" in self.schema:
            return "choice"
        kind = self.schema.get("type")
        return kind if isinstance(kind, str) else "JSON"

    @property
    def words(self) -> str:
        """What belongs into the field, for people."""
        if self.kind in ("array", "object"):
            return f"{self.kind} as JSON"
        return FORMATS.get(str(self.schema.get("format")), self.kind) if self.kind == "string" else self.kind


class JsonField(forms.CharField):
    """Any JSON value, written as JSON."""

    widget = forms.Textarea

    def to_python(self, value: Any) -> Json:
        text = super().to_python(value)
        if not text:
            return None
        limits = settings.WORKFLOW
        try:
            return strict_json.parse(text, max_bytes=limits.max_state_bytes, max_depth=limits.max_json_depth)
        except JsonInvalid as error:
            raise ValidationError(str(error), code=error.code) from error


class TextField(forms.CharField):
    """A string as it was typed: blanks are kept, and the line ends of browsers become those of files."""

    def __init__(self, **options: Any) -> None:
        super().__init__(strip=False, **options)

    def to_python(self, value: Any) -> str | None:
        text = super().to_python(value)
        return None if text is None else text.replace("\r\n", "\n")


class MomentField(forms.CharField):
    """A `date-time` of JSON Schema, chosen to the second in UTC, as the pages show times."""

    def __init__(self, **options: Any) -> None:
        initial = options.pop("initial", None)
        widget = forms.DateTimeInput(attrs={"type": "datetime-local", "step": 1})
        super().__init__(**options, initial=_as_typed(initial), widget=widget)

    def to_python(self, value: Any) -> str | None:
        text = super().to_python(value)
        if not text:
            return None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise ValidationError("Write a date and a time.", code="wrong-type") from error
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


class StateForm(forms.Form):
    """Asks for `keys`, and for other keys as one JSON object. What is left empty is left out of the state."""

    prefix = "state"
    TEXT_ROWS = 3
    """How high the box of a string is that may have any length."""
    REST = ":rest"
    """The field of other keys. No key of a form is called like this: keys are shown only if they can be names."""

    def __init__(self, keys: Sequence[StateKey], data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data)
        self.keys = {key.name: key for key in keys if key.name.isidentifier()}
        for name, key in self.keys.items():
            self.fields[name] = _field_of(key, text_rows=self.TEXT_ROWS)
        self.fields[self.REST] = JsonField(
            required=False,
            label="Other keys" if self.keys else "Initial state",
            help_text="A JSON object.",
            widget=_code_box(rows=3),
        )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not isinstance(cleaned.get(self.REST), dict | None):
            self.add_error(self.REST, ValidationError("Write a JSON object here.", code="wrong-type"))
        return cleaned

    @property
    def state(self) -> dict[str, Json]:
        """What was filled in, once the form is valid."""
        given = {name: self.cleaned_data[name] for name in self.keys if self._is_given(name)}
        return (self.cleaned_data.get(self.REST) or {}) | given

    def refuse(self, details: Iterable[Detail]) -> None:
        """Show what is wrong with the state at the keys that it concerns."""
        for detail in details:
            key = detail.path.partition("/")[2].partition("/")[0]
            place = key if key in self.keys else None
            self.add_error(place, ValidationError(detail.message, code=detail.code))

    def key_fields(self) -> list[tuple[StateKey, forms.BoundField]]:
        return [(key, self[name]) for name, key in self.keys.items()]

    def rest_field(self) -> forms.BoundField:
        return self[self.REST]

    def _is_given(self, name: str) -> bool:
        return bool(self.data.get(self.add_prefix(name)))


INPUTS = {"date": "date", "email": "email", "idn-email": "email", "uri": "url", "iri": "url"}
"""The inputs of browsers for strings of these formats."""


def _field_of(key: StateKey, *, text_rows: int) -> forms.Field:
    schema = key.schema
    options: dict[str, Any] = {
        "required": key.required and key.default is None,
        "label": str(schema.get("title") or key.name),
        "help_text": str(schema.get("description", "")),
        "initial": key.default,
    }
    match key.kind:
        case "choice":
            return _choice(schema["enum"], options)
        case "boolean":
            return _choice([True, False], options)
        case "integer":
            return forms.IntegerField(**options)
        case "number":
            return forms.FloatField(**options)
        case "string" if is_secret(schema):
            return TextField(**options, widget=forms.PasswordInput(attrs={"autocomplete": "off"}))
        case "string" if schema.get("format") == "date-time":
            return MomentField(**options)
        case "string":
            return TextField(**options, widget=_text_widget(schema, rows=text_rows))
    if key.default is not None:
        options["initial"] = strict_json.dumps(key.default)
    # A number, as often as not: a line, which grows with what is written.
    return JsonField(**options, widget=_code_box(rows=1))


def _choice(values: Iterable[Json], options: dict[str, Any]) -> forms.TypedChoiceField:
    by_text = {strict_json.dumps(value): value for value in values}
    labels = [(text, value if isinstance(value, str) else text) for text, value in by_text.items()]
    if options["initial"] is not None:
        options["initial"] = strict_json.dumps(options["initial"])
    return forms.TypedChoiceField(**options, choices=[("", "—"), *labels], coerce=by_text.__getitem__, empty_value=None)


def _text_widget(schema: Mapping[str, Any], *, rows: int) -> forms.Widget:
    if kind := INPUTS.get(str(schema.get("format"))):
        return forms.TextInput(attrs={"type": kind})
    length = schema.get("maxLength")
    if length is not None and length <= MULTILINE_FROM:
        return forms.TextInput(attrs={"maxlength": length})
    return _code_box(rows=rows if length is None else max(rows, 3))


def _as_typed(moment: Json) -> Json:
    """As the browser's input for times wants it: in UTC, without a zone."""
    try:
        return datetime.fromisoformat(moment).astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds")
    except (TypeError, ValueError):
        return moment


class _CodeBox(forms.Textarea):
    """As high as its `rows`; how wide, the page says."""

    def __init__(self, *, rows: int) -> None:
        super().__init__({"class": "code", "rows": rows, "spellcheck": "false"})
        del self.attrs["cols"]


def _code_box(*, rows: int) -> forms.Textarea:
    return _CodeBox(rows=rows)


def in_order(properties: Mapping[str, Json], required: Iterable[str]) -> list[str]:
    """The names of properties as a form asks for them: the required ones in the order in which they are listed first.

    The order of the properties themselves is lost where a schema is kept as canonical JSON; that of a list is not.
    """
    return list(dict.fromkeys([*(name for name in required if name in properties), *properties]))
