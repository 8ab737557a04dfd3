"""Simulation: a run in a millisecond, without database, threads or waiting.

    result = simulate(definition, {"n": 1}, tools={"double": lambda n: {"n": 2 * n}})
    assert result.state == {"n": 2}

The run is moved by the engine itself, so what a graph does here it does in production; only the driver is another
one, with a virtual clock and with scripts in place of tools, people and the world. `docs/testing.md` shows all of it.
Not simulated are sizes, caches and heartbeats, which change no result, and locks that other runs hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Unpack

from graphs.errors import DefinitionInvalid
from graphs.plan import Plan
from runs.engine.simulate.calls import Calls
from runs.engine.simulate.definitions import Known, check, initial_state
from runs.engine.simulate.errors import AnswerRefused, Diverged, NotScripted, SimulationError
from runs.engine.simulate.names import check_names
from runs.engine.simulate.outcomes import input_breach
from runs.engine.simulate.results import SimulatedError, SimulatedStep, Simulation
from runs.engine.simulate.run import SimulatedRun
from runs.engine.simulate.scenario import Options, Scenario
from runs.engine.simulate.scripts import At, Script, Scripted

__all__ = [
    "AnswerRefused",
    "At",
    "DefinitionInvalid",
    "Diverged",
    "NotScripted",
    "Options",
    "Scripted",
    "SimulatedError",
    "SimulatedStep",
    "Simulation",
    "SimulationError",
    "simulate",
    "simulate_shuffled",
]


def simulate(
    definition: Mapping[str, Any], state: Mapping[str, Any] | None = None, **options: Unpack[Options]
) -> Simulation:
    """Run a definition to its end, or to where it waits for something that never comes.

    Raises DefinitionInvalid for a definition that could not be published, SimulationError for a simulation that cannot
    be made, and Diverged if the engine breaks a promise: that a completed step never runs again, and that the state is
    the fold of the journal.
    """
    scenario = _scenario(state, options)
    return _play(_checked(definition, scenario), scenario)


def simulate_shuffled(
    definition: Mapping[str, Any],
    state: Mapping[str, Any] | None = None,
    *,
    orders: int = 50,
    **options: Unpack[Options],
) -> Simulation:
    """Run a definition in that many orders of what is due at the same time, with the deaths that `kill_at` asks for.

    Return the undisturbed result: in order and without deaths. Raises Diverged if status, state, errors, or the steps
    and what they saw are not the same in each.
    """
    scenario = _scenario(state, options)
    checked = _checked(definition, scenario)
    first = _play(checked, replace(scenario, order=None, kill_at=()))
    for order in range(orders):
        other = _play(checked, replace(scenario, order=order))
        parts = [part for part, value in first.meaning.items() if other.meaning[part] != value]
        if parts:
            raise Diverged(f"With order={order} other {' and '.join(parts)} come out.\n{first}\nbecame\n{other}")
    return first


def _scenario(state: Mapping[str, Any] | None, options: Options) -> Scenario:
    scenario = Scenario(state={} if state is None else state, **options)
    scenario.check()
    return scenario


def _checked(definition: Mapping[str, Any], scenario: Scenario) -> tuple[Plan, Known]:
    scripts = {name: Script(name, given) for name, given in scenario.tools.items()}
    known = Known(scripts=scripts, graphs=scenario.graphs, real_tools=scenario.real_tools)
    plan = check(definition, known)
    check_names(plan.spec, scenario, known)
    breach = input_breach(plan, initial_state(plan, scenario.state))
    if breach is not None:
        raise SimulationError(f"The state does not fit the schema of the graph. {breach.message}")
    return plan, known


def _play(checked: tuple[Plan, Known], scenario: Scenario) -> Simulation:
    plan, known = checked
    return SimulatedRun(plan, scenario, Calls(known=known, default_timeout_s=scenario.default_timeout_s)).play()
