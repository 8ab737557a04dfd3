"""What the app refuses, and how it says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from graphs.models import Graph, GraphVersion

Level = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with a definition, or worth knowing about it."""

    level: Level = "error"
    code: str
    """Stable: for programs, and for people who look it up in the documentation."""
    path: str
    """JSON Pointer (RFC 6901) of the bad value in the definition; empty for the whole."""
    message: str
    """One or two sentences: what is wrong and what to do."""
    node: str | None = None
    key: str | None = None
    """The state key that the initial state must have, where that is what the problem says."""
    is_needed: bool = False
    """Whether no node at all can write `key` before it is read."""


class GraphsError(Exception):
    """Base of everything that this app refuses."""

    code: ClassVar[str] = "graph-error"
    details: tuple[Problem, ...] = ()


class DefinitionInvalid(GraphsError):
    """The definition breaks the grammar or cannot be published; `problems` says everything that is wrong."""

    code = "definition-invalid"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = self.details = tuple(problems)
        first = self.problems[0]
        more = f" And {len(self.problems) - 1} more." if len(self.problems) > 1 else ""
        super().__init__(f"The definition is not valid: {first.message} (at {first.path or 'the top'}).{more}")


class GraphNotFound(GraphsError):
    """A node calls a graph that the organization does not have, or none of whose versions is published."""

    code = "unknown-graph"

    def __init__(self, reference: str) -> None:
        super().__init__(
            f"There is no published graph {reference[:200]!r} here; name one by its slug, such as review, review@7 or "
            "review@latest."
        )


class VersionPublished(GraphsError):
    """A published version never changes."""

    code = "version-published"

    def __init__(self, version: GraphVersion) -> None:
        super().__init__(f"{version} is published and never changes; make a new draft of the graph instead.")


class VersionNotPublished(GraphsError):
    """Only a published version can be compiled for runs."""

    code = "version-not-published"

    def __init__(self, version: GraphVersion) -> None:
        super().__init__(f"{version} is a draft; publish it first.")


class GraphHasRuns(GraphsError):
    """Runs keep the versions that they ran."""

    code = "graph-has-runs"

    def __init__(self, graph: Graph) -> None:
        super().__init__(f"The graph {graph.name!r} has runs, which would lose their definition; archive it instead.")
