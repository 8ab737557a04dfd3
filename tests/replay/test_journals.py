"""Journals as earlier releases recorded them: they must fold to the same state for ever.

A journal that fails here is never recorded anew. A change that needs it raises the version of an event's fields, or the
run's semantics version, and keeps reading what is there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest

from graphs.plan import Plan, compile_plan
from graphs.spec import parse_definition
from runs.engine import (
    FindPlan,
    RunState,
    advance,
    codec,
    dump_state,
    in_flight,
    learn_plan_of,
    load_state,
    preview,
    replay,
)
from runs.engine.decisions import CollectItem, FinishChild
from runs.engine.events import Event, Outcome

JOURNALS = {path.stem: json.loads(path.read_text()) for path in (Path(__file__).parent / "journals").glob("*.json")}
Journal = dict[str, Any]


def plan_of(journal: Journal) -> Plan:
    return compile_plan(parse_definition(journal["definition"]))


def finder(journal: Journal) -> FindPlan:
    """The plans of its subgraphs and later versions."""
    children = journal.get("children", {})
    return lambda digest, definition: compile_plan(parse_definition(definition or children[digest]))


def events_of(journal: Journal) -> list[Event]:
    return [codec.from_data(type_, v, data) for type_, v, data in journal["events"]]


def words_aside(entries: list[Any]) -> list[Any]:
    """The entries without the messages of failures: these are words for people, which a release may find better ones
    for, and nothing that is folded depends on them."""

    def strip(data: Any) -> Any:
        match data:
            case dict():
                is_failure = {"type", "message"} <= data.keys()
                return {key: strip(value) for key, value in data.items() if not (is_failure and key == "message")}
            case list():
                return [strip(value) for value in data]
        return data

    return [strip(entry) for entry in entries]


def assert_is_as_recorded(journal: Journal, plan: Plan, state: RunState) -> None:
    shown = preview(state)
    assert state.status == journal["status"]
    assert shown.values == journal["state"]
    assert list(shown.conflicts) == journal["conflicts"]
    assert (
        sorted(d.step.hex() for d in in_flight(state) if not isinstance(d, CollectItem | FinishChild))
        == journal["in_flight"]
    )


@pytest.mark.parametrize("name", JOURNALS)
def test_a_recorded_journal_folds_to_its_state(name: str) -> None:
    journal = JOURNALS[name]
    plan = plan_of(journal)
    state = replay(plan, None, events_of(journal), finder(journal))
    assert state is not None
    assert_is_as_recorded(journal, plan, state)


@pytest.mark.parametrize("name", JOURNALS)
def test_the_outcomes_of_a_recorded_journal_have_the_same_consequences(name: str) -> None:
    journal = JOURNALS[name]
    plan, state = plan_of(journal), None
    concluded: list[Event] = []
    for event in events_of(journal):
        if isinstance(event, Outcome):
            if state is not None:
                learn_plan_of(state, event, finder(journal))
            transition = advance(plan, state, event, finder(journal))
            state = transition.state
            concluded += transition.events
    given = [[type(e).__name__, codec.VERSION, codec.to_data(e)] for e in concluded]
    assert words_aside(given) == words_aside(journal["events"])


@pytest.mark.parametrize("name", JOURNALS)
def test_a_recorded_journal_may_be_cut_by_a_snapshot_anywhere(name: str) -> None:
    journal = JOURNALS[name]
    plan, events = plan_of(journal), events_of(journal)
    for cut in range(1, len(events)):
        before = replay(plan, None, events[:cut], finder(journal))
        assert before is not None
        loaded = load_state(plan, json.loads(json.dumps(dump_state(before))), finder(journal))
        after = replay(plan, loaded, events[cut:], finder(journal))
        assert after is not None
        assert_is_as_recorded(journal, plan, after)


def test_the_journals_hold_every_kind_of_event() -> None:
    kinds = {type_ for journal in JOURNALS.values() for type_, _, _ in journal["events"]}
    assert kinds == {kind.__name__ for kind in get_args(Event)}
