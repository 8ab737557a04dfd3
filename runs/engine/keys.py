"""The canonical order of the steps of a scope (rule R2).

A key is a tuple of integers; only the order of keys means anything, never their digits. A step with the key (p…, n):

* followed by one step: (p…, n + 1). The same for an error handler and for the closing half of a map;
* forks: one child, the *tail*, goes on in the same segment with (p…, n + 1). A child i before it in the list gets
  (p…, n, i, 0), a child after it (p…, SPAN - n, i, 0). So the list gives the order of the branches;
* a join takes the successor of the greatest key that arrives.

Every key is greater than those of all its ancestors, and no two steps of a scope share one. The tail is the last target
on a common cycle with the forking node, else the last target: the branch that goes on in a loop then keeps its key
short. What still grows is renumbered (rule R13): a branch's future keys form an interval that holds no other key, so
all keys of a scope may be replaced by their ranks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Key = tuple[int, ...]

FIRST: Key = (0,)
SPAN = 1 << 40
"""More than the steps that one segment can ever have."""
MIN_LENGTH_LIMIT = 64


def successor(key: Key) -> Key:
    return (*key[:-1], key[-1] + 1)


def fork_children(key: Key, positions: Sequence[int], tail: int) -> list[Key]:
    """Keys of the children at `positions` of the evaluated list; `tail` is the position of the one that goes on."""
    prefix, n = key[:-1], key[-1]
    return [
        (*prefix, n + 1) if position == tail else (*prefix, n if position < tail else SPAN - n, position, 0)
        for position in positions
    ]


def length_limit(writes: int) -> int:
    """The length at which keys of a scope that holds so many writes are renumbered."""
    return max(MIN_LENGTH_LIMIT, writes // 8)


def ranks(keys: Iterable[Key]) -> dict[Key, int]:
    return {key: rank for rank, key in enumerate(sorted(set(keys)))}
