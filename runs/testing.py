"""A pytest plugin: the fixture `workflow`, with which a test simulates graphs.

Switch it on in the `conftest.py` beside `pytest.ini` or `pyproject.toml`:

    pytest_plugins = ["runs.testing"]
"""

from __future__ import annotations

import json
from collections import ChainMap
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Unpack

import pytest

from runs.engine.simulate import Options, Simulation, SimulationError, simulate, simulate_shuffled

NO_DATABASE = (
    'To find the graph "{name}" among those that are published, Django must be set up: say '
    'DJANGO_SETTINGS_MODULE = "workflowsite.settings" in pytest\'s configuration, or give the definition itself.'
)

GraphSource = Mapping[str, Any] | PathLike[str] | str
"""A definition, a JSON file with one, or the name of a published graph in the test database.

A string that ends in `.json` is a file's name.
"""


class Workflow:
    """Simulates graphs, and finds them first. Graphs that are called and not given are looked up by name, too."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._published = _Published(request)

    def simulate(
        self, graph: GraphSource, state: Mapping[str, Any] | None = None, **options: Unpack[Options]
    ) -> Simulation:
        """As `runs.engine.simulate.simulate`."""
        return simulate(self.definition(graph), state, **self._completed(options))

    def simulate_shuffled(
        self,
        graph: GraphSource,
        state: Mapping[str, Any] | None = None,
        *,
        orders: int = 50,
        **options: Unpack[Options],
    ) -> Simulation:
        """As `runs.engine.simulate.simulate_shuffled`."""
        return simulate_shuffled(self.definition(graph), state, orders=orders, **self._completed(options))

    def definition(self, graph: GraphSource) -> Mapping[str, Any]:
        """Raises SimulationError for a name that no published graph has, OSError for a file that is not there."""
        if isinstance(graph, Mapping):
            return graph
        if isinstance(graph, PathLike) or graph.endswith(".json"):
            return json.loads(Path(graph).read_text())
        try:
            return self._published[graph]
        except KeyError:
            raise SimulationError(f"No graph {graph!r} is published in the test database.") from None

    def _completed(self, options: Options) -> Options:
        graphs = {name: self.definition(given) for name, given in options.get("graphs", {}).items()}
        return {**options, "graphs": ChainMap(graphs, self._published)}


class _Published(dict[str, Mapping[str, Any]]):
    """The definitions of published graphs by slug, alone or with a version: `review`, `review@2`."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        super().__init__()
        self._request = request

    def __missing__(self, name: str) -> Mapping[str, Any]:
        try:
            self._request.getfixturevalue("db")
        except pytest.skip.Exception:
            pytest.fail(NO_DATABASE.format(name=name), pytrace=False)
        from graphs.models import GraphVersion

        slug, _, number = name.partition("@")
        versions = GraphVersion.objects.filter(graph__slug=slug, status=GraphVersion.Status.PUBLISHED)
        if number.isdecimal():
            versions = versions.filter(number=int(number))
        version = versions.order_by("-number").first()
        if version is None:
            raise KeyError(name)
        return json.loads(version.definition)


@pytest.fixture
def workflow(request: pytest.FixtureRequest) -> Workflow:
    """Simulate graphs: `workflow.simulate(graph, state, tools={…})`."""
    return Workflow(request)
