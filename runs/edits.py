"""What people may make of a state, whether they edit a paused run or begin a fork with another state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.conf import settings

from graphs.plan import Plan
from graphs.spec import did_you_mean, quoted
from runs.engine import RunState, view
from runs.errors import ControlInvalid
from runs.schema import state_schema
from tools import strict_json
from tools.errors import Detail
from tools.strict_json import Json, pointer


def check_edit(
    state: RunState, plan: Plan, before: Mapping[str, Json], values: Mapping[str, Json], delete: Sequence[str]
) -> None:
    """Whether the state of a graph in the run, which is `before`, may be edited so.

    Raises ControlInvalid, and JsonInvalid for values that are too large or too deep.
    """
    if both := sorted(set(values) & set(delete)):
        message = f"A key is either set or deleted, not both: {', '.join(both)}."
        raise ControlInvalid([Detail(path=pointer("delete"), code="set-and-deleted", message=message)])
    _refuse_absent(state, before, delete)
    limits = settings.WORKFLOW
    strict_json.encode(dict(values), max_bytes=limits.max_update_bytes, max_depth=limits.max_json_depth)
    after = {key: value for key, value in {**before, **values}.items() if key not in delete}
    strict_json.encode(after, max_bytes=limits.max_state_bytes, max_depth=limits.max_json_depth)
    schema = state_schema(plan.spec.state.schema)
    if schema and (details := schema.check_values(values.items())):
        raise ControlInvalid(
            [Detail(path=pointer("values") + each.path, code=each.code, message=each.message) for each in details]
        )


def _refuse_absent(state: RunState, before: Mapping[str, Json], delete: Sequence[str]) -> None:
    """Raise ControlInvalid for each key that neither the state has, which is `before`, nor what any branch sees."""
    details = [
        Detail(
            path=pointer("delete", place),
            code="no-such-key",
            message=f"The state has no key {quoted(key)} to delete.{did_you_mean(key, before)}",
        )
        for place, key in enumerate(delete)
        if key not in before and not any(key in view(state, step).state for step in state.branches)
    ]
    if details:
        raise ControlInvalid(details)
