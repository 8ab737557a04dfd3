"""The names in a scenario: a script, an answer or a signal that nothing can ask for is a misspelt one."""

from __future__ import annotations

from collections.abc import Iterable

from graphs.expressions import is_expression
from graphs.spec import GraphSpec, NodeSpec, did_you_mean, quoted
from runs.engine.simulate.definitions import Known
from runs.engine.simulate.errors import SimulationError
from runs.engine.simulate.scenario import Scenario
from tools import registry
from tools.errors import UnknownTool


def check_names(spec: GraphSpec, scenario: Scenario, known: Known) -> None:
    """Raise SimulationError for a name that means nothing.

    What is not known beforehand is let be: the nodes of subgraphs, the questions of tools, names that are computed. So
    are scripts for registered tools, which tests of several graphs may share.
    """
    if any(node.graph is not None for node in spec.nodes.values()):
        return
    nodes = spec.nodes.values()
    unregistered = [name for name in scenario.tools if not _is_registered(name)]
    _refuse("tool", unregistered, [name for node in nodes for name in _tools(node)])
    if not any(_may_ask(node, known) for node in nodes):
        _refuse("human node", scenario.answers, [name for name, node in spec.nodes.items() if node.human is not None])
    signals = [name for node in nodes for name in _signals(node)]
    if not any(map(is_expression, signals)):
        _refuse("wait for a signal", (signal.name for signal in scenario.signals), signals)


def _is_registered(tool: str) -> bool:
    try:
        registry.get(tool)
    except UnknownTool:
        return False
    return True


def _tools(node: NodeSpec) -> list[str]:
    undoing = None if node.compensate is None else node.compensate.tool
    return [name for name in (node.tool, undoing) if name is not None]


def _may_ask(node: NodeSpec, known: Known) -> bool:
    """Whether the node calls a function, which may interrupt."""
    return node.tool is not None and known.script(node.tool).tool is not None


def _signals(node: NodeSpec) -> list[str]:
    if node.wait is None:
        return []
    names = [node.wait.signal, *(entry.signal for entry in node.wait.any or ())]
    return [name for name in names if name is not None]


def _refuse(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    there = sorted(set(known))
    for name in given:
        if name not in there:
            hint = did_you_mean(name, there) or (f" There are {', '.join(map(quoted, there))}." if there else "")
            raise SimulationError(f"The graph has no {what} {quoted(name)}.{hint}")
