"""Graphs as LangGraph's tests have them: each in several orders with dying workers, and all of them by a driver."""

import pytest

from tests.acceptance.stateful_graphs import CASES
from tests.acceptance.cases import Case, assert_driven_as_simulated, rows


@rows(CASES)
def test_a_graph_over_a_shared_state(case: Case) -> None:
    case.simulate()


@pytest.mark.django_db(transaction=True)
def test_a_driver_comes_to_the_same(actor) -> None:
    assert_driven_as_simulated(CASES, actor)
