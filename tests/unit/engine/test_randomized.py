"""The engine against a naive model of the rules, over random graphs and random orders of outcomes.

Every order must end the same: status, final state, errors, and what each step saw. In one order of each graph the
model is compared after every outcome. `python -m tests.unit.engine.randomized.soak` plays more of them.
"""

import pytest

from tests.unit.engine.randomized.campaign import KINDS, campaign
from tests.unit.engine.randomized.mutants import MUTANTS

pytestmark = pytest.mark.usefixtures("untraced")

GRAPHS = {
    "plain": 60,
    "dag": 60,
    "map": 40,
    "any": 30,
    "race": 30,
    "retry": 40,
    "edit": 30,
    "stop": 30,
    "pause": 40,
    "undo": 30,
    "call": 40,
    "migrate": 40,
}
ORDERS = 6
MUTANT_GRAPHS = 100


@pytest.mark.parametrize("kind", KINDS)
def test_the_result_is_that_of_the_model_and_does_not_depend_on_timing(kind: str) -> None:
    report = campaign(kind, range(GRAPHS[kind]), ORDERS)
    assert report.failures == []
    counts = report.counts
    assert counts["too long"] <= counts["samples"] / 5, "the graphs are not worth playing"
    assert counts["steps"] >= 5 * counts["samples"], "the graphs are not worth playing"
    assert min(counts["completed"], counts["failed"]) > 0, "the graphs are not worth playing"


@pytest.mark.parametrize("wrong", MUTANTS)
def test_a_broken_rule_is_noticed(wrong: str) -> None:
    kind, mutant = MUTANTS[wrong]
    with mutant():
        report = campaign(kind, range(MUTANT_GRAPHS), ORDERS, stop_at_first=True)
    assert report.failures
