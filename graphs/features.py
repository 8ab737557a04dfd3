"""What the grammar has and the engine cannot do yet: parsed, stored and checked, but not published.

One row a feature. When the engine learns one, its row goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from graphs.errors import Problem
from graphs.spec import Dynamic, GraphSpec, NodeSpec, RetrySpec, pointer

CODE = "not-available-yet"

_NODE_FEATURES: dict[str, Callable[[NodeSpec], bool]] = {
    "human": lambda node: node.human is not None,
    "wait": lambda node: node.wait is not None,
    "graph": lambda node: node.graph is not None,
    "retry": lambda node: node.retry is not None and node.retry != RetrySpec(),
    "cache": lambda node: node.cache is not None,
    "lock": lambda node: node.lock is not None,
    "next/dynamic": lambda node: isinstance(node.next, Dynamic),
    "executor": lambda node: node.executor in ("process", "cluster"),
    "compensate": lambda node: node.compensate is not None,
    "deadline_s": lambda node: node.deadline_s is not None,
    "heartbeat_timeout_s": lambda node: node.heartbeat_timeout_s is not None,
}
_GRAPH_FEATURES: dict[str, Callable[[GraphSpec], bool]] = {
    "retention": lambda spec: spec.retention is not None,
    "concurrency": lambda spec: spec.concurrency is not None,
}


def unavailable_features(spec: GraphSpec) -> Iterator[Problem]:
    """A problem for every use of a feature that the engine does not have yet."""
    for name, node in spec.nodes.items():
        for feature, is_used in _NODE_FEATURES.items():
            if is_used(node):
                yield _problem(feature, *("nodes", name, *feature.split("/")), node=name)
    for feature, is_set in _GRAPH_FEATURES.items():
        if is_set(spec):
            yield _problem(feature, feature)


def _problem(feature: str, *path: str, node: str | None = None) -> Problem:
    word = feature.rpartition("/")[2]
    message = f'"{word}" is not available yet: a graph that uses it can be kept as a draft but not published.'
    return Problem(code=CODE, path=pointer(*path), message=message, node=node)
