"""Where all ways from a node meet again: the immediate post-dominator, for maps that name no join.

The algorithm is that of Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm" (2001), on the reversed
graph with `end` as its root.
"""

from __future__ import annotations

from collections.abc import Sequence


class PostDominators:
    """The post-dominator tree of a graph whose last node is `end`."""

    def __init__(self, moves: Sequence[Sequence[int]], end: int) -> None:
        self._end = end
        order = self._reverse_postorder(moves)
        self._place = {node: place for place, node in enumerate(order)}
        self._parent = {end: end}
        changed = True
        while changed:
            changed = False
            for node in order[1:]:
                known = [move for move in moves[node] if move in self._parent]
                parent = self.meeting_point(known)
                if parent is not None and self._parent.get(node) != parent:
                    self._parent[node] = parent
                    changed = True

    def after(self, nodes: Sequence[int]) -> int | None:
        """The first node that every way from all of `nodes` comes to; None if one of them never reaches `end`."""
        if any(node not in self._parent for node in nodes):
            return None
        return self.meeting_point([self._parent[node] for node in nodes])

    def meeting_point(self, nodes: Sequence[int]) -> int | None:
        """The nearest common ancestor in the tree as far as it is known."""
        common: int | None = None
        for node in nodes:
            common = node if common is None else self._intersect(common, node)
        return common

    def _intersect(self, one: int, other: int) -> int:
        while one != other:
            while self._place[one] > self._place[other]:
                one = self._parent[one]
            while self._place[other] > self._place[one]:
                other = self._parent[other]
        return one

    def _reverse_postorder(self, moves: Sequence[Sequence[int]]) -> list[int]:
        """From `end` along reversed edges."""
        sources: list[list[int]] = [[] for _ in range(self._end + 1)]
        for node, targets in enumerate(moves):
            for target in targets:
                sources[target].append(node)
        seen, postorder = {self._end}, []
        stack = [(self._end, iter(sources[self._end]))]
        while stack:
            node, rest = stack[-1]
            following = next((source for source in rest if source not in seen), None)
            if following is None:
                postorder.append(node)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(sources[following])))
        return postorder[::-1]
