"""From the journal back to the engine's state. Evaluates no expression and calls no tool."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import cast, get_args

from graphs.plan import Plan
from runs.engine import RunState, advance, codec, load_state
from runs.engine.events import Consequence, Outcome
from runs.errors import JournalDamaged
from runs.store.writes import EventRow

WITHOUT_EFFECT = frozenset({"LogWritten", *(kind.__name__ for kind in get_args(Consequence))})
"""The entries that are not fed to `advance`: it concludes them again by itself, or they are words for people."""


def fold(plan: Plan, rows: Iterable[EventRow], *, snapshot: str | None = None) -> RunState:
    """The state after `rows`, which continue `snapshot` or begin with the run's start.

    Raises JournalDamaged if the entries are not those of a run of this plan.
    """
    state = None if snapshot is None else load_state(plan, json.loads(snapshot))
    for row in rows:
        if row.type in WITHOUT_EFFECT:
            continue
        transition = advance(plan, state, _outcome(row))
        if not transition.events:
            raise JournalDamaged(f"Event {row.seq} ({row.type}) has no effect on the state before it.")
        state = transition.state
    if state is None:
        raise JournalDamaged("The journal is empty.")
    return state


def _outcome(row: EventRow) -> Outcome:
    try:
        event = codec.from_data(row.type, row.v, json.loads(row.data))
    except (ValueError, KeyError, TypeError) as error:
        raise JournalDamaged(f"Event {row.seq} ({row.type}) cannot be read: {error}") from error
    return cast(Outcome, event)
