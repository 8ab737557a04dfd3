"""A graph in words, for readers without a drawing. No Django."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from graphs.plan import moves_of
from graphs.spec import GraphSpec, MapRoute, NodeSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlineNode:
    name: str
    does: str
    leads_to: tuple[str, ...]
    """Nodes or `end`; for a map the nodes of its items first."""


def outline_of(spec: GraphSpec) -> list[OutlineNode]:
    """The nodes in the order in which a reader who starts at the start meets them."""
    return [
        OutlineNode(name=name, does=_does(spec.nodes[name]), leads_to=_leads_to(spec.nodes[name]))
        for name in _reading_order(spec)
    ]


def _reading_order(spec: GraphSpec) -> Iterator[str]:
    order = {spec.start_node: None}
    waiting = [spec.start_node]
    for name in waiting:
        yield name
        new = [target for target in _leads_to(spec.nodes[name]) if target in spec.nodes and target not in order]
        order.update(dict.fromkeys(new))
        waiting += new
    yield from (name for name in spec.nodes if name not in order)


def _leads_to(node: NodeSpec) -> tuple[str, ...]:
    route = node.next
    if isinstance(route, MapRoute):
        after = moves_of(node, map_join=route.join) if route.join else moves_of(node)
        return tuple(dict.fromkeys(route.to + after))
    return moves_of(node)


def _does(node: NodeSpec) -> str:
    match node.kind:
        case "tool":
            return f"tool {node.tool}"
        case "graph":
            return f"graph {node.graph}"
        case "human":
            return "asks people"
        case "wait":
            return "waits"
        case "none":
            return "routing"
