"""Durable names of steps (rule R3).

A step's id is a hash of how it came to be: of the step before it, and of its place in a fork, a map or a join. It does
not depend on timing, so a replayed, resumed or re-ordered run gives the same step the same id. 80 bits: for the ids of
one run to collide is as likely as two equal UUIDs in a set of 2**22.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from runs.engine.events import StepId

SIZE = 10


def first() -> StepId:
    """The step at the start node."""
    return _hash(b"s")


def successor(step: StepId) -> StepId:
    return _hash(b"n" + step)


def fork_child(step: StepId, position: int) -> StepId:
    """`position` is the target's place in the evaluated list, `end` counted."""
    return _hash(b"f" + step + position.to_bytes(4, "big"))


def handler(step: StepId) -> StepId:
    """Where the step's `on_error` leads."""
    return _hash(b"e" + step)


def joined(steps: Iterable[StepId]) -> StepId:
    """A join of branches whose next steps would have had these ids, in key order."""
    return _hash(b"j" + b"".join(steps))


def item(map_step: StepId, index: int) -> StepId:
    """The first step of an item."""
    return _hash(b"i" + map_step + index.to_bytes(4, "big"))


def child(step: StepId, attempt: int) -> StepId:
    """The first step of a subgraph; another attempt of its step is another execution of all of it."""
    return _hash(b"g" + step + attempt.to_bytes(4, "big"))


def closing(map_step: StepId) -> StepId:
    """The second half of a map's step: the one that writes what the items gave."""
    return _hash(b"c" + map_step)


def ending(first_step: StepId) -> StepId:
    """The implicit join at the end of the scope that began with `first_step`."""
    return _hash(b"z" + first_step)


def compensation(step: StepId) -> StepId:
    """The step that undoes this one."""
    return _hash(b"u" + step)


def _hash(data: bytes) -> StepId:
    return blake2b(data, digest_size=SIZE).digest()
