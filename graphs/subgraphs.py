"""Graphs that call graphs: what a reference means, and pinning it when its caller is published.

A reference is a graph's slug, alone or with a version: `review`, `review@7`, `review@latest`. Publishing pins one
without a version to the newest that is published; `@latest` is looked up each time the step starts. A graph may call
itself: its own slug, without a version, means the very version that is being published.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from graphs.errors import GraphNotFound, Problem
from graphs.expressions import is_expression
from graphs.models import GraphVersion
from graphs.spec import GraphSpec
from tools.strict_json import pointer

LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Itself:
    """The version that is being published, as it will be called."""

    slug: str
    number: int

    def pin(self, reference: str) -> str | None:
        """The reference with its version, if it means this version; else None."""
        name = f"{self.slug}@{self.number}"
        return name if reference in (self.slug, name) else None

    def is_latest(self, reference: str) -> bool:
        return reference == f"{self.slug}@{LATEST}"

    def is_called_in(self, spec: GraphSpec) -> bool:
        references = {node.graph for node in spec.nodes.values() if node.graph is not None}
        return any(self.pin(reference) or self.is_latest(reference) for reference in references)


def find_version(organization_id: int, reference: str) -> GraphVersion:
    """The published version that a reference means now. Raises GraphNotFound."""
    slug, _, number = reference.partition("@")
    versions = GraphVersion.objects.filter(
        graph__organization_id=organization_id, graph__slug=slug, status=GraphVersion.Status.PUBLISHED
    ).select_related("graph")
    if number.isdecimal() and len(number) < 10:
        versions = versions.filter(number=int(number))
    elif number not in ("", LATEST):
        raise GraphNotFound(reference)
    version = versions.order_by("-number").first()
    if version is None:
        raise GraphNotFound(reference)
    return version


def is_pinned(reference: str) -> bool:
    """Whether it means the same version for ever."""
    return not is_expression(reference) and reference.partition("@")[2].isdecimal()


def pinned(spec: GraphSpec, organization_id: int, itself: Itself) -> tuple[GraphSpec, list[Problem]]:
    """The spec with a version in each reference that had none, and what is wrong with what the references mean."""
    problems: list[Problem] = []
    nodes = dict(spec.nodes)
    for name, node in spec.nodes.items():
        if node.graph is None or is_expression(node.graph):
            continue
        if own := itself.pin(node.graph):
            nodes[name] = replace(node, graph=own)
            continue
        if itself.is_latest(node.graph):
            continue
        try:
            version = find_version(organization_id, node.graph)
        except GraphNotFound as error:
            path = pointer("nodes", name, "graph")
            problems.append(Problem(code="unknown-graph", path=path, message=str(error), node=name))
            continue
        if version.on_failure == GraphVersion.OnFailure.STOP and spec.on_failure != version.on_failure:
            problems.append(_stops_only_alone(name, version))
        if "@" not in node.graph:
            nodes[name] = replace(node, graph=f"{node.graph}@{version.number}")
    return replace(spec, nodes=nodes), problems


def _stops_only_alone(node: str, version: GraphVersion) -> Problem:
    called = f"{version.graph.slug}@{version.number}"
    message = (
        f'The graph "{called}" says "on_failure": "stop", which holds for runs of its own; called here, its other '
        "branches go on after a failure. Say it in this graph, and it holds for all of the run."
    )
    path = pointer("nodes", node, "graph")
    return Problem(code="stop-in-subgraph", path=path, message=message, node=node, level="warning")
