"""What travels: hints, and the names and spelling they have on PostgreSQL and Redis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Role = Literal["driver", "watcher"]

CHANNELS: Final[dict[Role, str]] = {"driver": "workflow_drivers", "watcher": "workflow_watchers"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """Something has happened: the journal of `run_id` has reached at least `seq`. Without `run_id`: look everywhere."""

    run_id: int | None = None
    seq: int = 0


ANYTHING: Final = Hint()
"""What a listener hears when it cannot know what it missed."""


def encode(hint: Hint) -> str:
    return "" if hint.run_id is None else f"{hint.run_id}:{hint.seq}"


def decode(payload: str) -> Hint:
    """Read a payload; one that makes no sense means ANYTHING, since a hint may be vague but must not be lost."""
    run_id, _, seq = payload.partition(":")
    try:
        return Hint(run_id=int(run_id), seq=int(seq))
    except ValueError:
        return ANYTHING
