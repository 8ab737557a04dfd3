"""Where the steps of a run are drawn: at the place of the subgraph they belong to.

A place names the nodes that call, from the outermost on, without the items of maps between them: what `review` calls
for each item of a map is drawn once. The run's own graph is the empty place.
"""

from __future__ import annotations


class Places:
    """The places that are known, by the `path` of a subgraph's steps outside its maps."""

    def __init__(self) -> None:
        self._of = {"": ""}

    def __len__(self) -> int:
        return len(self._of) - 1

    def open(self, path: str, node: str) -> str:
        """A subgraph of the step at `node` begins. Return its place, which is the address of the step."""
        place = self.address(path, node)
        self._of[f"{path}.{node}" if path else node] = place
        return place

    def address(self, path: str, node: str) -> str:
        """The place and the node, such as `review/fan/check`."""
        place = self._place(path)
        return f"{place}/{node}" if place else node

    def _place(self, path: str) -> str:
        # What follows on the path of a subgraph are items of its maps. Names of nodes may have dots.
        while path not in self._of:
            path = path.rpartition(".")[0]
        return self._of[path]
