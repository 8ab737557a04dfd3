"""Where the steps of subgraphs are drawn."""

from __future__ import annotations

import pytest

from runs.places import Places


@pytest.fixture
def places() -> Places:
    """`fan` opens a map, in whose items `call` calls a graph in which `deep` calls another."""
    places = Places()
    for item in range(2):
        assert places.open(f"fan[{item}]", "call") == "call"
    assert places.open("fan[1].call", "deep") == "call/deep"
    return places


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("", "read"),
        ("fan[0]", "read"),
        ("a.name.with.dots[3]", "read"),
        ("fan[0].call", "call/read"),
        ("fan[0].call.inner[2].more[0]", "call/read"),
        ("fan[1].call.deep", "call/deep/read"),
    ],
)
def test_a_step_is_at_the_place_of_the_subgraph_it_belongs_to(places: Places, path: str, address: str) -> None:
    assert places.address(path, "read") == address


def test_places_are_true_once_there_is_one_beside_the_root(places: Places) -> None:
    assert places
    assert not Places()
