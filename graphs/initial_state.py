"""What a run of a version needs to be given, for the form that starts one."""

from __future__ import annotations

from graphs.forms import StateKey
from graphs.models import GraphVersion
from graphs.plans import spec_of


def state_keys(version: GraphVersion) -> list[StateKey]:
    """The keys of the state schema."""
    state = spec_of(version).state
    schema = state.schema or {}
    required = set(schema.get("required", ()))
    return [
        StateKey(name=name, schema=part, required=name in required, default=state.defaults.get(name))
        for name, part in schema.get("properties", {}).items()
        if isinstance(part, dict)
    ]
