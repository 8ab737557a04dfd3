"""From the journal back to the engine's state. Evaluates no expression and calls no tool."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import cast, get_args

from graphs.plan import Plan
from runs.engine import FindPlan, RunState, Transition, advance, codec, learn_plan_of, load_state
from runs.engine.events import Consequence, Event, Outcome
from runs.errors import JournalDamaged
from runs.store.writes import EventRow

PARKED = "RunParked"
"""The entry of a run that cannot be driven."""
WITHOUT_EFFECT = frozenset({"LogWritten", "MailRefused", PARKED, *(kind.__name__ for kind in get_args(Consequence))})
"""The entries that are not fed to `advance`: it concludes them again by itself, or they are words for people."""


def fold(
    plan: Plan, rows: Iterable[EventRow], *, snapshot: str | None = None, find_plan: FindPlan | None = None
) -> RunState:
    """The state after `rows`, which continue `snapshot` or begin with the run's start.

    `plan` is the one that the run began with; `find_plan` finds those of subgraphs and of later versions. Raises
    JournalDamaged if the entries are not those of a run of this plan.
    """
    state = None if snapshot is None else _loaded(plan, snapshot, find_plan)
    for row in rows:
        if row.type not in WITHOUT_EFFECT:
            state = advanced(plan, state, row, find_plan).state
    if state is None:
        raise JournalDamaged("The journal is empty.")
    return state


def event_of(row: EventRow) -> Event:
    """What an entry tells of. Raises JournalDamaged."""
    try:
        return codec.from_data(row.type, row.v, json.loads(row.data))
    except (ValueError, KeyError, TypeError) as error:
        raise JournalDamaged(f"Event {row.seq} ({row.type}) cannot be read: {error}", seq=row.seq) from error


def _loaded(plan: Plan, snapshot: str, find_plan: FindPlan | None) -> RunState:
    try:
        return load_state(plan, json.loads(snapshot), find_plan)
    except Exception as error:  # what data of another plan does inside the engine is anybody's guess
        raise JournalDamaged(f"A snapshot cannot be read: {error!r}.") from error


def advanced(plan: Plan, state: RunState | None, row: EventRow, find_plan: FindPlan | None) -> Transition:
    """What an entry with an outcome led to. Raises JournalDamaged."""
    event = event_of(row)
    try:
        if state is not None:
            learn_plan_of(state, event, find_plan)
        transition = advance(plan, state, cast(Outcome, event), find_plan)
    except Exception as error:  # the same
        message = f"Event {row.seq} ({row.type}) does not fit the state before it: {error!r}."
        raise JournalDamaged(message, seq=row.seq) from error
    if not transition.events:
        message = f"Event {row.seq} ({row.type}) has no effect on the state before it."
        raise JournalDamaged(message, seq=row.seq)
    return transition
