"""The graphs of the patterns, published and run as they are: by a real driver, with the built-in tools."""

import json
from typing import Any

import pytest

from accounts.actor import Actor
from graphs import services as graphs
from graphs.models import GraphVersion
from graphs.plans import spec_of
from runs import selectors
from runs.control import cancel_run
from runs.engine.simulate import At
from runs.models import Step
from runs.services import start_run
from runs.signals import signal_run
from tests.support.patterns import LIBRARY, pattern, play
from tests.support.runs import driving, finish
from tests.support.waiting import wait_until

NUMBERS = range(1, 44)
SIGNALS = {
    15: ["transport", "transport", "that was all"],
    16: ["manager takes it"],
    18: ["change", "change", "issue"],
    20: ["signed"],
    24: ["release"],
    28: ["delegation", "delegation"],
    31: ["ship", "ship"],
    33: ["keyboard", "keyboard", "screen", "screen"],
    36: ["transport", "transport", "arrived", "arrived"],
}
"""What brings the patterns to their end that wait for the world."""
TRANSIENT = 23
"""The pattern whose signal must not come early."""
RACES = {19, 25, 26, 27, 29, 30, 32, 34, 35, 43}
"""Patterns in which whoever is first decides about the state."""
LOCKS = {17, 39, 40}
"""Patterns whose locks are not simulated."""


def publish(number: int, actor: Actor) -> GraphVersion:
    return graphs.create_graph(definition=pattern(number), actor=actor)


def test_there_is_one_graph_for_each_pattern_and_it_tells_which():
    assert sorted(json.loads(path.read_text())["metadata"]["pattern"] for path in LIBRARY.iterdir()) == [*NUMBERS]
    assert [pattern(number)["metadata"]["pattern"] for number in NUMBERS] == [*NUMBERS]


@pytest.mark.django_db
@pytest.mark.parametrize("number", NUMBERS)
def test_a_graph_is_published_without_an_error_and_says_what_it_is_for(actor: Actor, number: int):
    version = publish(number, actor)
    spec = spec_of(version)
    assert version.is_published
    assert [problem for problem in graphs.lint_version(version) if problem.level == "error"] == []
    assert [text for text in (spec.description, *(node.label for node in spec.nodes.values())) if not text] == []


@pytest.mark.django_db(transaction=True)
def test_each_graph_runs_in_a_driver_to_the_end_of_its_simulation(actor: Actor):
    runs = {number: start_run(version=publish(number, actor), state={}, actor=actor) for number in NUMBERS}
    for number, names in SIGNALS.items():
        for place, name in enumerate(names):
            signal_run(run=runs[number], name=name, payload=f"{name} {place}", actor=actor)
    with driving():
        alarm = Step.objects.filter(run=runs[TRANSIENT], node="alarm", status=Step.Status.WAITING)
        wait_until(alarm.exists, "it waits for the signal")
        signal_run(run=runs[TRANSIENT], name="overheating", payload=None, actor=actor)
        ends = {number: finish(run) for number, run in runs.items()}
    assert {number: run.error for number, run in ends.items() if run.status != "completed"} == {}
    states = {
        number: selectors.current_state(run).values for number, run in ends.items() if number not in RACES | LOCKS
    }
    assert states == {number: simulated(number) for number in states}


def simulated(number: int) -> dict[str, Any]:
    """The state at the end of the same run in a simulation."""
    names = SIGNALS.get(number, [])
    signals = [At(0, name, f"{name} {place}") for place, name in enumerate(names)]
    late = [At(1, "overheating")] if number == TRANSIENT else []
    return play(number, signals=[*signals, *late], graphs={"wcp-22-recursion": pattern(22)}).state


@pytest.mark.django_db(transaction=True)
def test_wcp20_a_case_is_removed_from_a_driver_with_all_that_it_waits_for(actor: Actor):
    run = start_run(version=publish(20, actor), state={}, actor=actor)
    with driving():
        signature = Step.objects.filter(run=run, node="signature")
        wait_until(signature.filter(status=Step.Status.WAITING).exists, "it waits to be signed")
        cancel_run(run=run, actor=actor)
        assert finish(run).status == "cancelled"
    assert signature.get().status == Step.Status.CANCELLED
