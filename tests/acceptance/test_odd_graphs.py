"""Graphs that are odd and valid: each in several orders with dying workers, and all of them by a driver."""

import pytest

from tests.acceptance.cases import Case, assert_driven_as_simulated, rows
from tests.acceptance.odd_graphs import CASES


@rows(CASES)
def test_an_odd_graph(case: Case) -> None:
    case.simulate()


@pytest.mark.django_db(transaction=True)
def test_a_driver_comes_to_the_same(actor) -> None:
    assert_driven_as_simulated(CASES, actor)
