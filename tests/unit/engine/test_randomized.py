"""The engine against a naive model of the rules, over random graphs and random orders of outcomes.

Every order must end the same: status, final state, errors, and what each step saw. In one order of each graph the
model is compared after every outcome. `ENGINE_GRAPHS=2000 pytest tests/unit/engine/test_randomized.py` plays more.
"""

import os

import pytest

from tests.unit.engine.randomized.campaign import KINDS, campaign

GRAPHS = int(os.environ.get("ENGINE_GRAPHS", "100"))
ORDERS = 10


@pytest.mark.parametrize("kind", KINDS)
def test_the_result_is_that_of_the_model_and_does_not_depend_on_timing(kind: str) -> None:
    report = campaign(kind, range(GRAPHS), ORDERS)
    assert report.failures == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_random_graphs_are_worth_playing(kind: str) -> None:
    counts = campaign(kind, range(60), orders=2).counts
    assert counts["too long"] <= counts["samples"] / 5
    assert counts["steps"] >= 5 * counts["samples"]
    assert counts["completed"] > 0
    assert counts["failed"] > 0
