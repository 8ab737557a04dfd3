from argparse import Namespace
from pathlib import Path

import pytest

from benchmarks.__main__ import is_chosen
from benchmarks.runner import Runner
from benchmarks.scenario import Scenario
from benchmarks.scenarios import GROWTHS, SCENARIOS


def scenario(**fields: bool | str) -> Scenario:
    return Scenario(name="map-100", ours=("m", {}), peer=None, figures=(), **fields)


def options(*, only: list[str] | None = None, quick: bool = False, long: bool = False) -> Namespace:
    return Namespace(only=only, quick=quick, long=long)


def test_scenarios_have_names_of_their_own_and_growths_name_scenarios() -> None:
    names = [scenario.name for scenario in SCENARIOS]
    assert len(set(names)) == len(names)
    assert {name for growth in GROWTHS for name in (growth.large, growth.small)} <= set(names)


def test_figures_of_a_scenario_have_keys_of_their_own() -> None:
    for each in SCENARIOS:
        keys = [figure.key for figure in each.figures]
        assert len(set(keys)) == len(keys), each.name


@pytest.mark.parametrize(
    ("only", "expected"), [(None, True), (["map"], True), (["pg", "map-1"], True), (["pg"], False)]
)
def test_names_are_chosen_by_how_they_start(only: list[str] | None, expected: bool) -> None:
    assert is_chosen(scenario(), options(only=only)) is expected


def test_a_long_scenario_is_measured_on_demand_only() -> None:
    assert not is_chosen(scenario(is_long=True), options())
    assert not is_chosen(scenario(is_long=True), options(only=["map-100"]))
    assert is_chosen(scenario(is_long=True), options(long=True))


def test_a_quick_pass_leaves_slow_scenarios_out_unless_they_are_named() -> None:
    assert not is_chosen(scenario(is_quick=False), options(quick=True))
    assert is_chosen(scenario(is_quick=False), options(quick=True, only=["map"]))
    assert is_chosen(scenario(is_quick=False), options())


def test_a_scenario_on_postgres_is_skipped_with_a_sentence_when_no_server_was_named(tmp_path: Path) -> None:
    outcome = Runner(tmp_path, {}, None).measure(scenario(database="postgres"), repeats=1)
    assert outcome.skipped == "No PostgreSQL server was named with --postgres."
    assert outcome.failure == ""
