"""What the grammar has and the engine cannot do yet: parsed, stored and checked, but not published.

One row a feature. When the engine learns one, its row goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from graphs.errors import Problem
from graphs.spec import GraphSpec, NodeSpec
from tools.strict_json import pointer

CODE = "not-available-yet"

_NODE_FEATURES: dict[str, Callable[[NodeSpec], bool]] = {
    "executor": lambda node: node.executor == "cluster",
}


def unavailable_features(spec: GraphSpec) -> Iterator[Problem]:
    """A problem for every use of a feature that the engine does not have yet."""
    for name, node in spec.nodes.items():
        for feature, is_used in _NODE_FEATURES.items():
            if is_used(node):
                yield _problem(feature, *("nodes", name, *feature.split("/")), node=name)


def _problem(feature: str, *path: str, node: str) -> Problem:
    word = feature.rpartition("/")[2]
    message = f'"{word}" is not available yet: a graph that uses it can be kept as a draft but not published.'
    return Problem(code=CODE, path=pointer(*path), message=message, node=node)
