"""Breakpoints as people give them: checked, and complete, before the engine keeps them (rule R22); and as they stand.

    {"id": "b1", "node": "review", "when": "before", "path": "fan[3]", "condition": "score < 5", "hit_count": 2}

Only `node` must be given.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from django.conf import settings

from graphs.expressions import ExpressionInvalid, compile_condition
from runs.errors import ControlInvalid
from runs.models import Run
from runs.standing import state_to_change
from tools.errors import Detail
from tools.strict_json import Json, pointer

JsonObject = dict[str, Json]

MAX_TEXT = 200
_TEXTS = ("id", "node", "path")


def breakpoints_of(run: Run) -> list[JsonObject]:
    """The breakpoints that the run has taken in, each with its `hits` so far.

    Raises ControlConflict for a run that no driver could go on with: nothing will be hit there.
    """
    state = state_to_change(run)
    return [{**one, "hits": state.hits.get(one["id"], 0)} for one in state.breakpoints]


def check_breakpoints(nodes: Collection[str] | None, given: Sequence[Mapping[str, Json]]) -> None:
    """Raise ControlInvalid with all that is wrong with them.

    `nodes` are the names that the run may come to, None if nobody can know them.
    """
    _refuse_too_many(given)
    details = [detail for place, one in enumerate(given) for detail in _complaints(nodes, place, one)]
    if details:
        raise ControlInvalid(details)
    ids = _ids(given)
    if len(set(ids)) < len(ids):
        raise ControlInvalid([_detail((), "duplicate-id", "Each breakpoint needs an id of its own.")])


def complete_breakpoints(given: Sequence[Mapping[str, Json]]) -> list[JsonObject]:
    """The breakpoints with an `id` and a `when` each, always the same for the same ones.

    Nothing else of them need be right, but raises ControlInvalid if they are too many.
    """
    _refuse_too_many(given)
    taken = {id_ for id_ in _ids(given) if isinstance(id_, str)}
    free = (name for number in range(1, 2 * len(given) + 1) if (name := f"b{number}") not in taken)
    return [{"when": "before", **_without_nulls(one), "id": one.get("id") or next(free)} for one in given]


def _refuse_too_many(given: Sequence[Mapping[str, Json]]) -> None:
    limit = settings.WORKFLOW.max_breakpoints
    if len(given) > limit:
        raise ControlInvalid([_detail((), "too-many", f"A run has at most {limit} breakpoints, not {len(given)}.")])


def _ids(given: Sequence[Mapping[str, Json]]) -> list[Json]:
    return [one["id"] for one in given if "id" in one]


def _without_nulls(one: Mapping[str, Json]) -> JsonObject:
    return {key: value for key, value in one.items() if value is not None}


def _complaints(nodes: Collection[str] | None, place: int, one: Mapping[str, Json]) -> Iterator[Detail]:
    for key in _TEXTS:
        text = one.get(key)
        if text is not None and (not isinstance(text, str) or not 0 < len(text) <= MAX_TEXT):
            yield _detail((place, key), "bad-text", f"Give 1 to {MAX_TEXT} characters.")
    node = one.get("node")
    if not isinstance(node, str) or (nodes is not None and node not in nodes):
        message = f"Neither the graph nor one that it calls has a node {str(node)[:MAX_TEXT]!r}."
        yield _detail((place, "node"), "unknown-node", message)
    if one.get("when", "before") not in ("before", "after"):
        yield _detail((place, "when"), "bad-when", 'A breakpoint stops "before" a step or "after" it.')
    hits = one.get("hit_count")
    if hits is not None and (not isinstance(hits, int) or isinstance(hits, bool) or hits < 1):
        yield _detail((place, "hit_count"), "bad-count", "Give the number of the first hit that stops, from 1.")
    if one.get("condition") is not None:
        try:
            compile_condition(one["condition"])
        except (ExpressionInvalid, TypeError) as error:
            yield _detail((place, "condition"), "bad-condition", f"The condition is no expression: {error}")


def _detail(steps: tuple[str | int, ...], code: str, message: str) -> Detail:
    return Detail(path=pointer("breakpoints", *steps), code=code, message=message)
