"""What the head of a run says when the run is over."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from runs.driver.logs import cut
from runs.engine.events import Event, RunFailed
from runs.engine.sentences import and_more
from runs.store import Head

MAX_ERROR_BYTES = 2_000


def final_head(status: str, events: Iterable[Event], *, at: datetime) -> Head:
    """The head of a run that `events` ended."""
    reasons = [_sentence(event) for event in events if isinstance(event, RunFailed)]
    return Head(status=status, error="".join(reasons), finished_at=at)


def _sentence(event: RunFailed) -> str:
    """Why a run failed, for lists: its first error, and how many more there are."""
    _, node, failure = event.errors[0]
    return and_more(cut(f"{node}: {failure.in_words}", MAX_ERROR_BYTES), len(event.errors) - 1)
