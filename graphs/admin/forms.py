"""The form of a draft that is too large for rows."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminTextareaWidget

from graphs import services
from graphs.admin.nodes import MONOSPACE
from graphs.errors import DefinitionInvalid
from graphs.models import GraphVersion
from graphs.spec import parse_definition
from tools import strict_json
from tools.strict_json import JsonInvalid

MAX_SHOWN_PROBLEMS = 20


class JsonDraftForm(forms.ModelForm):
    """The definition as one text."""

    definition = forms.CharField(widget=UnfoldAdminTextareaWidget(attrs={"rows": 30, "style": MONOSPACE}))

    class Meta:
        model = GraphVersion
        fields: tuple[str, ...] = ()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        try:
            definition = services.export_definition(self.instance)
        except DefinitionInvalid:
            definition = {}
        self.initial["definition"] = json.dumps(definition, indent=2, ensure_ascii=False)

    def clean_definition(self) -> Any:
        limits = settings.WORKFLOW
        text = self.cleaned_data["definition"]
        try:
            value = strict_json.parse(text, max_bytes=limits.max_definition_bytes, max_depth=limits.max_json_depth)
            parse_definition(value, max_nodes=limits.max_nodes)
        except JsonInvalid as error:
            raise ValidationError(str(error), code=error.code) from error
        except DefinitionInvalid as invalid:
            shown = invalid.problems[:MAX_SHOWN_PROBLEMS]
            raise ValidationError([f"{problem.path or '/'}: {problem.message}" for problem in shown]) from invalid
        return value
