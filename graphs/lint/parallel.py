"""Rules on keys that parallel branches replace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from graphs.errors import Problem
from graphs.lint.graph import Branch, ForkInScope, LintedGraph, is_on_cycle, words
from graphs.lint.keys import Writes, writes_of
from graphs.spec import To


def check_parallel_writes(graph: LintedGraph) -> Iterator[Problem]:
    writes = [writes_of(graph, node.spec) for node in graph.plan.nodes]
    for found in graph.forks_in_scopes:
        yield from _conflicts(graph, found, writes)
        yield from _conflicts_of_turns(graph, found, writes)


def _conflicts(graph: LintedGraph, found: ForkInScope, writes: list[Writes]) -> Iterator[Problem]:
    first_writer: dict[str, int] = {}
    pairs: dict[str, tuple[int, int]] = {}
    for branch in found.branches:
        written = _writers(branch, writes)
        for key, node in written.items():
            if key in first_writer:
                pairs.setdefault(key, (first_writer[key], node))
        first_writer = written | first_writer
    certain = Counter(key for target in found.targets for key in _certain_keys(graph, found, target, writes))
    always = {key for key, times in certain.items() if times > 1 and found.fork.is_list}
    for key, (first, second) in sorted(pairs.items()):
        who = words(sorted({graph.name(first), graph.name(second)}))
        message = (
            f'Branches of this fork both replace "{key}" ({who}), which fails where they meet; give the key a reducer, '
            "or let only one of them write it."
        )
        yield graph.problem("write-conflict", message, *found.fork.path, level="error" if key in always else "warning")


def _writers(branch: Branch, writes: list[Writes]) -> dict[str, int]:
    """By key that the branch replaces, one of the nodes that do."""
    return {key: node for node in sorted(branch.nodes, reverse=True) for key in writes[node].replaced}


def _certain_keys(graph: LintedGraph, found: ForkInScope, target: int, writes: list[Writes]) -> set[str]:
    """Keys that a branch replaces whatever happens, as long as nothing fails."""
    keys: set[str] = set()
    seen: set[int] = set()
    while target in found.scope.successors and target not in seen and graph.plan.nodes[target].join is None:
        seen.add(target)
        keys |= writes[target].certain & writes[target].replaced
        match graph.plan.nodes[target].spec.next:
            case To(to=(only,)):
                target = graph.plan.index[only]
            case _:
                break
    return keys


def _conflicts_of_turns(graph: LintedGraph, found: ForkInScope, writes: list[Writes]) -> Iterator[Problem]:
    """A branch that goes off at each turn of a cycle while another goes round."""
    if not is_on_cycle(found.scope, graph.plan.index[found.fork.node]):
        return
    goes_round = [number for number, branch in enumerate(found.branches) if branch.returns]
    for number, branch in enumerate(found.branches):
        if branch.returns or not goes_round:
            continue
        keys = sorted(_writers(branch, writes))
        if keys:
            message = (
                f'The branch that starts at "{graph.name(found.targets[number])}" leaves the cycle at every turn and '
                f"replaces {words(keys)}: two turns conflict at the end. Give the key a reducer, or join the branch."
            )
            yield graph.problem("write-conflict-turns", message, *found.fork.path)
