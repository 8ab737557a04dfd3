"""What a tool asks people, in the words of a `human` node: read once when it asks, and again by whoever goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydantic import TypeAdapter, ValidationError

from graphs.schemas import form_problems
from graphs.spec import DueAnswer, HumanSpec, NodeSpec
from runs.redaction import Mask
from tools.errors import PartInvalid
from tools.parts import Interrupt
from tools.strict_json import Json, pointer

_QUESTION = TypeAdapter(HumanSpec)
_WORDS = ("title", "description", "default", "examples", "enum", "const", "$comment")
"""The keywords of a form whose values people are shown."""
_BY_NAME = ("properties", "patternProperties", "dependentSchemas", "$defs", "definitions")
"""Those that hold schemas by names, which may be called like keywords."""


def read_question(asked: Interrupt) -> HumanSpec:
    """Understand a question. Raises PartInvalid for one that people cannot answer."""
    try:
        spec = _QUESTION.validate_python(asked.question)
    except ValidationError as error:
        raise _invalid(asked, [f"{pointer(*line['loc'])}: {line['msg']}" for line in error.errors()]) from None
    problems = [f"{problem.path}: {problem.message}" for problem in form_problems(spec.form or {})]
    if spec.on_due is not None and not isinstance(spec.on_due, DueAnswer):
        problems.append("/on_due: a tool goes nowhere when nobody has answered; give a default.")
    if problems:
        raise _invalid(asked, problems)
    return spec


def question_of(node: NodeSpec, wait: Mapping[str, Json]) -> HumanSpec | None:
    """What people are asked in a wait of the node, if it is them that it waits for."""
    return _QUESTION.validate_python(wait["question"]) if "interrupt" in wait else node.human


def masked_question(asked: Interrupt, mask: Mask) -> Interrupt:
    """The question as people may see it. The answer that is taken when nobody gives one is the tool's as it is."""
    parts: dict[str, Callable[[Json, Mask], Json]] = {"title": _masked, "instructions": _masked, "form": _masked_form}
    shown = {name: parts[name](value, mask) for name, value in asked.question.items() if name in parts}
    return Interrupt(asked.name, {**asked.question, **shown})


def _masked_form(schema: Json, mask: Mask) -> Json:
    """A JSON Schema with its words masked, and with the keywords and names as they are that give it its meaning."""
    match schema:
        case list():
            return [_masked_form(part, mask) for part in schema]
        case dict():
            return {keyword: _masked_keyword(keyword, part, mask) for keyword, part in schema.items()}
    return schema


def _masked_keyword(keyword: str, part: Json, mask: Mask) -> Json:
    if keyword in _WORDS:
        return _masked(part, mask)
    if keyword in _BY_NAME and isinstance(part, dict):
        return {name: _masked_form(one, mask) for name, one in part.items()}
    return _masked_form(part, mask)


def _masked(value: Json, mask: Mask) -> Json:
    match value:
        case str():
            return mask(value)
        case list():
            return [_masked(item, mask) for item in value]
        case dict():
            return {key: _masked(item, mask) for key, item in value.items()}
    return value


def _invalid(asked: Interrupt, problems: list[str]) -> PartInvalid:
    return PartInvalid(f"The interrupt {asked.name!r} is no question that people can answer. {' '.join(problems)}")
